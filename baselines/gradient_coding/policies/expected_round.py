"""Rounds designed for their expected cost over what they may hide, instead of for the likely case.

A device's price of finishing is the chance that the round waits for it, times what time is worth when it does: then it
is likely slowed, or sends again. Those are the conditions that it is designed for. With finish prices

    p_k = E[c'(D) 1{k is last}],    x_k = E[c'(D) x_k 1{k is last}] / p_k,    and stalls and tries likewise,

c(D) being the cost of time, a round is stationary in expectation if each device does what is cheapest at p_k under
x_k: the closed forms of a known round. Designs and prices are found in turn, prices by ever smaller steps.
"""

import functools
from functools import cached_property
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
from edgelearn_env.stages.records import FinetuneRound

# Steps of prices, and what is shared out evenly of all: a device that no sample waits for has a price too.
_NUM_STEPS, _EVEN = 12, 0.02

# A battery that a round would overdraw makes joules dearer by so much at most, in a step.
_MOST_DEARER = 4.0

# Devices done within about this share of the round's end are waited for nearly as much as the last one.
_NEAR = 0.01

# Prices, charges and shares are divided by.
_TINY = 1e-9

# Further than any result.
_FAR_S = 1e12


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

    def moved_to(self, others: "_Finish", share: float) -> "_Finish":
        """These moved by a share of the way to others."""
        pairs = zip(self, others, strict=True)
        return _Finish(*((1 - share) * mine + share * its for mine, its in pairs))


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
        tried = []
        for step in range(_NUM_STEPS):
            allocation = self._cheapest(plain, code, works, finish, self._prices.joule * lifted)
            played = self._played(allocation)
            tried.append(ExpectedRound(allocation, *(np.mean(array, axis=0) for array in played[:-1])))
            finish = finish.moved_to(self._told(played, works), 2.0 / (step + 3.0))
            spent = np.mean(played.device_j, axis=0) / np.maximum(self._observed.state.battery_j, _TINY)
            lifted = lifted * np.clip(spent, 1.0, _MOST_DEARER)
        return functools.reduce(cheaper, tried)

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
        price = np.maximum(finish.price, _TINY)
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
        prices, every = self._prices, self._in_every_sample
        conditions = mapped(every, self._observed.conditions._replace(hidden=()))._replace(hidden=self._hidden)
        allocations = mapped(every, allocation)
        round_, coded = finetune_round(self._coding, every(self._observed.state.battery_j), conditions, allocations)
        counts, devices = round_.contributes, round_.devices
        each = np.divide(prices.noise, allocations.batch, where=counts, out=np.zeros(counts.shape))
        weight = counts @ self._coding.staged.device_weight
        noise = np.sum(each, axis=1) + prices.dissimilarity * dissimilarity_share(weight)
        worth = np.sum(np.where(counts, every(prices.gain), 0.0), axis=1) - noise
        spent_j = devices.compute_j + devices.upload_j
        # A round that does not fit is not counted.
        gained = np.where(round_.duration_s <= every(self._time.left_s), worth, 0.0)
        paid = np.sum(every(prices.joule) * spent_j, axis=1) - gained
        duration_s, paid, noise, weight = map(self._by_sample, (round_.duration_s, paid, noise, weight))
        is_last = self._by_sample(self._is_last(round_, coded.lateness))
        return _Played(self._time.cost(duration_s) + paid, noise, weight, duration_s, self._by_sample(spent_j), is_last)

    def _is_last(self, round_: FinetuneRound, lateness: np.ndarray) -> np.ndarray:
        """For whom each round waited, (S B, K): whose result is there when it ends."""
        coding, devices = self._scenario.coding, round_.devices
        finish_s = (devices.compute_s + devices.upload_s) / np.maximum(1.0 - lateness, _TINY)
        relay_s = coding.edge_s * np.repeat(self._hidden.edge_tries, self._scenario.devices_per_edge, axis=1)
        end_s = round_.duration_s - self._scenario.radio.downlink_s
        distance_s = np.where(devices.participates, np.abs(finish_s + relay_s - end_s[:, None]), _FAR_S)
        near = np.exp(-(distance_s - np.min(distance_s, axis=1, keepdims=True)) / (_NEAR * end_s[:, None]))
        share: np.ndarray = near / np.sum(near, axis=1, keepdims=True)
        return share

    @cached_property
    def _hidden(self) -> Hidden:
        """All samples of all episodes, (S B, K) and (S B, n)."""
        return Hidden(*(array.reshape(-1, array.shape[-1]) for array in self._drawn))

    def _in_every_sample(self, array: np.ndarray) -> np.ndarray:
        """The same for each of them, (S B, ...)."""
        return np.broadcast_to(array, (self._num_samples, *array.shape)).reshape(-1, *array.shape[1:])

    def _by_sample(self, array: np.ndarray) -> np.ndarray:
        """With an axis of samples, (S, B, ...)."""
        return array.reshape(self._num_samples, -1, *array.shape[1:])


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
