"""The best fine-tuning round at given prices: who takes part, how long it lasts, and what everyone does."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.arrays.records import mapped, write_rows
from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import (
    CheapestRounds,
    RoundCosts,
    cheapest_rounds,
    device_costs,
)
from edgelearn_env.baselines.stages.model.closed_forms import (
    cheapest_batch,
    cheapest_frequency_hz,
    cheapest_sample,
)
from edgelearn_env.baselines.stages.model.hardware import Hardware, device_processors, least_dissimilarity, uplinks
from edgelearn_env.baselines.stages.policies.largest_round import DevicesRound
from edgelearn_env.model import Observed
from edgelearn_env.stages.constants import Constants

# How often prices rise by what is lacking where time, a battery or the energy budget is short, and what is near enough.
_NUM_STEPS, _NEAR = 4, 1.01

# What is short counts at most as this many times the limit: where nothing fits, prices stay numbers.
_MOST_BEYOND = 1e3

# Rounding must not pass what is left; nothing left is still a number to divide by.
_PRUDENCE, _NOTHING = 1 - 1e-9, 1e-12

# Batches are whole numbers; one that is a rounding error short of the next counts as that.
_NUDGE = 1e-9

# How far from the best a round may be, of what taking part is worth.
_TOLERANCE = 1e-3


class RoundPrices(NamedTuple):
    """What a round's parts cost, all in the same unit.

    Attributes:
        noise: of 1/b_k, (K,).
        second: of a second of the round, above 0, (B,).
        joule: of a joule of each device, above 0, (B, K).
        gain: what it is worth that a device takes part, (B, K).
        dissimilarity: what zeta^2 beta(Omega) = 1 costs, a number.
    """

    noise: np.ndarray
    second: np.ndarray
    joule: np.ndarray
    gain: np.ndarray
    dissimilarity: float

    def of_episodes(self, rows: np.ndarray) -> "RoundPrices":
        """Those of the episodes at some indices."""
        return self._replace(second=self.second[rows], joule=self.joule[rows], gain=self.gain[rows])


class RoundLimits(NamedTuple):
    """What a round may use at most, downlink apart.

    Attributes:
        seconds: left of the delay budget, (B,).
        joules: left of the energy budget, (B,).
        charge_j: in each battery, (B, K).
    """

    seconds: np.ndarray
    joules: np.ndarray
    charge_j: np.ndarray

    @classmethod
    def of(cls, constants: Constants, observed: Observed) -> "RoundLimits":
        """What is left, a rounding error less."""
        budgets, radio, state = constants.scenario.budgets, constants.scenario.radio, observed.state
        seconds = budgets.delay_s - state.elapsed_s - radio.downlink_s
        joules = budgets.energy_j - state.spent_j - radio.downlink_j
        limits = (seconds, joules, state.battery_j)
        return cls(*(np.maximum(limit * _PRUDENCE, _NOTHING) for limit in limits))


class Parts(NamedTuple):
    """Who takes part, and what each device would do, with real-valued batches, (B, K)."""

    participates: np.ndarray
    batch: np.ndarray
    freq_hz: np.ndarray
    power_w: np.ndarray
    energy_j: np.ndarray
    finish_s: np.ndarray


def hardware_now(constants: Constants, observed: Observed) -> Hardware:
    """What a round of everyone who takes part meets, (K,) and (B, K)."""
    scenario = constants.scenario
    return Hardware(device_processors(scenario), uplinks(scenario, observed.conditions.channel_gain))


def priced_finetune_round(
    constants: Constants, observed: Observed, prices: RoundPrices, hardware: Hardware
) -> DevicesRound:
    """argmin over S, b, f, p of second D + sum_{k in S} (noise_k / b_k + joule_k e_k - gain_k), in whole batches.

    D is when all of S are done. The round keeps within what is left of both budgets and in every battery. Batches are
    rounded down, which costs neither time nor energy. A device whose battery does not cover a single sample is silent.

    Args:
        constants: the scenario as arrays.
        observed: batteries, channels and harvest now.
        prices: of this round.
        hardware: that it meets.
    """
    parts = priced_parts(constants, observed, prices, hardware)
    whole = np.floor(parts.batch * (1 + _NUDGE))
    return DevicesRound(parts.freq_hz, parts.power_w, np.where(parts.participates, whole, 0.0))


def priced_parts(constants: Constants, observed: Observed, prices: RoundPrices, hardware: Hardware) -> Parts:
    """The same with real-valued batches: prices of seconds and joules rise where the round would pass a limit."""
    limits = RoundLimits.of(constants, observed)
    parts = _cheapest_parts(constants, prices, limits, hardware)
    rows, at, within = np.arange(len(prices.second)), prices, limits
    for _ in range(_NUM_STEPS):
        late, dear = _beyond(*mapped(lambda array, rows=rows: array[rows], (parts, limits)))
        short = (late > _NEAR) | np.any(dear > _NEAR, axis=1)
        if not short.any():
            break
        rows, late, dear = rows[short], late[short], dear[short]
        within = mapped(lambda array, short=short: array[short], within)
        second = at.second[short] * np.maximum(late, 1.0)
        joule = at.joule[short] * np.maximum(dear, 1.0)
        at = at._replace(second=second, joule=joule, gain=at.gain[short])
        write_rows(parts, rows, _cheapest_parts(constants, at, within, hardware.in_rounds(rows)))
    return _trimmed(parts, prices, limits, hardware)


def _beyond(parts: Parts, limits: RoundLimits) -> tuple[np.ndarray, np.ndarray]:
    """How many times the time left the round would take, (B,).

    And how many times its battery, or all together the energy budget, each device would spend, (B, K).
    """
    finish_s, spent_j = (np.where(parts.participates, each, 0.0) for each in (parts.finish_s, parts.energy_j))
    of_budget = np.sum(spent_j, axis=1, keepdims=True) / limits.joules[:, None]
    late, dear = np.max(finish_s, axis=1) / limits.seconds, np.maximum(spent_j / limits.charge_j, of_budget)
    return np.minimum(late, _MOST_BEYOND), np.minimum(dear, _MOST_BEYOND)


def _trimmed(parts: Parts, prices: RoundPrices, limits: RoundLimits, hardware: Hardware) -> Parts:
    """The same with batches cut to what is left at these clocks and powers; who is not worth it then is silent."""
    devices = hardware.devices
    second = devices.cycles_per_sample / parts.freq_hz + devices.stall_s
    joule = devices.capacitance_j_s2 * devices.cycles_per_sample * parts.freq_hz**2
    upload_s, upload_j = parts.finish_s - second * parts.batch, parts.energy_j - joule * parts.batch
    most = np.minimum((limits.seconds[:, None] - upload_s) / second, (limits.charge_j - upload_j) / joule)
    participates = parts.participates & (most >= 1)
    batch = np.clip(np.minimum(parts.batch, most), 1.0, None)
    spent_j, sent_j = (np.sum(each, axis=1, where=participates) for each in (joule * batch, upload_j))
    share = (limits.joules - sent_j) / np.maximum(spent_j, _NOTHING)
    batch = batch * np.minimum(share, 1.0)[:, None]
    participates &= batch >= 1
    batch = np.maximum(batch, 1.0)
    energy_j = joule * batch + upload_j
    is_worth_it = prices.noise / batch + prices.joule * energy_j <= prices.gain
    participates &= is_worth_it | (batch >= parts.batch)
    return parts._replace(participates=participates, batch=batch, energy_j=energy_j, finish_s=second * batch + upload_s)


def _cheapest_parts(constants: Constants, prices: RoundPrices, limits: RoundLimits, hardware: Hardware) -> Parts:
    """The cheapest round at those prices, whatever joules it takes."""
    (devices, uplink), scenario, joule = hardware, constants.scenario, prices.joule
    sets = AllowedSets.all_of(*joule.shape)
    costs = RoundCosts(
        second=prices.second,
        joule=joule,
        gain=prices.gain,
        noise=prices.noise,
        dissimilarity=prices.dissimilarity * least_dissimilarity(scenario, sets),
        devices=devices,
        uplink=uplink,
        longest_s=limits.seconds,
        sets=sets,
    )
    cheapest = cheapest_rounds(costs, _TOLERANCE * float(np.max(prices.gain)), 0.0)
    found = _best_ways(cheapest, len(joule))
    radio = scenario.radio
    # Where even the best round costs more than one of nobody.
    idle = cheapest.least > prices.second * (radio.idle_s - radio.downlink_s)
    finish, rounds = found.finish, found.round_index
    least, sample = device_costs(costs, rounds, finish), cheapest_sample(finish, joule, devices)
    compute_s = cheapest_batch(prices.noise, sample, devices.batch_max).seconds
    batch = compute_s / sample.seconds
    upload_s = least.seconds - compute_s - uplink.wait_s
    power_w = np.minimum(uplink.noise_w * np.expm1(uplink.nats_s / upload_s), uplink.power_max_w)
    energy_j = (least.cost - prices.noise / batch - finish * least.seconds) / joule
    freq_hz = cheapest_frequency_hz(finish, joule, devices)
    return Parts(found.participates & ~idle[:, None], batch, freq_hz, power_w, energy_j, least.seconds)


def _best_ways(found: CheapestRounds, num_rounds: int) -> CheapestRounds:
    """The first way of each round, in order."""
    first = np.searchsorted(found.round_index, np.arange(num_rounds))
    return CheapestRounds(found.least, *(array[first] for array in found[1:]))
