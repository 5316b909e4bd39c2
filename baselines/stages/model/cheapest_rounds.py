"""The least cost of a fine-tuning round over who takes part, how long it lasts, and what everyone does.

At prices of a second c, of each device's joules, and with a gain g_k for taking part, a round costs

    min over d and nonempty S of  c d + sum_{k in S} (cost_k(d) - g_k),

cost_k(d) being the least cost of noise and energy with which device k is done by d. That is convex in d and given, for
any finish prices p, from below by C_k(p) - p d with the closed form C_k(p) = min over what k decides of its cost plus p
times its time. So on an interval of durations

    F(d) = c d + sum_k min(0, C_k(p_k) - g_k - p_k d)

is a lower bound for any p. It is concave, hence least at an end of the interval. Intervals whose bound is below the
best round found are halved, with finish prices at which devices are done in their middle; whatever is left at the end
is a proven bound over all sets and durations together.

Where a device may take part at one of several levels, each with a cost and a gain of its own, the least over them takes
the place of its one: a device is there once for each level, and of these one at most takes part.

What a round costs for the unlike data of its participants is no sum over them. Where all weights are the same and there
is one level it depends on their number alone; else `unlike_data` bounds it by such sums.
"""

from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model import unlike_data
from edgelearn_env.baselines.stages.model.closed_forms import (
    Least,
    Processor,
    Uplink,
    cheapest_batch,
    cheapest_compute,
    cheapest_sample,
    cheapest_upload,
    in_rounds,
)

_MOST_HALVINGS = 16

# Logarithms of times that are as good as the same.
_FLAT = 1e-6

# Finish prices that are tabled: from this share of a second's price up to all of it.
_LEAST_SHARE = 1e-4


class Grid(NamedTuple):
    """How finely a round is looked at before intervals are halved.

    Attributes:
        factor: between durations.
        num_prices: finish prices that are tabled.
    """

    factor: float
    num_prices: int


# For proofs, which halve wherever it matters; and for those who want to be told many ways.
COARSE, FINE = Grid(3.0, 12), Grid(1.5, 24)


class RoundCosts(NamedTuple):
    """What decides the cost of T rounds.

    With several levels, all that is by device but `dissimilarity` and `sets` is by level and device, (levels K,): that
    of the first level for all devices, then that of the second.

    Attributes:
        second: c, price of a second of the round, (T,).
        joule: of a joule of each device, (T, K).
        gain: g, what taking part is worth, (T, K).
        noise: price of 1/b of each device, (K,), or (T, K) where rounds differ.
        dissimilarity: what each number of participants, 1 to K, costs besides at least, (T, K).
        devices, uplink: the hardware, (K,), or (T, K) where rounds differ.
        longest_s: no round lasts longer, s, a number or (T,).
        sets: who may take part.
        num_levels: at which a device may.
        unlike: what their data costs besides; None where `dissimilarity` says it exactly.
    """

    second: np.ndarray
    joule: np.ndarray
    gain: np.ndarray
    noise: np.ndarray
    dissimilarity: np.ndarray
    devices: Processor
    uplink: Uplink
    longest_s: np.ndarray | float
    sets: AllowedSets
    num_levels: int = 1
    unlike: unlike_data.UnlikeData | None = None


class CheapestRounds(NamedTuple):
    """Least costs of the rounds, and ways to play them, best first within each round.

    Attributes:
        least: proven lower bound, (T,); infinity where nobody may take part.
        round_index: of each way, (n,).
        finish: finish prices at which it is cheapest, (n, K), or (n, levels K).
        participates: who takes part, (n, K).
        level: at which of the levels, from 0 on, each would, (n, K).
    """

    least: np.ndarray
    round_index: np.ndarray
    finish: np.ndarray
    participates: np.ndarray
    level: np.ndarray


class DeviceParts(NamedTuple):
    """What each device does at a finish price: its batch, the joules it spends, when it is done, (n, K)."""

    batch: np.ndarray
    energy_j: np.ndarray
    finish_s: np.ndarray


class _Intervals(NamedTuple):
    """Intervals of durations, each of one round: (n,); finish prices and what devices cost in the middle, (n, K)."""

    round_index: np.ndarray
    low_s: np.ndarray
    high_s: np.ndarray
    finish: np.ndarray
    bound: np.ndarray
    middle: np.ndarray
    joined: np.ndarray


