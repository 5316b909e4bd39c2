"""A primal-dual interior-point method for an episode's program, by the structure of its Newton systems.

minimise f(x) subject to g(x) >= 0, f convex, g concave; with slacks s and multipliers z,

    grad f - J^T z = 0,   g(x) = s,   s z = mu,   s, z > 0,   mu -> 0

(Mehrotra's predictor and corrector). A step dx solves (H + J^T (z / s) J) dx = r. Batches and times of a device in a
round meet only its round's duration and its batteries before and after, so that they are eliminated, three numbers at a
time; what is left is banded, K + 1 numbers a round. The few constraints that concern all rounds, budgets and what
pre-training stores, and the server's rounds, which meet only those, form a small border. The band goes from the last
round to the first: what pre-training stores meets the batteries before the first round, which are eliminated last.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dpbtrf, dpbtrs

from edgelearn_env.baselines.one_thread import one_thread
from edgelearn_env.baselines.stages.structured.numbers import Computing, Numbers
from edgelearn_env.baselines.stages.structured.point import Point, Slopes
from edgelearn_env.baselines.stages.structured.rows import Rows, of_all_rounds

# The gap that is left, and what constraints and prices may be off, in units in which the bound is of order one.
_GAP, _RESIDUAL = 1e-7, 1e-7
_PRICE_RESIDUAL = 1e-6

# Steps before it is given up: programs without a solution have to end too.
_MOST_STEPS = 60

# Of the way to where a slack or a multiplier vanishes; and how much of it a corrector aims at, at least and at most.
_STEP_SHARE, _LEAST_AIM, _MOST_AIM = 0.99, 1e-4, 0.9

# Where slacks of couplings begin if there are none yet, and products of slacks and multipliers.
_FIRST_SLACK, _FIRST_PRODUCT = 0.3, 1e-3


class Solved(NamedTuple):
    """A solution: where, and the multipliers of all rows."""

    point: Point
    multipliers: np.ndarray


def solved(numbers: Numbers, *, thrifty: bool = False) -> Solved | None:
    """The program's solution; None where none of full accuracy was found in time, as where there is none.

    Args:
        numbers: of the program.
        thrifty: multiply the budgets by a share, and minimise that; batches have to be given.
    """
    # What is not finite is found out at the next step.
    with np.errstate(all="ignore"), one_thread:
        rows, point = Rows.of(numbers), Point.first(numbers)
        slack = rows.values(point, point.slopes(numbers))
        slack[: rows.num_couplings] = np.maximum(slack[: rows.num_couplings], _FIRST_SLACK)
        if not np.all(slack > 0):
            return None
        price = _FIRST_PRODUCT / slack
        for _ in range(_MOST_STEPS):
            slopes = point.slopes(numbers)
            missing = rows.values(point, slopes) - slack
            gradient = point.gradient(numbers, thrifty=thrifty) - rows.pulled(point, slopes, price)
            gradient = gradient if thrifty else gradient._replace(share=0.0)
            gap = float(slack @ price)
            if not np.isfinite(gap):
                return None
            if gap < _GAP and np.max(np.abs(missing)) < _RESIDUAL and gradient.largest() < _PRICE_RESIDUAL:
                return Solved(point, price)
            try:
                system = _NewtonSystem(numbers, rows, point, slopes, slack, price, thrifty=thrifty)
                _, along, upward = system.step(gradient, missing, -slack * price)
            except LinAlgError:
                return None
            ends = min(1.0, _longest(slack, along)), min(1.0, _longest(price, upward))
            ahead = float((slack + ends[0] * along) @ (price + ends[1] * upward))
            aim = gap / len(slack) * np.clip((ahead / gap) ** 3, _LEAST_AIM, _MOST_AIM)
            # Not below what the end asks for: couplings are curved, and have to keep up.
            aim = max(aim, 0.1 * _GAP / len(slack))
            step, along, upward = system.step(gradient, missing, aim - slack * price - along * upward)
            primal, dual = (min(1.0, _STEP_SHARE * _longest(*pair)) for pair in ((slack, along), (price, upward)))
            point, slack, price = point.moved(step, primal), slack + primal * along, price + dual * upward
    return None


def _longest(numbers: np.ndarray, step: np.ndarray) -> float:
    """How far positive numbers may go until one vanishes."""
    return float(1.0 / max(np.max(-step / numbers), 1e-300))


class _NewtonSystem:
    """The linear system of both steps from one point, eliminated as far as both have in common."""

    def __init__(
        self,
        numbers: Numbers,
        rows: Rows,
        point: Point,
        slopes: Slopes,
        slack: np.ndarray,
        price: np.ndarray,
        *,
        thrifty: bool,
    ) -> None:
        self._numbers, self._rows, self._point, self._slopes = numbers, rows, point, slopes
        self._slack, self._price, self._thrifty = slack, price, thrifty
        self._shape = point.battery.shape
        stiffness = rows.split(price / slack)
        self._eliminate_devices(stiffness, rows.split(price))
        self._eliminate_server(stiffness, rows.split(price))
        self._factor(stiffness)
        self._eliminate_border()

    def step(self, gradient: Point, missing: np.ndarray, product: np.ndarray) -> tuple[Point, np.ndarray, np.ndarray]:
        """The step of point, slacks and multipliers that changes products of the latter two by `product`.

        Args:
            gradient: grad f - J^T z.
            missing: g(x) - s.
            product: what s dz + z ds is to be.
        """
        rows, point, slopes = self._rows, self._point, self._slopes
        lifted = (product - self._price * missing) / self._slack
        free = lifted.copy()
        free[rows.border] = 0.0
        pull = rows.pulled(point, slopes, free) - gradient
        own = self._own.solve((pull.batch, pull.seconds, pull.upload))
        outer = self._outer_part(own)
        outer[:, 0] += pull.duration
        outer[:, 1:] += pull.battery
        outer[self._numbers.is_idle, 0] = 0.0
        outer = self._banded_solution(outer)
        server = self._server.solve((pull.server_batch, pull.server_s))
        reached = np.concatenate([np.tensordot(self._budgets_outer, outer, axes=([0, 1], [0, 1])), -outer[0, 1:]])
        reached[1] += _dot(self._energy_pull, own).sum()
        reached += sum(columns.T @ part for columns, part in zip(self._server_columns, server, strict=True))
        border = rows.border
        wanted = lifted[border] * self._slack[border] / self._price[border] - reached
        prices, share = self._border_solution(wanted, gradient.share)
        by_prices = self._budgets_outer @ prices[:2]
        by_prices[0, 1:] -= prices[2:]
        outer = outer + self._banded_solution(by_prices)
        duration, battery = outer[:, 0], outer[:, 1:]
        ahead = np.zeros(self._shape)
        ahead[:-1] = battery[1:]
        place = (self._numbers.round_index, self._numbers.device)
        outer_moves = duration[place[0]], battery[place], ahead[place]
        batch, seconds, upload = (
            mine + by_energy * prices[1] - _dot(by_outer, outer_moves)
            for mine, by_energy, *by_outer in zip(own, self._own_by_energy, *self._own_by_outer, strict=True)
        )
        server_batch, server_s = (
            part + columns @ prices for part, columns in zip(server, self._server_by_border, strict=True)
        )
        seconds = seconds + self._numbers.devices.follows * batch
        server_s = server_s + self._numbers.server.follows * server_batch
        step = Point(batch, seconds, upload, duration, battery, server_batch, server_s, share)
        along = rows.along(point, slopes, step) + missing
        return step, along, (product - self._price * along) / self._slack

    def _eliminate_devices(self, stiffness: dict[str, np.ndarray], price: dict[str, np.ndarray]) -> None:
        """Batches and times, three numbers for each device that takes part: how they follow the outer ones."""
        numbers, point, slopes = self._numbers, self._point, self._slopes
        own, place = numbers.devices, (numbers.round_index, numbers.device)
        after, stored = of_all_rounds(stiffness["store"], self._shape)[place], numbers.stored[place]
        joule = numbers.pay * price["pay"] + numbers.use * price["energy"]
        joule = joule + numbers.spend * of_all_rounds(price["store"], self._shape)[place]
        finish, pay = stiffness["finish"], numbers.pay * stiffness["pay"]
        spent = numbers.spend * after
        both = pay * numbers.pay + spent * numbers.spend
        gradient = slopes.energy
        busy = (numbers.stall, numbers.busy, np.ones(len(finish)))
        curved = slopes.curvature(numbers, point, joule)
        limits = {name: stiffness[name] for name in ("fastest", "slowest", "upload")}
        diagonal = [
            curved[0] + own.fastest**2 * limits["fastest"] + own.slowest**2 * limits["slowest"],
            curved[2] + limits["fastest"] + limits["slowest"],
            curved[3] + limits["upload"],
        ]
        if "least" in stiffness:
            diagonal[0] = diagonal[0] + stiffness["least"] + stiffness["most"]
        mixed = curved[1] - own.fastest * limits["fastest"] - own.slowest * limits["slowest"]
        matrix = [[finish * busy[i] * busy[j] + both * gradient[i] * gradient[j] for j in range(3)] for i in range(3)]
        for index in range(3):
            matrix[index][index] = matrix[index][index] + diagonal[index]
        self._own = _Three.of(matrix, mixed, own)
        by_duration = [-finish * b - spent * stored * e for b, e in zip(busy, gradient, strict=True)]
        by_battery = [-(pay + spent) * e for e in gradient]
        by_next = [spent * e for e in gradient]
        self._energy_pull = [-numbers.use * e for e in gradient]
        self._by_outer = [self._cut(part) for part in (by_duration, by_battery, by_next)]
        self._energy_pull = self._cut(self._energy_pull)
        self._own_by_outer = [self._own.solve(part) for part in self._by_outer]
        self._own_by_energy = self._own.solve(self._energy_pull)
        # What is left of each device's own part, by duration, battery and the next battery.
        outer = [[-_dot(one, other) for other in self._own_by_outer] for one in self._by_outer]
        stiff = stiffness["pay"]
        outer[0][0] = outer[0][0] + finish
        outer[1][1] = outer[1][1] + stiff
        self._outer = outer

    def _cut(self, parts: list[np.ndarray]) -> list[np.ndarray]:
        """Without what batches do that are given, and with what times do that follow batches in what these do."""
        own = self._numbers.devices
        batch, seconds, upload = parts
        return [(batch + own.follows * seconds) * own.varies, seconds * (own.follows == 0), upload]

    def _eliminate_server(self, stiffness: dict[str, np.ndarray], price: dict[str, np.ndarray]) -> None:
        """The server's batches and times: how they follow the border's multipliers."""
        numbers, point, slopes = self._numbers, self._point, self._slopes
        server = numbers.server
        joule = numbers.server_joule_use * price["energy"]
        batch, mixed, seconds = slopes.server_curvature(numbers, point, joule)
        low, high = stiffness["server_fastest"], stiffness["server_slowest"]
        batch = batch + server.fastest**2 * low + server.slowest**2 * high
        if "server_least" in stiffness:
            batch = batch + stiffness["server_least"] + stiffness["server_most"]
        mixed = mixed - server.fastest * low - server.slowest * high
        self._server = _Two.of(batch, mixed, seconds + low + high, server)
        count, num_border = len(low), self._rows.num_border
        columns = np.zeros((2, count, num_border))
        columns[1, :, 0] = -numbers.server_second_use
        columns[:, :, 1] = -numbers.server_joule_use * slopes.server_energy
        columns[1, :, 2:] = numbers.server_harvest.T
        columns[0] = (columns[0] + server.follows[:, None] * columns[1]) * server.varies[:, None]
        columns[1] *= (server.follows == 0)[:, None]
        self._server_columns = columns
        self._server_by_border = self._server.solve(columns)

    def _factor(self, stiffness: dict[str, np.ndarray]) -> None:
        """The banded matrix of durations and batteries, from the last round on: the duration, then K batteries."""
        numbers, (num_rounds, num_devices) = self._numbers, self._shape
        place = (numbers.round_index, numbers.device)
        store = of_all_rounds(stiffness["store"], self._shape)
        dense = {name: np.zeros(self._shape) for name in ("dd", "db", "da", "bb", "ba", "aa")}
        for (i, j), name in zip(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)), dense, strict=True):
            dense[name][place] = self._outer[i][j]
        stored = numbers.stored
        dense["dd"] += store * stored**2
        dense["db"] += store * stored
        dense["da"] -= store * stored
        dense["bb"] += store + stiffness["empty"].reshape(self._shape) + stiffness["full"].reshape(self._shape)
        dense["ba"] -= store
        dense["aa"] += store
        dense["bb"][1:] += dense["aa"][:-1]
        width, devices = num_devices + 1, np.arange(num_devices)
        moves = ~self._numbers.is_idle[:, None]
        bands = np.zeros((width + 1, num_rounds, width))
        backwards = bands[:, ::-1]
        backwards[0, :, 0] = np.where(self._numbers.is_idle, 1.0, np.sum(dense["dd"], axis=1))
        backwards[0, :, 1:] = dense["bb"]
        backwards[1:width, :, 0] = (dense["db"] * moves).T
        backwards[width, 1:, 1:] = dense["ba"][:-1]
        backwards[num_devices - devices, 1:, 1 + devices] = (dense["da"] * moves)[:-1].T
        # LAPACK's own routines: what scipy's functions check takes as long as they do.
        self._banded, info = dpbtrf(bands.reshape(width + 1, -1), lower=1)
        if info:
            raise LinAlgError("the matrix of durations and batteries is not positive definite")

    def _eliminate_border(self) -> None:
        """Of delay, energy and what each battery starts with: what is left when all else follows their multipliers."""
        numbers, rows, (num_rounds, num_devices) = self._numbers, self._rows, self._shape
        outer = np.zeros((num_rounds, num_devices + 1, 2))
        outer[:, :, 1] = self._outer_part(self._own_by_energy)
        outer[:, 0, 0] = -numbers.duration_use
        outer[numbers.is_idle, 0] = 0.0
        self._budgets_outer, by_budgets = outer, self._banded_solution(outer)
        # What is eliminated last has its part of the inverse in the last block of the factor.
        row, column = np.tril_indices(num_devices)
        last = np.zeros((num_devices, num_devices))
        last[row, column] = self._banded[row - column, column - num_devices]
        inverse = np.linalg.inv(last)
        matrix = np.empty((rows.num_border, rows.num_border))
        matrix[:2, :2] = np.tensordot(outer, by_budgets, axes=([0, 1], [0, 1]))
        matrix[2:, :2], matrix[:2, 2:] = -by_budgets[0, 1:], -by_budgets[0, 1:].T
        matrix[2:, 2:] = inverse.T @ inverse
        matrix[1, 1] += _dot(self._energy_pull, self._own_by_energy).sum()
        for columns, follow in zip(self._server_columns, self._server_by_border, strict=True):
            matrix += columns.T @ follow
        matrix[np.diag_indices(rows.num_border)] += self._slack[rows.border] / self._price[rows.border]
        if self._thrifty:
            by_share = np.zeros(rows.num_border)
            by_share[:2] = numbers.delay, numbers.energy
            matrix = np.block([[matrix, by_share[:, None]], [by_share, np.zeros(1)]])
        self._border = matrix

    def _border_solution(self, wanted: np.ndarray, share: float) -> tuple[np.ndarray, float]:
        """The border's multipliers, and the budgets' share if that is minimised."""
        if not self._thrifty:
            return np.linalg.solve(self._border, wanted), 0.0
        solution = np.linalg.solve(self._border, np.append(wanted, share))
        return solution[:-1], float(solution[-1])

    def _banded_solution(self, right: np.ndarray) -> np.ndarray:
        """Durations and batteries for right sides by rounds, (N, 1 + K) or (N, 1 + K, n)."""
        backwards = np.ascontiguousarray(right[::-1])
        solution, _ = dpbtrs(self._banded, backwards.reshape(self._banded.shape[1], -1), lower=1)
        solved: np.ndarray = solution.reshape(right.shape)[::-1]
        return solved

    def _outer_part(self, own: list[np.ndarray]) -> np.ndarray:
        """What devices' own numbers do to durations and batteries, with its sign turned, (N, 1 + K)."""
        numbers, made = self._numbers, np.zeros((self._shape[0], self._shape[1] + 1))
        made[numbers.round_index, 1 + numbers.device] -= _dot(self._by_outer[1], own)
        later = numbers.round_index < self._shape[0] - 1
        made[numbers.round_index[later] + 1, 1 + numbers.device[later]] -= _dot(self._by_outer[2], own)[later]
        by_duration = _dot(self._by_outer[0], own)
        made[:, 0] -= np.bincount(numbers.round_index, weights=by_duration, minlength=self._shape[0])
        return made


