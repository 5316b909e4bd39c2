"""Successive convex approximation for the static joint design: the reference that `static_design` is judged by.

For fixed (M, N), with all rounds of a stage alike, batches b, frequencies f and powers p multiply each other in times
and energies. Around a point each product of positive factors is replaced by a convex term above it (`sca_program`),
exact at the point, so that every approximation is feasible and no worse than the last. The best (M, N) is looked for
by a search in both numbers.

This is how arXiv:2404.00836 is described to solve its problem P1; the approximations are our own.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from edgelearn_env.baselines.stages.static.rounds import StaticConstants
from edgelearn_env.baselines.two_stage.static.sca_program import Approximation, Point, terms_at
from edgelearn_env.two_stage.scenario import TwoStageScenario


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ScaDesign:
    """The best design found.

    Attributes:
        num_pretrain_rounds, num_finetune_rounds: M and N.
        server_batch, server_freq_hz: of every pre-training round.
        batch, freq_hz, power_w: of each device in every fine-tuning round, (K,).
        value: Phi, real-valued batches, to the accuracy of the solver.
        num_pairs: pairs (M, N) looked at.
        num_programs: convex programs solved.
    """

    num_pretrain_rounds: int
    num_finetune_rounds: int
    server_batch: float
    server_freq_hz: float
    batch: np.ndarray
    freq_hz: np.ndarray
    power_w: np.ndarray
    value: float
    num_pairs: int
    num_programs: int


# Of one pair: relative improvement that ends it, most approximations, and the excess that counts as infeasible.
_IMPROVEMENT, _MOST_PROGRAMS, _EXCESS = 1e-7, 60, 1e-6


def sca_design(scenario: TwoStageScenario) -> ScaDesign:
    """Look for the best design over all numbers of rounds.

    argmin over M of the least Phi over N, both by golden-section search over whole numbers: Phi has a single valley in
    N, and with the two-stage objective in (M, N). Nothing is proven.

    Args:
        scenario: the system; `learning.objective` says which Phi.
    """
    search, most = _Search(scenario), scenario.budgets.max_rounds

    def least_over_finetune_rounds(num_pretrain: int) -> float:
        num_finetune = _golden_section(lambda n: search.value(num_pretrain, n), most - num_pretrain)
        return search.value(num_pretrain, num_finetune)

    _golden_section(least_over_finetune_rounds, most)
    return search.design()


def _golden_section(value: Callable[[int], float], high: int) -> int:
    """The whole number from 0 to `high` with the least value; where two are infinite the answer lies below them."""
    low = 0
    while high - low > _FEW:
        inner = round((high - low) * _GOLDEN)
        if value(low + inner) <= value(high - inner):
            high = high - inner
        else:
            low = low + inner
    return min(range(low, high + 1), key=value)


# The smaller part of a golden section; numbers of which each is looked at.
_GOLDEN, _FEW = (3 - math.sqrt(5)) / 2, 4


class _Search:
    """Pairs that were looked at, the best of them, and the program that is solved for each."""

    def __init__(self, scenario: TwoStageScenario) -> None:
        self._constants = StaticConstants.of(scenario)
        self._program = Approximation(len(self._constants.device_noise))
        self._values: dict[tuple[int, int], float] = {}
        self._best = _first_point(self._constants)
        self.best_pair = (0, 0)

    def value(self, num_pretrain: int, num_finetune: int) -> float:
        """Phi of one pair by successive approximation, infinite if the budgets do not allow it."""
        pair = (num_pretrain, num_finetune)
        if pair not in self._values:
            start, best = float(self._constants.start[pair]), self._best
            noise, point = _solve_pair(self._program, self._constants, pair, best) if sum(pair) else (0.0, best)
            self._values[pair] = float(self._constants.unit[pair]) * (start + noise)
            if self._values[pair] <= self._values.get(self.best_pair, np.inf):
                self.best_pair, self._best = pair, point
        return self._values[pair]

    def design(self) -> ScaDesign:
        """The best pair's point in physical units."""
        best = self._best
        return ScaDesign(
            num_pretrain_rounds=self.best_pair[0],
            num_finetune_rounds=self.best_pair[1],
            server_batch=float(best.server_batch[0]),
            server_freq_hz=float(best.server_freq_hz[0]),
            batch=best.batch,
            freq_hz=best.freq_hz,
            power_w=best.power_w,
            value=self._values[self.best_pair],
            num_pairs=len(self._values),
            num_programs=self._program.num_programs,
        )


def _first_point(constants: StaticConstants) -> Point:
    """Single samples, middling clocks, full power."""
    server, devices = constants.server, constants.devices
    return Point(
        server_batch=np.ones(1),
        server_freq_hz=np.sqrt([server.freq_min_hz * server.freq_max_hz]),
        batch=np.ones(len(constants.device_noise)),
        freq_hz=np.sqrt(devices.freq_min_hz * devices.freq_max_hz),
        power_w=np.array(constants.uplink.power_max_w),
        upload_s=constants.least_upload_s,
    )


def _solve_pair(
    program: Approximation, constants: StaticConstants, pair: tuple[int, int], point: Point
) -> tuple[float, Point]:
    """X of a pair, infinite if the budgets do not allow it, and the point that the approximations end at."""
    start = float(constants.start[pair])
    noise = np.inf
    for _ in range(_MOST_PROGRAMS):
        ratios, excess = program.solve(terms_at(constants, pair, point), start)
        point = Point(*(values * ratio for values, ratio in zip(point, ratios, strict=True)))
        before, noise = noise, _noise(constants, pair, point)
        if excess <= _EXCESS and abs(before - noise) <= _IMPROVEMENT * (start + noise):
            return noise, point
    return (noise if excess <= _EXCESS else np.inf), point


def _noise(constants: StaticConstants, pair: tuple[int, int], point: Point) -> float:
    """X with the same batch in all rounds of a stage."""
    weight, count = constants.server_rounds(pair[0])
    return float(count @ weight / point.server_batch[0] + pair[1] * np.sum(constants.device_noise / point.batch))
