"""Rounds designed for their expected cost over what they may hide, instead of for the likely case.

A device's price of finishing is the chance that the round waits for it, times what time is worth when it does: then it
is likely slowed, or sends again. Those are the conditions that it is designed for. With finish prices

    p_k = E[c'(D) 1{k is last}],    x_k = E[c'(D) x_k 1{k is last}] / p_k,    and stalls and tries likewise,

c(D) being the cost of time, a round is stationary in expectation if each device does what is cheapest at p_k under
x_k: the closed forms of a known round. Designs and prices are found in turn, prices by ever smaller steps.
"""

from typing import NamedTuple

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.gradient_coding.model.choices import holders_of
from edgelearn_env.baselines.gradient_coding.model.hardware import straggling_hardware
from edgelearn_env.baselines.gradient_coding.policies.time_value import TimeValue
from edgelearn_env.baselines.stages.model.closed_forms import cheapest_frequency_hz, cheapest_sample, cheapest_upload
from edgelearn_env.baselines.stages.model.hardware import Hardware
from edgelearn_env.baselines.stages.policies.priced_round import RoundPrices
from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.dynamics import finetune_round
from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.model import Observed
from edgelearn_env.stages.bounds import dissimilarity_share

_NUM_STEPS = 8

# Of all finish prices, what is shared out evenly: a device that no sample waits for still has one.
_EVEN = 0.02

# A battery that a round would overdraw makes joules dearer by so much at most, in a step.
_MOST_DEARER = 4.0


class ExpectedRound(NamedTuple):
    """A round, and what it comes to in the mean over what it may hide.

    Attributes:
        allocation: in whole batches.
        cost: of time, energy and noise less what the round is worth, (B,).
        noise: sum of noise price / batch and the price of dissimilarity, (B,).
        weight: Omega, (B,).
        duration_s: s, (B,).
        device_j: J, (B, K).
    """

    allocation: Allocation
    cost: np.ndarray
    noise: np.ndarray
    weight: np.ndarray
    duration_s: np.ndarray
    device_j: np.ndarray


class _Finish(NamedTuple):
    """Finish prices, and the products of them with slow-downs, stalls and tries, (B, K)."""

    price: np.ndarray
    slowdown: np.ndarray
    stall_s: np.ndarray
    tries: np.ndarray


class _Played(NamedTuple):
    """A round in each sample: what it comes to, and for whom it waited; (S, B) and (S, B, K)."""

    cost: np.ndarray
    noise: np.ndarray
    weight: np.ndarray
    duration_s: np.ndarray
    device_j: np.ndarray
    is_last: np.ndarray