def cheapest_rounds(costs: RoundCosts, tolerance: float, spread: float, grid: Grid = FINE) -> CheapestRounds:
    """Bounds and plans of all rounds.

    Args:
        costs: prices and hardware.
        tolerance: by how much a bound may be below the least cost found; tight enough intervals allowing.
        spread: ways that cost so much more than the best of a round are told too, one for each set of participants, of
            those that were looked at.
        grid: where looking begins.
    """
    times = _FinishTimes(costs, grid.num_prices)
    shortest_s = np.min(costs.devices.cycles_per_sample / costs.devices.freq_max_hz + costs.uplink.least_s, axis=1)
    longest_s = np.broadcast_to(costs.longest_s, shortest_s.shape)
    shortest_s = np.minimum(shortest_s * (1 - 1e-9), longest_s)
    count = np.maximum(np.ceil(np.log(longest_s / shortest_s) / np.log(grid.factor)), 1).astype(int)
    rounds = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(rounds)) - np.repeat(np.cumsum(count) - count, count)
    ratio = (longest_s / shortest_s) ** (1 / count)
    low_s, high_s = (shortest_s[rounds] * ratio[rounds] ** (step + end) for end in (0, 1))
    found = [_bounded(costs, times, rounds, low_s, high_s)]
    least = np.full(len(count), np.inf)
    proven = np.full(len(count), np.inf)
    for halving in range(_MOST_HALVINGS):
        latest = found[-1]
        np.minimum.at(least, latest.round_index, latest.middle)
        wanting = latest.bound < least[latest.round_index] - tolerance
        wanting &= halving < _MOST_HALVINGS - 1
        np.minimum.at(proven, latest.round_index[~wanting], latest.bound[~wanting])
        if not wanting.any():
            break
        rounds, low_s, high_s = latest.round_index[wanting], latest.low_s[wanting], latest.high_s[wanting]
        middle_s = np.sqrt(low_s * high_s)
        ends = (np.concatenate([low_s, middle_s]), np.concatenate([middle_s, high_s]))
        found.append(_bounded(costs, times, np.tile(rounds, 2), *ends))
    every = _Intervals(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))
    return CheapestRounds(proven, *_ways(costs, every, least, spread))


