"""The rest of an episode with fixed numbers of rounds and participants, as data that the conic program reads."""

import dataclasses
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.model.hardware import device_processors, server_processor, uplinks
from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction
from edgelearn_env.stages.bounds import BatchSizeForm, BoundTerms, QuotientForm, dissimilarity_share
from edgelearn_env.stages.records import Allocation
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import Trajectory


class PlanStart(NamedTuple):
    """Where an episode stands: what is left, and how far the bound has come.

    Attributes:
        delay_s: time left, s.
        energy_j: energy left, J.
        battery_j: charge of each device, J, (K,).
        bound_terms: of the learning bound, plain numbers; None at the beginning.
    """

    delay_s: float
    energy_j: float
    battery_j: np.ndarray
    bound_terms: BoundTerms | None

    @classmethod
    def at_start(cls, scenario: StagedScenario) -> Self:
        """Before the first round."""
        budgets = scenario.budgets
        return cls(budgets.delay_s, budgets.energy_j, np.asarray(scenario.energy.battery_initial_j), None)


class Batches(NamedTuple):
    """Batch sizes of the server's rounds, (M,), and of all devices in the fine-tuning rounds, (N, K)."""

    server: np.ndarray
    devices: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedEpisode:
    """M pre-training rounds, then N fine-tuning rounds, on a known tape.

    Attributes:
        scenario: the system.
        tape: of shape (T, K) with T >= M + N; its first round is the next to be played.
        num_pretrain_rounds: M.
        num_finetune_rounds: N.
        given_participates: which devices take part in each fine-tuning round, (N, K); all of them if None.
        given_batches: batch sizes that are not to be chosen; None where they are.
        given_start: where the episode stands; at its start if None.
        restriction: what the plan must keep to besides.
    """

    scenario: StagedScenario
    tape: Tape
    num_pretrain_rounds: int
    num_finetune_rounds: int
    given_participates: np.ndarray | None = None
    given_batches: Batches | None = None
    given_start: PlanStart | None = None
    restriction: Restriction = UNRESTRICTED

    @cached_property
    def start(self) -> PlanStart:
        """Where the rounds begin."""
        return self.given_start or PlanStart.at_start(self.scenario)

    @cached_property
    def participates(self) -> np.ndarray:
        """Which devices take part in each fine-tuning round, (N, K)."""
        if self.given_participates is None:
            return np.ones((self.num_finetune_rounds, self.scenario.num_devices), dtype=bool)
        return self.given_participates

    @property
    def roles(self) -> np.ndarray:
        """What each device does in each fine-tuning round, as `priced.records.RoundPlans.roles`, (N, K)."""
        roles: np.ndarray = self.participates.astype(int)
        return roles

    @property
    def counts(self) -> np.ndarray:
        """Whose data each fine-tuning round counts, (N, K): of those who take part."""
        return self.participates

    @property
    def holders(self) -> np.ndarray | None:
        """Which parts of the data each device computes, (N, K, K), parts last; its own alone if None."""
        return None

    def loads(self, batch: np.ndarray, rounds: slice = slice(None)) -> np.ndarray:
        """Samples that each device computes when the parts have those batches, (N, K), in some of the rounds."""
        return batch if self.holders is None else np.einsum("nkp,np->nk", self.holders[rounds], batch)

    def least_of_holders(self, shares: np.ndarray, rounds: slice = slice(None)) -> np.ndarray:
        """The least of the numbers of those who compute a part, for each part, (N, K), in some of the rounds."""
        if self.holders is None:
            return shares
        held = np.where((self.holders & self.participates[:, :, None])[rounds], shares[:, :, None], np.inf)
        least: np.ndarray = np.min(held, axis=1)
        return np.where(np.isfinite(least), least, 1.0)

    @cached_property
    def is_idle(self) -> np.ndarray:
        """In which fine-tuning rounds nobody takes part, (N,)."""
        idle: np.ndarray = ~np.any(self.participates, axis=1)
        return idle

    @cached_property
    def pretrain_repeats(self) -> np.ndarray:
        """How many alike pre-training rounds each one stands for, (M,)."""
        return np.ones(self.num_pretrain_rounds)

    @cached_property
    def finetune_repeats(self) -> np.ndarray:
        """How many alike fine-tuning rounds each one stands for, (N,)."""
        return np.ones(self.num_finetune_rounds)

    @cached_property
    def form(self) -> BatchSizeForm:
        """The learning bound as a function of the batch sizes of those who take part."""
        dissimilarity = self.finetune_repeats @ dissimilarity_share(self._weight)
        return self._quotient.at(self.participation, dissimilarity)

    @property
    def total_weight(self) -> float:
        """W: what the numerator of the bound is divided by."""
        return float(self._quotient.total_weight(self.participation))

    @cached_property
    def _quotient(self) -> QuotientForm:
        """The learning bound as a quotient."""
        return self.scenario.bound.quotient_form(int(np.sum(self.pretrain_repeats)), self.start.bound_terms)

    @property
    def participation(self) -> float:
        """P of the fine-tuning rounds."""
        return float(self.finetune_repeats @ self._weight)

    @cached_property
    def _weight(self) -> np.ndarray:
        """Omega of each fine-tuning round, (N,)."""
        weight: np.ndarray = np.sum(self.counts * self.scenario.learning.device_weight, axis=1)
        return weight

    @cached_property
    def fixed_batches(self) -> Batches | None:
        """Batches that leave no choice, and so fix the learning bound: given ones, or 1 where no batch is larger."""
        if self.given_batches is not None:
            return self.given_batches
        if self.scenario.server.batch_max > 1 or np.any(self.scenario.devices.batch_max > 1):
            return None
        shape = (self.num_finetune_rounds, self.scenario.num_devices)
        return Batches(np.ones(self.num_pretrain_rounds), np.ones(shape))

    @property
    def has_fixed_clocks(self) -> bool:
        """Whether no clock has a range."""
        return all(
            np.array_equal(part.freq_min_hz, part.freq_max_hz) for part in (self.scenario.server, self.scenario.devices)
        )

    @cached_property
    def server_noise_price(self) -> np.ndarray:
        """What 1/b of each pre-training round adds to the bound, (M,)."""
        ends = np.cumsum(self.pretrain_repeats).astype(int)
        weight = self.form.pretrain_decay ** np.arange(int(np.sum(self.pretrain_repeats)))[::-1]
        sums = np.concatenate([[0.0], np.cumsum(weight)])
        price: np.ndarray = self.form.pretrain_weight * np.diff(sums[ends], prepend=0.0)
        return price

    @cached_property
    def device_noise_price(self) -> np.ndarray:
        """What 1/b_k of one fine-tuning round adds to the bound if the data of device k count, (K,)."""
        price: np.ndarray = self.form.finetune_weight * self.scenario.gradient_noise_weight
        return price

    @cached_property
    def pretrain_harvest_w(self) -> np.ndarray:
        """h in the pre-training rounds, W, (M, K)."""
        return self.tape.harvest_w[: self.num_pretrain_rounds]

    @cached_property
    def finetune_harvest_w(self) -> np.ndarray:
        """h in the fine-tuning rounds, W, (N, K)."""
        return self.tape.harvest_w[self.num_pretrain_rounds :][: self.num_finetune_rounds]

    @property
    def pretrain_delay_s(self) -> float:
        """What only pre-training may use of the delay budget, s."""
        return self.start.delay_s * (self.restriction.pretrain_share or 0.0)

    @property
    def pretrain_energy_j(self) -> float:
        """What only pre-training may use of the energy budget, J."""
        return self.start.energy_j * (self.restriction.pretrain_share or 0.0)

    @cached_property
    def finetune_delay_s(self) -> float:
        """What the delay budget leaves when all downlinks are paid, s; for both stages, unless each has its own.

        An idle round counts as one of `idle_s` less the downlink's time.
        """
        downlinks_s = float(np.sum(self.finetune_repeats)) * self.scenario.radio.downlink_s
        return self.start.delay_s - self.pretrain_delay_s - downlinks_s

    @cached_property
    def finetune_energy_j(self) -> float:
        """What the energy budget leaves when all downlinks are paid, J; for both stages, unless each has its own."""
        downlinks_j = float(np.sum(self.finetune_repeats)) * self.scenario.radio.downlink_j
        return self.start.energy_j - self.pretrain_energy_j - downlinks_j

    @cached_property
    def server(self) -> Processor:
        """The server's processor, its overhead factor within the energy constant."""
        return server_processor(self.scenario)

    @cached_property
    def devices(self) -> Processor:
        """The devices' processors, each field (K,), or (N, K) where rounds differ."""
        return device_processors(self.scenario)

    @cached_property
    def uplink(self) -> Uplink:
        """The uplinks in the fine-tuning rounds; what differs between rounds is (N, K), such as `noise_w`."""
        gain = self.tape.channel_gain[self.num_pretrain_rounds :][: self.num_finetune_rounds]
        return self.restriction.of_uplink(uplinks(self.scenario, gain))

    def as_plan(self, rows: Allocation) -> Plan:
        """The plan that decides this in each round, and last what stops the episode."""
        return Plan(
            allocations=rows,
            num_pretrain_rounds=self.num_pretrain_rounds,
            num_finetune_rounds=self.num_finetune_rounds,
        )

    def reached(self, played: Trajectory) -> float:
        """Phi of an episode that was played."""
        return float(played.objective[0])

    def learning_bound(self, server_batch: np.ndarray, batch: np.ndarray) -> float:
        """Phi of batch sizes (M,) and (N, K); those of data that do not count are not read."""
        pretrain_noise = np.sum(self.server_noise_price / server_batch)
        noise = np.divide(self.device_noise_price, batch, where=self.counts, out=np.zeros(batch.shape))
        finetune_noise = np.sum(self.finetune_repeats @ noise)
        return float(self.form.constant + pretrain_noise + finetune_noise)