class ExpectedRounds:
    """Designs of rounds at some prices, for what is observed and may be hidden.

    Args:
        coding: the scenario as arrays.
        observed: of B episodes, (B,) and (B, K).
        prices: of a round's parts.
        time: what seconds are worth.
        drawn: samples of what the round may hide, (S, B, K) and (S, B, n).
    """

    def __init__(
        self, coding: CodingConstants, observed: Observed, prices: RoundPrices, time: TimeValue, drawn: Hidden
    ) -> None:
        self._coding, self._observed, self._prices, self._time, self._drawn = coding, observed, prices, time, drawn
        self._scenario, self._num_samples = coding.scenario, len(drawn.slowdown)

    def designed(self, plain: Allocation, code: tuple[int, int], works: np.ndarray) -> ExpectedRound:
        """The cheapest round that was found with a code in which some devices work, (B, K).

        Args:
            plain: what it is to be besides.
            code: (s_e, s_w); with (0, 0) whoever does not work is silent, with a code not asked.
            works: who works.
        """
        finish, lifted = self._evenly(works), np.ones(works.shape)
        best = None
        for step in range(_NUM_STEPS):
            allocation = self._cheapest(plain, code, works, finish, self._prices.joule * lifted)
            played = self._played(allocation)
            expected = ExpectedRound(allocation, *(np.mean(array, axis=0) for array in played[:-1]))
            best = expected if best is None else cheaper(best, expected)
            share = 2.0 / (step + 3.0)
            finish = _Finish(
                *((1 - share) * old + share * new for old, new in zip(finish, self._told(played, works), strict=True))
            )
            dearer = np.mean(played.device_j, axis=0) / np.maximum(self._observed.state.battery_j, 1e-9)
            lifted = lifted * np.clip(dearer, 1.0, _MOST_DEARER)
        return best

    def nobody(self, plain: Allocation) -> ExpectedRound:
        """The round that lets time pass."""
        return self.given(_without_code(plain, np.zeros(self._prices.joule.shape)))

    def given(self, allocation: Allocation) -> ExpectedRound:
        """What a given round comes to."""
        return ExpectedRound(allocation, *(np.mean(array, axis=0) for array in self._played(allocation)[:-1]))

    def _evenly(self, works: np.ndarray) -> _Finish:
        """Each device as likely to be the last, under mean conditions."""
        price = self._time.second[:, None] * works / np.sum(works, axis=1, keepdims=True)
        means = (np.mean(array, axis=0) for array in self._drawn[:3])
        return _Finish(price, *(price * mean for mean in means))

    def _told(self, played: _Played, works: np.ndarray) -> _Finish:
        """Finish prices by who was waited for."""
        marginal = self._time.marginal(played.duration_s)[:, :, None]
        last = (1 - _EVEN) * played.is_last + _EVEN * works / np.sum(works, axis=1, keepdims=True)
        each = marginal * last
        return _Finish(np.mean(each, axis=0), *(np.mean(each * array, axis=0) for array in self._drawn[:3]))

    def _cheapest(
        self, plain: Allocation, code: tuple[int, int], works: np.ndarray, finish: _Finish, joule: np.ndarray
    ) -> Allocation:
        """What is cheapest at finish prices and the conditions that they are for."""
        price = np.maximum(finish.price, 1e-12)
        devices, uplink = self._hardware(*(array / price for array in finish[1:]))
        sample, upload = cheapest_sample(price, joule, devices), cheapest_upload(price, joule, uplink)
        of_part = np.where(works, sample.cost, 0.0) @ holders_of(self._scenario, code)
        with np.errstate(divide="ignore"):
            batch = np.clip(np.sqrt(self._prices.noise / of_part), 1.0, devices.batch_max)
        power_w = uplink.noise_w * np.expm1(uplink.nats_s / (upload.seconds - uplink.wait_s))
        power_w = np.clip(power_w, self._scenario.devices.power_min_w, uplink.power_max_w)
        made = plain._replace(
            freq_hz=cheapest_frequency_hz(price, joule, devices), power_w=power_w, batch=np.floor(batch)
        )
        if code == (0, 0):
            return _without_code(made, np.where(works, made.batch, 0.0))
        return made._replace(
            edge_stragglers=np.full_like(plain.edge_stragglers, code[0]),
            device_stragglers=np.full_like(plain.device_stragglers, code[1]),
            asked=works,
        )

    def _hardware(self, slowdown: np.ndarray, stall_s: np.ndarray, tries: np.ndarray) -> Hardware:
        """What devices have under those conditions, (B, K)."""
        edge_tries = np.ones((len(slowdown), self._scenario.coding.num_edges))
        hidden = Hidden(np.maximum(slowdown, 1.0), stall_s, np.maximum(tries, 1.0), edge_tries)
        return straggling_hardware(self._scenario, self._observed.conditions.channel_gain, hidden)

    def _played(self, allocation: Allocation) -> _Played:
        """The round under every sample, by the dynamics."""
        count, size = self._num_samples, len(allocation.switch)

        def every(array: np.ndarray) -> np.ndarray:
            return np.broadcast_to(array, (count, *array.shape)).reshape(-1, *array.shape[1:])

        flat = Hidden(*(array.reshape(count * size, -1) for array in self._drawn))
        conditions = mapped(every, self._observed.conditions._replace(hidden=()))._replace(hidden=flat)
        battery_j, allocations = every(self._observed.state.battery_j), mapped(every, allocation)
        round_, coded = finetune_round(self._coding, battery_j, conditions, allocations)
        prices, devices = self._prices, round_.devices
        noise = np.divide(
            prices.noise, allocations.batch, where=round_.contributes, out=np.zeros(round_.contributes.shape)
        )
        weight = round_.contributes @ self._coding.staged.device_weight
        noise_sum = np.sum(noise, axis=1) + prices.dissimilarity * dissimilarity_share(weight)
        worth = np.sum(np.where(round_.contributes, every(prices.gain), 0.0), axis=1) - noise_sum
        spent_j = devices.compute_j + devices.upload_j
        duration_s = round_.duration_s.reshape(count, size)
        gained = np.where(duration_s <= self._time.left_s, worth.reshape(count, size), 0.0)
        paid = self._time.cost(duration_s) + np.sum(every(prices.joule) * spent_j, axis=1).reshape(count, size)
        done = np.maximum(1.0 - coded.lateness, 1e-9)
        finish_s = np.where(devices.participates, (devices.compute_s + devices.upload_s) / done, np.inf)
        relay_s = self._scenario.coding.edge_s * np.repeat(flat.edge_tries, self._scenario.devices_per_edge, axis=1)
        end_s = round_.duration_s - self._scenario.radio.downlink_s
        distance = np.abs(finish_s + relay_s - end_s[:, None])
        is_last = distance <= np.min(distance, axis=1, keepdims=True)
        return _Played(
            paid - gained,
            noise_sum.reshape(count, size),
            weight.reshape(count, size),
            duration_s,
            spent_j.reshape(count, size, -1),
            is_last.reshape(count, size, -1),
        )


def cheaper(first: ExpectedRound, second: ExpectedRound) -> ExpectedRound:
    """Episode by episode the one that costs less."""
    better = second.cost < first.cost

    def chosen(mine: np.ndarray, its: np.ndarray) -> np.ndarray:
        return np.where(better.reshape(-1, *(1,) * (mine.ndim - 1)), its, mine)

    return mapped(chosen, first, second)


def _without_code(allocation: Allocation, batch: np.ndarray) -> Allocation:
    """The same with those batches and no code."""
    none = np.zeros_like(allocation.edge_stragglers)
    return allocation._replace(
        batch=batch, edge_stragglers=none, device_stragglers=none.copy(), asked=np.ones(batch.shape, dtype=bool)
    )