def _ways(
    costs: RoundCosts, intervals: _Intervals, least: np.ndarray, spread: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Round, finish prices, participants and their levels of the best way for each choice that comes near the least."""
    near = np.flatnonzero(intervals.middle < np.nextafter(least[intervals.round_index] + spread, np.inf))
    near = near[np.lexsort((intervals.middle[near], intervals.round_index[near]))]
    rounds = intervals.round_index[near]
    participates, level = _best_sets(costs, rounds, intervals.joined[near])
    _, first = np.unique(np.column_stack([rounds, participates * (1 + level)]), axis=0, return_index=True)
    first.sort()
    return rounds[first], intervals.finish[near[first]], participates[first], level[first]


def _bounded(
    costs: RoundCosts, times: "_FinishTimes", rounds: np.ndarray, low_s: np.ndarray, high_s: np.ndarray
) -> _Intervals:
    """The intervals with bounds, and what the round costs in their middle."""
    middle_s = np.sqrt(low_s * high_s)
    finish = times.prices(rounds, middle_s)
    joined = device_costs(costs, rounds, finish).cost - costs.gain[rounds]
    low, high, middle = (
        costs.second[rounds] * duration_s + _least_sum(costs, rounds, joined - finish * duration_s[:, None])
        for duration_s in (low_s, high_s, middle_s)
    )
    at_middle = joined - finish * middle_s[:, None]
    return _Intervals(rounds, low_s, high_s, finish, np.minimum(low, high), middle, at_middle)


def device_costs(costs: RoundCosts, rounds: np.ndarray, finish: np.ndarray) -> Least:
    """C_k(p): least noise + joule e + p (t + u) of each device, and the seconds t + u at which it is had, (n, K)."""
    joule, uplink = costs.joule[rounds], in_rounds(costs.uplink, rounds)
    compute = cheapest_compute(_noise_in(costs, rounds), finish, joule, in_rounds(costs.devices, rounds))
    upload = cheapest_upload(finish, joule, uplink)
    return Least(compute.cost + upload.cost, compute.seconds + upload.seconds)


def device_parts(costs: RoundCosts, rounds: np.ndarray, finish: np.ndarray) -> DeviceParts:
    """What the devices do where that least is had."""
    joule, devices, price = costs.joule[rounds], in_rounds(costs.devices, rounds), _noise_in(costs, rounds)
    sample = cheapest_sample(finish, joule, devices)
    batch = cheapest_batch(price, sample, devices.batch_max).seconds / sample.seconds
    least = device_costs(costs, rounds, finish)
    # C = noise + joule e + finish (t + u).
    return DeviceParts(batch, (least.cost - price / batch - finish * least.seconds) / joule, least.seconds)


def at_levels(costs: RoundCosts, rounds: np.ndarray, level: np.ndarray) -> RoundCosts:
    """The costs of n rounds in which each device may take part at just one level.

    Args:
        costs: of T rounds, with levels.
        rounds: which of them, (n,).
        level: of each device, from 0 on, (n, K).
    """
    column = level * level.shape[1] + np.arange(level.shape[1])

    def picked(array: Any) -> Any:
        if np.ndim(array) == 2:
            return np.take_along_axis(array[rounds], column, axis=1)
        return array[column] if np.ndim(array) == 1 else array

    return RoundCosts(
        second=costs.second[rounds],
        joule=picked(costs.joule),
        gain=picked(costs.gain),
        noise=picked(costs.noise),
        dissimilarity=costs.dissimilarity[rounds],
        devices=Processor(*map(picked, costs.devices)),
        uplink=Uplink(*map(picked, costs.uplink)),
        longest_s=np.broadcast_to(costs.longest_s, costs.second.shape)[rounds],
        sets=AllowedSets(costs.sets.must[rounds], costs.sets.may[rounds]),
    )


def _noise_in(costs: RoundCosts, rounds: np.ndarray) -> np.ndarray:
    """Price of 1/b in some rounds, (K,) or (n, K)."""
    return costs.noise[rounds] if costs.noise.ndim == 2 else costs.noise


def _by_level(costs: RoundCosts, values: np.ndarray) -> np.ndarray:
    """Values of devices at all levels, (n, levels, K)."""
    return values.reshape(len(values), costs.num_levels, values.shape[1] // costs.num_levels)


def _least_of_levels(costs: RoundCosts, values: np.ndarray) -> np.ndarray:
    """The least of each device, (n, K)."""
    if costs.num_levels == 1:
        return values
    least: np.ndarray = np.min(_by_level(costs, values), axis=1)
    return least


def _least_sum(costs: RoundCosts, rounds: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """What sum_{k in S} x_k at the best levels, and what the data of S costs besides, are never below, (n,).

    S being any set that may be, but not none; exact unless there is `unlike`.
    """
    least, sets = _least_of_levels(costs, joined), (costs.sets.must[rounds], costs.sets.may[rounds])
    if not costs.dissimilarity.any():
        return unlike_data.least_sum(*sets, least)
    smallest: np.ndarray = np.min(_sums_by_count(costs, rounds, least)[1], axis=1)
    if costs.unlike is None:
        return smallest
    bounded: np.ndarray = np.maximum(
        smallest, unlike_data.least_cost(costs.unlike, *sets, _by_level(costs, joined)).cost
    )
    return bounded


def _best_sets(costs: RoundCosts, rounds: np.ndarray, joined: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A set with about that least sum, and the level of each device, (n, K)."""
    by_level = _by_level(costs, joined)
    if costs.unlike is None or not costs.dissimilarity.any():
        return _participants(costs, rounds, _least_of_levels(costs, joined)), np.argmin(by_level, axis=1)
    found = unlike_data.least_cost(costs.unlike, costs.sets.must[rounds], costs.sets.may[rounds], by_level)
    return found.participates, found.level


def _participants(costs: RoundCosts, rounds: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """A set with that least sum, (n, K)."""
    order, sums = _sums_by_count(costs, rounds, joined)
    count = np.argmin(sums, axis=1) + 1
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.broadcast_to(np.arange(joined.shape[1]), order.shape), axis=1)
    participants: np.ndarray = place < count[:, None]
    return participants


def _sums_by_count(costs: RoundCosts, rounds: np.ndarray, joined: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those who have to take part first and then the cheapest, and the sum over the first 1 to K of them, (n, K)."""
    must, may = costs.sets.must[rounds], costs.sets.may[rounds]
    possible = np.where(may, joined, np.inf)
    order = np.argsort(np.where(must, -np.inf, possible), axis=1)
    sums = np.cumsum(np.take_along_axis(possible, order, axis=1), axis=1) + costs.dissimilarity[rounds]
    too_few = np.arange(1, joined.shape[1] + 1) < np.sum(must, axis=1)[:, None]
    return order, np.where(too_few, np.inf, sums)


class _FinishTimes:
    """When each device of each round would be done, by the price of its finish; tabled, to be looked up backwards."""

    def __init__(self, costs: RoundCosts, num_prices: int) -> None:
        self._costs = costs
        top = np.maximum(costs.second, np.finfo(np.float64).tiny)
        share = np.geomspace(_LEAST_SHARE, 1.0, num_prices)
        num_rounds, num_devices = costs.joule.shape
        rounds = np.tile(np.arange(num_rounds), num_prices)
        finish = np.repeat((share[:, None] * top).reshape(-1, 1), num_devices, axis=1)
        seconds = device_costs(costs, rounds, finish).seconds
        shape = (num_prices, num_rounds, num_devices)
        # By falling price, so that times rise.
        self._log_s, self._log_price = (np.log(array).reshape(shape)[::-1].copy() for array in (seconds, finish))

    def prices(self, rounds: np.ndarray, duration_s: np.ndarray) -> np.ndarray:
        """Prices at which the devices are done in about that time, none above that of a second, (n, K)."""
        log_s, devices = np.log(duration_s)[:, None], np.arange(self._log_s.shape[2])
        below = np.clip(np.sum(self._log_s[:, rounds] <= log_s, axis=0) - 1, 0, len(self._log_s) - 2)
        at, after = ((row, rounds[:, None], devices) for row in (below, below + 1))
        low, high, first, second = self._log_s[at], self._log_s[after], self._log_price[at], self._log_price[after]
        # Where a clock, a power or a batch is at its limit, times do not tell prices apart.
        slope = np.where(high - low > _FLAT, (second - first) / np.maximum(high - low, _FLAT), 0.0)
        log_price = np.clip(first + slope * (log_s - low), second, first)
        # What the table leaves open between its rows.
        late = np.log(device_costs(self._costs, rounds, np.exp(log_price)).seconds) - log_s
        prices: np.ndarray = np.exp(np.clip(log_price - slope * late, second, first))
        return prices