class _Three(NamedTuple):
    """Symmetric matrices of three rows, factored as L D L^T, one for each of C."""

    low: tuple[np.ndarray, np.ndarray, np.ndarray]
    diagonal: tuple[np.ndarray, np.ndarray, np.ndarray]

    @classmethod
    def of(cls, matrix: list[list[np.ndarray]], mixed: np.ndarray, own: Computing) -> "_Three":
        """Of these matrices, `mixed` added between batch and time; each alone where there is no choice of it."""
        varies, follows, free = own.varies, own.follows, own.follows == 0
        mixed = matrix[0][1] + mixed
        first = np.where(varies, matrix[0][0] + 2 * follows * mixed + follows**2 * matrix[1][1], 1.0)
        one, other = mixed * varies * free, (matrix[0][2] + follows * matrix[1][2]) * varies
        low = one / first, other / first
        second = np.where(free, matrix[1][1], 1.0) - low[0] * one
        rest = matrix[1][2] * free - low[0] * other
        last = rest / second
        return cls((*low, last), (first, second, matrix[2][2] - low[1] * other - last * rest))

    def solve(self, right: tuple[np.ndarray, ...] | list[np.ndarray]) -> list[np.ndarray]:
        """Their solutions for right sides, three rows of (C,)."""
        (low, lower, last), (first, second, third) = self
        x = right[0]
        y = right[1] - low * x
        z = (right[2] - lower * x - last * y) / third
        y = y / second - last * z
        return [x / first - low * y - lower * z, y, z]


