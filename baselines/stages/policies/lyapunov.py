"""Drift plus penalty: rounds at prices that follow virtual queues for delay, energy and every battery."""

import dataclasses
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.arrays.records import mapped, write_rows
from edgelearn_env.baselines.stages.model.closed_forms import cheapest_batch, cheapest_frequency_hz, cheapest_sample
from edgelearn_env.baselines.stages.model.hardware import server_processor
from edgelearn_env.baselines.stages.policies.largest_round import (
    DevicesRound,
    ServerRound,
    allocation_of,
    pretrain_cost,
)
from edgelearn_env.baselines.stages.policies.priced_round import (
    RoundPrices,
    hardware_now,
    priced_finetune_round,
)
from edgelearn_env.model import Allocation, Observed
from edgelearn_env.stages.bounds import QuotientForm
from edgelearn_env.stages.constants import Constants

# One for all episodes, or one for each, (B,).
Number = Any

# A queue falls no further: below it time or energy would cost nothing.
_LEAST_BACKLOG = 1e-3

# Share of a battery that is kept to the end for fades, in which a device would else be silent.
_RESERVE = 0.05


class Queues(NamedTuple):
    """Virtual queues, in shares of the budgets, (B,), and of the batteries' capacities, (B, K)."""

    delay: np.ndarray
    energy: np.ndarray
    batteries: np.ndarray


