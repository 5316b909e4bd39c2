"""Clairvoyant optima of many tapes, on all cores that this process may use."""

import functools
from collections.abc import Iterator

from joblib import delayed

from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.baselines.solvers import checked_solver
from edgelearn_env.baselines.two_stage.clairvoyant.search import Optimum, clairvoyant
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape


def clairvoyant_batch(
    scenario: Scenario,
    tapes: Tape,
    *,
    gap: float = 1e-5,
    solver: str = "clarabel",
    num_workers: int | None = None,
) -> Iterator[Optimum]:
    """The optimum of each tape in turn, as soon as it and those before it are proven.

    Args:
        scenario: the system.
        tapes: of shape (B, T, K).
        gap, solver: as for `clairvoyant`.
        num_workers: processes that work on it, as for `worker_count`; all cores that this process may use if None.

    Raises:
        InvalidInputError: the tapes do not fit the scenario, `solver` is unknown, or `num_workers` is below 1.
        MissingExtraError: the solver is not installed.
    """
    tapes = tapes.checked(scenario)
    if tapes.channel_gain.ndim != 3:
        raise InvalidInputError(f"tapes must have shape (B, T, K), got {tapes.channel_gain.shape}")
    if num_workers is not None and num_workers < 1:
        raise InvalidInputError(f"num_workers must be at least 1, got {num_workers}")
    solve = delayed(functools.partial(clairvoyant, gap=gap, solver=checked_solver(solver)))
    jobs = (solve(scenario, Tape(*arrays)) for arrays in zip(*tapes, strict=True))
    return shared_out(jobs, len(tapes.channel_gain), num_workers)