class _Two(NamedTuple):
    """Symmetric matrices of two rows, one for each of M."""

    batch: np.ndarray
    mixed: np.ndarray
    seconds: np.ndarray
    determinant: np.ndarray

    @classmethod
    def of(cls, batch: np.ndarray, mixed: np.ndarray, seconds: np.ndarray, own: Computing) -> "_Two":
        """Of these entries; batch and time each alone where there is no choice of it."""
        follows, free = own.follows, own.follows == 0
        batch = np.where(own.varies, batch + 2 * follows * mixed + follows**2 * seconds, 1.0)
        mixed, seconds = mixed * own.varies * free, np.where(free, seconds, 1.0)
        return cls(batch, mixed, seconds, batch * seconds - mixed**2)

    def solve(self, right: tuple[np.ndarray, ...] | np.ndarray) -> list[np.ndarray]:
        """Their solutions for right sides, two rows of (M,) or (M, n)."""
        one, other = right
        entries = [part[:, None] if one.ndim == 2 else part for part in self]
        batch, mixed, seconds, determinant = entries
        return [(seconds * one - mixed * other) / determinant, (batch * other - mixed * one) / determinant]


def _dot(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> np.ndarray:
    """Sums of products, entry by entry."""
    total: np.ndarray = one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
    return total
