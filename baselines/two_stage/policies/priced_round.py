"""The best fine-tuning round at given prices of time and of each device's energy."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.arrays.records import mapped, write_rows
from edgelearn_env.baselines.two_stage.model.closed_forms import (
    cheapest_batch,
    cheapest_frequency_hz,
    cheapest_sample,
    cheapest_upload,
)
from edgelearn_env.baselines.two_stage.model.hardware import device_processors, uplinks
from edgelearn_env.baselines.two_stage.policies.largest_round import DevicesRound, ServerRound, allocation_of
from edgelearn_env.model import Observed
from edgelearn_env.physics.compute import compute_energy_j
from edgelearn_env.two_stage.constants import Constants
from edgelearn_env.two_stage.dynamics import finetune_round, step
from edgelearn_env.two_stage.records import Allocation, Outcome

# Steps of the ascent, and how strongly finish times move their prices: times fall about as price^(-1/2) to ^(-2/3).
_NUM_STEPS, _STEP = 10, 1.5

# What is short or late counts at most as this many times the limit, and prices rise no further than by that factor:
# where nothing fits, they stay numbers.
_MOST_BEYOND, _DEAREST = 1e3, 1e9

# Rounding must not pass what is left; nothing left is still a number to divide by.
_PRUDENCE, _NOTHING = 1 - 1e-9, 1e-12

# Batches are whole numbers; one that is a rounding error short of the next counts as that.
_NUDGE = 1e-9

# Ways of doing a single sample that are compared: clocks, and powers from this share of full power up to it.
_NUM_CLOCKS, _NUM_POWERS, _LEAST_POWER_SHARE = 17, 65, 1e-5


class RoundPrices(NamedTuple):
    """What a round's parts cost, all in the same unit.

    Attributes:
        noise: of 1/b_k, (B, K).
        second: of a second of the round, above 0, (B,).
        joule: of a joule of each device, above 0, (B, K).
    """

    noise: np.ndarray
    second: np.ndarray
    joule: np.ndarray


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
    """What each device does, with real-valued batches, (B, K): energy of compute and upload, and when it is done."""

    batch: np.ndarray
    freq_hz: np.ndarray
    power_w: np.ndarray
    energy_j: np.ndarray
    finish_s: np.ndarray


def priced_finetune_round(constants: Constants, observed: Observed, prices: RoundPrices) -> DevicesRound:
    """argmin over b, f, p of sum_k noise_k / b_k + second D + sum_k joule_k e_k, D = max_k (compute + upload).

    The round keeps within what is left of both budgets and in every battery: nobody waits for harvest. Batches are
    rounded down, which costs neither time nor energy. Where such a round cannot be done, devices that are to blame take
    a single sample, and wait if they must, unless that would raise Phi: then it is better that the episode ends.

    Args:
        constants: the scenario as arrays.
        observed: batteries, channels and harvest now.
        prices: of this round.
    """
    parts = priced_parts(constants, observed, prices)
    chosen = DevicesRound(parts.freq_hz, parts.power_w, np.floor(parts.batch * (1 + _NUDGE)))
    rows = np.flatnonzero(~finetune_outcome(constants, observed, chosen).counted)
    now, at, refused = mapped(lambda array: array[rows], (observed, prices, chosen))
    write_rows(chosen, rows, _rescued(constants, now, at, refused))
    return chosen


def _rescued(constants: Constants, observed: Observed, prices: RoundPrices, refused: DevicesRound) -> DevicesRound:
    """The refused round with single samples of the devices to blame, where that can be done and lowers Phi."""
    energy_j, finish_s = used_by(constants, observed, refused)
    to_blame = (finish_s > RoundLimits.of(constants, observed).seconds[:, None]) | (
        energy_j > constants.battery_capacity_j
    )
    single = single_samples(constants, observed, prices)
    tried = DevicesRound(*(np.where(to_blame, one, part) for one, part in zip(single, refused, strict=True)))
    helps = finetune_outcome(constants, observed, tried).reward > 0
    return DevicesRound(*(np.where(helps[:, None], new, old) for new, old in zip(tried, refused, strict=True)))


def priced_parts(constants: Constants, observed: Observed, prices: RoundPrices, num_steps: int = _NUM_STEPS) -> Parts:
    """The same with real-valued batches, by multiplicative ascent on the round's dual function.

    Its variables are the price of each device's finish and that of its joules. The prices of finishing sum to that of a
    second; whoever is late pays for it, until all finish together. They rise above the prices given where the round
    would pass a limit.
    """
    limits, joule, num_devices = RoundLimits.of(constants, observed), prices.joule, constants.scenario.num_devices
    finish = np.repeat(prices.second[:, None] / num_devices, num_devices, axis=1)
    for _ in range(num_steps):
        parts = _cheapest_parts(constants, observed, prices.noise, finish, joule)
        joule = _risen_joule(prices, limits, parts, joule)
        finish = _shared_second(prices, limits, parts, finish)
    return _cheapest_parts(constants, observed, prices.noise, finish, joule)


def _cheapest_parts(
    constants: Constants, observed: Observed, noise: np.ndarray, finish: np.ndarray, joule: np.ndarray
) -> Parts:
    """argmin of noise / b + finish (compute + upload) + joule e for each device by itself: the closed forms, (B, K)."""
    devices, uplink = (
        device_processors(constants.scenario),
        uplinks(constants.scenario, observed.conditions.channel_gain),
    )
    sample, freq_hz = cheapest_sample(finish, joule, devices), cheapest_frequency_hz(finish, joule, devices)
    compute_s = cheapest_batch(noise, sample, devices.batch_max).seconds
    upload_s = cheapest_upload(finish, joule, uplink).seconds
    batch = compute_s / sample.seconds
    power_w = np.minimum(uplink.noise_w * np.expm1(uplink.nats_s / upload_s), uplink.power_max_w)
    compute_j = compute_energy_j(devices.capacitance_j_s2, devices.cycles_per_sample, batch, freq_hz)
    return Parts(batch, freq_hz, power_w, compute_j + power_w * upload_s, compute_s + upload_s)


def _risen_joule(prices: RoundPrices, limits: RoundLimits, parts: Parts, joule: np.ndarray) -> np.ndarray:
    """The price of a joule after a step: up where a battery or the energy budget is short, else down to its least."""
    of_budget = np.sum(parts.energy_j, axis=1, keepdims=True) / limits.joules[:, None]
    beyond = np.maximum(parts.energy_j / limits.charge_j, of_budget)
    risen: np.ndarray = np.clip(joule * np.minimum(beyond, _MOST_BEYOND), prices.joule, _DEAREST * prices.joule)
    return risen


def _shared_second(prices: RoundPrices, limits: RoundLimits, parts: Parts, finish: np.ndarray) -> np.ndarray:
    """The prices of finishing after a step, (B, K); together they rise where the round would be too long."""
    duration_s = np.max(parts.finish_s, axis=1)
    beyond = np.minimum(duration_s / limits.seconds, _MOST_BEYOND)
    second = np.clip(np.sum(finish, axis=1) * beyond**_STEP, prices.second, _DEAREST * prices.second)
    share = finish * np.maximum(parts.finish_s / duration_s[:, None], 1 / _MOST_BEYOND) ** _STEP
    shared: np.ndarray = share * (second / np.sum(share, axis=1))[:, None]
    return shared


def single_samples(constants: Constants, observed: Observed, prices: RoundPrices) -> DevicesRound:
    """One sample a device, waits included, at the clock and power of a grid that cost least and are in time."""
    devices = constants.scenario.devices
    clock, power = np.linspace(0, 1, _NUM_CLOCKS), np.geomspace(_LEAST_POWER_SHARE, 1, _NUM_POWERS)
    clock, power = (share.reshape(-1, 1, 1) for share in np.meshgrid(clock, power))
    shape = (len(power), *observed.state.battery_j.shape)
    freq_hz = np.broadcast_to(devices.freq_min_hz + clock * (devices.freq_max_hz - devices.freq_min_hz), shape)
    ways = DevicesRound(freq_hz, np.broadcast_to(power * devices.power_max_w, shape), np.ones(shape))
    energy_j, finish_s = used_by(constants, observed, ways)
    fits = (finish_s <= RoundLimits.of(constants, observed).seconds[:, None]) & (
        energy_j <= constants.battery_capacity_j
    )
    cost = prices.second[:, None] * np.where(fits, finish_s, np.inf) + prices.joule * energy_j
    least = np.argmin(cost, axis=0)[None]
    return DevicesRound(*(np.take_along_axis(array, least, axis=0)[0] for array in ways))


def used_by(constants: Constants, observed: Observed, devices: DevicesRound) -> tuple[np.ndarray, np.ndarray]:
    """Energy of each device in J, and when it is done in s, its wait included, (..., B, K)."""
    done = finetune_round(constants, observed.state.battery_j, observed.conditions, _finetuning(devices))
    return done.compute_j + done.upload_j, done.wait_s + done.compute_s + done.upload_s


def finetune_outcome(constants: Constants, observed: Observed, devices: DevicesRound) -> Outcome:
    """What a fine-tuning round would do."""
    return step(constants, observed.state, observed.conditions, _finetuning(devices))[1]


def _finetuning(devices: DevicesRound) -> Allocation:
    """The round as an allocation, whose server's part is not read."""
    each = np.ones(devices.batch.shape[:-1])
    return allocation_of(each > 0, ServerRound(each, each), devices)
