"""The clairvoyant optimum of a tape of any system, and of many tapes on all cores."""

import functools
import math
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

from joblib import delayed

from edgelearn_env.baselines.optimum import Optimum
from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.baselines.solvers import STRUCTURED, checked_solver
from edgelearn_env.errors import InvalidInputError, SolverError
from edgelearn_env.scenarios.scenario import Scenario, system_of
from edgelearn_env.scenarios.systems import located
from edgelearn_env.tapes.tape import Tape


def clairvoyant(scenario: Scenario, tape: Tape, *, gap: float = 1e-3, **search: Any) -> Optimum:
    """The best plan for a known tape over all that can be decided, with a bound that no policy can pass.

    Args:
        scenario: of any system.
        tape: of shape (T, K).
        gap: relative improvement not worth looking for, above 0.
        search: further arguments of that system's own solver.

    Raises:
        InvalidInputError: the tape is not one tape that fits the scenario, or an argument is wrong.
        MissingExtraError: the solver is not installed.
        SolverError: the bound or the plan could not be had to that accuracy.
    """
    found: Optimum = located(system_of(scenario).optimum)(scenario, tape, gap=checked_gap(gap), **search)
    return found


def clairvoyant_batch(
    scenario: Scenario,
    tapes: Tape,
    *,
    gap: float = 1e-3,
    solver: str = STRUCTURED,
    num_workers: int | None = None,
) -> Iterator[Optimum]:
    """The optimum of each tape in turn, as soon as it and those before it are proven.

    Where the gap is not reached, it is the best that was found: its certificate says how good that is.

    Args:
        scenario: of any system.
        tapes: of shape (B, T, K).
        gap, solver: as for `clairvoyant`.
        num_workers: processes that work on it, as for `worker_count`; all cores that this process may use if None.

    Raises:
        InvalidInputError: the tapes do not fit the scenario, or another argument is wrong.
        MissingExtraError: the solver is not installed.
    """
    tapes = tapes.checked(scenario)
    if tapes.channel_gain.ndim != 3:
        raise InvalidInputError(f"tapes must have shape (B, T, K), got {tapes.channel_gain.shape}")
    if num_workers is not None and not (isinstance(num_workers, Integral) and num_workers >= 1):
        raise InvalidInputError(f"num_workers must be a whole number, at least 1, got {num_workers!r}")
    solve = delayed(functools.partial(_best_found, gap=checked_gap(gap), solver=checked_solver(solver)))
    jobs = (solve(scenario, tape) for tape in tapes.each())
    return shared_out(jobs, len(tapes.channel_gain), num_workers)


def checked_gap(gap: float, name: str = "gap") -> float:
    """The gap, once it is known to be one.

    Raises:
        InvalidInputError: it is no finite number above 0; the sentence calls it `name`.
    """
    if isinstance(gap, bool) or not (isinstance(gap, Real) and 0 < gap < math.inf):
        raise InvalidInputError(f"{name} must be a finite number above 0, got {gap!r}")
    return float(gap)


def _best_found(scenario: Scenario, tape: Tape, **search: Any) -> Optimum:
    """The optimum, or what comes nearest to it."""
    try:
        return clairvoyant(scenario, tape, **search)
    except SolverError as error:
        if error.found is None:
            raise
        found: Optimum = error.found
        return found
