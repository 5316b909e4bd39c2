"""What whole numbers of rounds cost: a lower bound on two-stage designs with real-valued numbers of rounds.

Where every round costs more than it takes off a bound v, that is (A_i + xi) >= v eta_i for both stages i, no numbers of
rounds reach v, provided that the budgets at their prices are worth no more than the start,
lambda T + nu E + xi R <= 2 G_0. Hence

    Phi >= max over prices of min((A_0 + xi) / eta_0, (A_1 + xi) / eta),

with A_i the least noise + lambda seconds + nu joules of one round of stage i, drift and downlink included, xi the price
of a round and R the rounds on the tape. It is an equality, by convexity in (M, N) and in what all rounds of a stage use
together. Every choice of prices proves its value; the maximum is found in the share of 2 G_0 that time has in what is
not spent on rounds, and, only where the tape is too short, in the share of rounds.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.stages.static.round_counts import Prices
from edgelearn_env.baselines.stages.static.rounds import LeastCost, StaticConstants, device_costs, server_costs
from edgelearn_env.stages.bounds import TwoStageBound

# Of a maximum: relative gap, most points, first move from the first point, and how near shares come to 0 and 1.
_GAP, _MOST_POINTS, _FIRST_MOVE, _EDGE = 1e-10, 40, 0.01, 1e-9

# Of a split of the price of time: most steps, relative differences left, least curvature.
_MOST_SPLITS, _UNEVEN, _CURVATURE, _ROUNDING = 60, 1e-10, 1e-2, 1e-14


class _Line(NamedTuple):
    """The tangent at `at` of a concave function of one share; `by_rounds` is its slope in the share of rounds."""

    at: float
    value: float
    slope: float
    stage: int
    by_rounds: float


class _Peak(NamedTuple):
    """The greatest value found, where, and the derivative of the maximum in the share of rounds."""

    value: float
    at: float
    by_rounds: float


def real_rounds_bound(constants: StaticConstants, bound: TwoStageBound, prices: Prices) -> float:
    """No two-stage design has a smaller Phi, even with real-valued numbers of rounds.

    Args:
        constants: the scenario's constants.
        bound: its learning bound.
        prices: to begin with; those of the best whole-numbered design are near.
    """
    relaxation = _Relaxation(constants, bound, prices)
    without_price = relaxation.peak(0.0)
    if without_price.by_rounds <= 0:
        return without_price.value

    def tangents(share: float) -> list[_Line]:
        peak = relaxation.peak(share)
        return [_Line(share, peak.value, peak.by_rounds, 0, 0.0)]

    return max(_greatest(tangents, 0.2).value, without_price.value)


class _Relaxation:
    """The dual function of the real-valued design, in units of X; it remembers where the last peak was."""

    def __init__(self, constants: StaticConstants, bound: TwoStageBound, prices: Prices) -> None:
        budgets, time = constants.scenario.budgets, float(np.sum(prices.finish))
        worth = time * budgets.delay_s + prices.energy * budgets.energy_j
        self._constants, self._bound, self._budgets = constants, bound, budgets
        self._time_share = time * budgets.delay_s / worth if worth > 0 else 0.5
        even = np.full(len(prices.finish), 1.0 / len(prices.finish))
        self._split = prices.finish / time if time > 0 else even

    def peak(self, rounds_share: float) -> _Peak:
        """Best value over the share of time."""
        peak = _greatest(lambda share: self._tangents(share, rounds_share), _FIRST_MOVE, self._time_share)
        self._time_share = peak.at
        return peak

    def _tangents(self, share: float, rounds_share: float) -> list[_Line]:
        """(A_i + xi) / eta_i of both stages, with their slopes."""
        constants, bound, radio, budgets = self._constants, self._bound, self._constants.scenario.radio, self._budgets
        device_noise = bound.device_step_size * bound.device_noise
        start = 2 * bound.initial_gap / device_noise
        worth, a_round = start * (1 - rounds_share), start * rounds_share / budgets.max_rounds
        time, energy = worth * share / budgets.delay_s, worth * (1 - share) / budgets.energy_j
        server = server_costs(constants, (np.array([constants.server_noise]), np.ones(1)), time, energy)
        finish, devices = _finishing_together(constants, time * self._split, energy)
        self._split = finish / time
        drift = bound.drift / device_noise
        downlink = time * radio.downlink_s + energy * radio.downlink_j
        seconds = (server.seconds, float(self._split @ devices.seconds) + radio.downlink_s)
        joules = (server.joules, float(np.sum(devices.joules)) + radio.downlink_j)
        costs = (server.cost + drift, float(np.sum(devices.cost)) + downlink)
        lines = []
        for stage, step_size in enumerate((bound.server_step_size, bound.device_step_size)):
            scale = device_noise / step_size
            of_time, of_energy = seconds[stage] / budgets.delay_s, joules[stage] / budgets.energy_j
            by_rounds = start / budgets.max_rounds - start * (share * of_time + (1 - share) * of_energy)
            slope = worth * (of_time - of_energy)
            lines.append(_Line(share, scale * (costs[stage] + a_round), scale * slope, stage, scale * by_rounds))
        return lines


def _finishing_together(constants: StaticConstants, finish: np.ndarray, energy: float) -> tuple[np.ndarray, LeastCost]:
    """Prices of a second of each device with the same sum, at which the round's least cost is greatest.

    There all devices take equally long. Newton's method on the logarithms of prices and of times, damped where the cost
    would not rise; as any split proves a bound, a step too few only loosens it.
    """
    time, damping = float(np.sum(finish)), 0.0
    devices = device_costs(constants, finish, energy)
    for _ in range(_MOST_SPLITS):
        seconds = devices.seconds
        mean_s = float(finish @ seconds) / time
        if finish @ np.abs(seconds - mean_s) <= _UNEVEN * time * mean_s:
            break
        elasticity = np.minimum(devices.time_time / (finish * seconds), -_CURVATURE) - damping
        logarithm = np.log(seconds)
        common = np.sum(finish * logarithm / elasticity) / np.sum(finish / elasticity)
        tried = finish * np.exp(np.clip((common - logarithm) / elasticity, -3.0, 3.0))
        tried *= time / np.sum(tried)
        tried_devices = device_costs(constants, tried, energy)
        if np.sum(tried_devices.cost) >= np.sum(devices.cost) * (1 - _ROUNDING):
            finish, devices, damping = tried, tried_devices, damping / 5
        else:
            damping = max(10 * damping, 1e-3)
    return finish, devices


def _greatest(tangents: Callable[[float], list[_Line]], move: float, first: float = 0.0) -> _Peak:
    """Greatest value of the least of some concave functions of a share, from their tangents.

    A rising and a falling tangent enclose the peak. Where they belong to one function the next point is where its
    slope would vanish if it were straight, else, and where that moved the same end twice, where the two tangents meet.
    """
    share = float(np.clip(first, _EDGE, 1 - _EDGE))
    best = line = _least(tangents(share))
    left: _Line | None = None
    right: _Line | None = None
    last_slope = 0.0
    for _ in range(_MOST_POINTS):
        best = max(best, line, key=lambda tangent: tangent.value)
        same_end, last_slope = line.slope * last_slope > 0, line.slope
        left, right = (line, right) if line.slope > 0 else (left, line)
        if left is not None and right is not None:
            meet = _meeting(left, right)
            if left.value + left.slope * (meet - left.at) <= best.value * (1 + _GAP):
                return _Peak(best.value, best.at, _flat(left, right, left.by_rounds, right.by_rounds))
            share = meet if left.stage != right.stage or same_end else _flat(left, right, left.at, right.at)
        elif line.slope == 0 or share == (_EDGE if left is None else 1 - _EDGE):
            break
        else:
            share, move = float(np.clip(share + (move if right is None else -move), _EDGE, 1 - _EDGE)), 4 * move
        line = _least(tangents(share))
    return _Peak(best.value, best.at, best.by_rounds)


def _least(tangents: list[_Line]) -> _Line:
    return min(tangents, key=lambda tangent: tangent.value)


def _meeting(left: _Line, right: _Line) -> float:
    """Where a rising and a falling tangent meet."""
    fall = right.value - left.value + left.slope * left.at - right.slope * right.at
    return float(np.clip(fall / (left.slope - right.slope), left.at, right.at))


def _flat(left: _Line, right: _Line, of_left: float, of_right: float) -> float:
    """The mean of two values with the weights at which the two slopes cancel."""
    weight = left.slope / (left.slope - right.slope)
    return of_left + weight * (of_right - of_left)