class Pretraining(NamedTuple):
    """What the M pre-training rounds use together, (B,) or (1,), and the charge of each battery after them, (.., K)."""

    seconds: np.ndarray
    joules: np.ndarray
    charge_j: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lyapunov:
    """In every round the choice that minimises drift plus penalty; nothing about the future is used.

    Drift-plus-penalty control with virtual queues for energy and delay, as in arXiv:2405.12046; device scheduling, who
    takes part, is decided with it, as arXiv:2405.10513 does for harvesting devices. Its adaptation to two stages is
    ours. Of a fine-tuning round of the devices S with duration D and energy e, e_k of it from battery k, it minimises

        V / worth sum_{k in S} (omega_k^2 sigma_k^2 / b_k - phi omega_k)  +  Q_T D / T  +  Q_E e / E
            +  sum_{k in S} Z_k e_k / c_k

    with T, E the budgets, c_k the capacities, worth = lambda T + nu E what the budgets are worth at the prices lambda
    of a second and nu of a joule, and phi what a unit of participation is worth; all three are given to the policy.
    The queues hold what was used beyond an even rate.
    M pre-training rounds are to use T_0 and E_0; after n of N fine-tuning rounds, with x = min(n / N, 1),

        Q_T = V lambda T / worth + (time used - T_0 - x (T - T_0)) / T,
        Q_E = V nu E / worth + (energy used - E_0 - x (E - E_0)) / E,
        Z_k = max(0, (reserve + (1 - x) charge after pre-training - charge) / c_k).

    The first terms are backlogs to begin with, so that the first rounds cost lambda and nu. What is harvested counts as
    an arrival that no choice changes. All queues are functions of what is observed, not a memory. Pre-training meets no
    chance: its queues stand still, and its batches are those that are best at lambda and nu.

    The switch comes after M rounds, or once another does not fit.

    Attributes:
        constants: the scenario as arrays.
        num_pretrain_rounds: M, a number or one for each episode, (B,).
        num_finetune_rounds: N, at least 1, likewise; fine-tuning goes on after them while the budgets last.
        second_price: lambda, of a second, in units of the sum over rounds of sum_k omega_k^2 sigma_k^2 / b_k; likewise.
        joule_price: nu, of a joule, likewise.
        participation_price: phi, of a unit of participation, likewise.
        weight: V, what the penalty counts beside the drift; the larger, the less the queues move the prices.
    """

    constants: Constants
    num_pretrain_rounds: Number
    num_finetune_rounds: Number
    second_price: Number
    joule_price: Number
    participation_price: Number
    weight: float = 2.0

    def __call__(self, observed: Observed) -> Allocation:
        """The round with the least drift plus penalty, of the stage that is on."""
        state, devices = observed.state, self.constants.scenario.devices
        switch, server = self._stage(observed)
        rows = np.flatnonzero(switch & ~state.ended)
        shape = state.battery_j.shape
        chosen = DevicesRound(*(np.full(shape, value) for value in (devices.freq_min_hz, devices.power_max_w, 0.0)))
        if len(rows):
            now = mapped(lambda array: array[rows], observed)
            write_rows(chosen, rows, self._finetune_round(now, self.round_prices(observed).of_episodes(rows)))
        return allocation_of(switch, server, chosen)

    def _stage(self, observed: Observed) -> tuple[np.ndarray, ServerRound]:
        """Which episodes fine-tune from now on, (B,), and the pre-training round that the others play."""
        state = observed.state
        server = self._server_round(state.round_index)
        switch = state.finetuning | (state.round_index >= self.num_pretrain_rounds) | ~self._fits(observed, server)
        return switch, server

    def _finetune_round(self, observed: Observed, prices: RoundPrices) -> DevicesRound:
        """The fine-tuning round at those prices."""
        hardware = hardware_now(self.constants, observed)
        return priced_finetune_round(self.constants, observed, prices, hardware)

    def round_prices(self, observed: Observed) -> RoundPrices:
        """Prices of a fine-tuning round, (B,) and (B, K): the queues over V."""
        queues, budgets = self.queues(observed), self.constants.scenario.budgets
        unit = np.broadcast_to(self._worth / self.weight, queues.delay.shape)
        joule = (queues.energy / budgets.energy_j)[:, None] + queues.batteries / self.constants.battery_capacity_j
        price = np.broadcast_to(self.participation_price, queues.delay.shape)
        form = self._form
        return RoundPrices(
            noise=self.constants.gradient_noise_weight,
            second=queues.delay / budgets.delay_s * unit,
            joule=joule * unit[:, None],
            gain=price[:, None] * self.constants.device_weight,
            dissimilarity=form.dissimilarity_weight / form.finetune_weight,
        )

    def queues(self, observed: Observed) -> Queues:
        """The virtual queues before a round."""
        state, budgets, before = observed.state, self.constants.scenario.budgets, self._pretraining
        done = np.minimum(state.bound_terms.num_finetune_rounds / self.num_finetune_rounds, 1.0)
        ahead_s = state.elapsed_s - before.seconds - done * (budgets.delay_s - before.seconds)
        ahead_j = state.spent_j - before.joules - done * (budgets.energy_j - before.joules)
        kept_j = _RESERVE * self.constants.battery_capacity_j + (1 - done)[:, None] * before.charge_j
        return Queues(
            delay=self._backlog(np.where(state.finetuning, ahead_s, 0.0), budgets.delay_s, self.second_price),
            energy=self._backlog(np.where(state.finetuning, ahead_j, 0.0), budgets.energy_j, self.joule_price),
            batteries=np.maximum(kept_j - state.battery_j, 0.0) / self.constants.battery_capacity_j,
        )

    def _backlog(self, ahead: np.ndarray, budget: float, price: Number) -> np.ndarray:
        """The queue of a budget of which so much more is used than at the even rate, (B,)."""
        first = self.weight * price * budget / self._worth
        queue: np.ndarray = np.maximum(first + ahead / budget, _LEAST_BACKLOG)
        return queue

    @cached_property
    def _form(self) -> QuotientForm:
        """The bound as a quotient; only its weights are read."""
        return self.constants.bound.quotient_form(0)

    @property
    def _worth(self) -> Number:
        """What both budgets are worth at the prices."""
        budgets = self.constants.scenario.budgets
        return self.second_price * budgets.delay_s + self.joule_price * budgets.energy_j

    def _server_round(self, round_index: np.ndarray) -> ServerRound:
        """The pre-training round at the prices: b = sqrt(noise price / cost of a sample), rounded."""
        server, form = server_processor(self.constants.scenario), self._form
        to_come = np.maximum(self.num_pretrain_rounds - 1 - round_index, 0)
        noise = form.pretrain_weight / form.finetune_weight * form.pretrain_decay**to_come
        sample = cheapest_sample(self.second_price, self.joule_price, server)
        batch = cheapest_batch(noise, sample, server.batch_max).seconds / sample.seconds
        freq_hz = cheapest_frequency_hz(self.second_price, self.joule_price, server)
        return ServerRound(np.broadcast_to(freq_hz, batch.shape), np.maximum(np.round(batch), 1.0))

    def _fits(self, observed: Observed, server: ServerRound) -> np.ndarray:
        """Whether the budgets allow that pre-training round, (B,)."""
        state, budgets = observed.state, self.constants.scenario.budgets
        seconds, joules = pretrain_cost(self.constants, server)
        fits: np.ndarray = (state.elapsed_s + seconds <= budgets.delay_s) & (state.spent_j + joules <= budgets.energy_j)
        return fits

    @cached_property
    def _pretraining(self) -> Pretraining:
        """What is planned: all M rounds, and a harvest as on average."""
        energy, index = self.constants.scenario.energy, np.arange(self.constants.scenario.budgets.max_rounds)[:, None]
        costs = pretrain_cost(self.constants, self._server_round(index))
        seconds, joules = (np.sum(np.where(index < self.num_pretrain_rounds, cost, 0.0), axis=0) for cost in costs)
        charge_j = energy.battery_initial_j + seconds[:, None] * energy.harvest_mean_w
        return Pretraining(seconds, joules, np.minimum(charge_j, energy.battery_capacity_j))
