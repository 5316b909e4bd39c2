"""The clairvoyant optimum of a two-stage episode: the least learning bound that any policy could reach, proven."""

import numpy as np

from edgelearn_env.baselines.solvers import STRUCTURED, checked_solver
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.clairvoyant.proven_optimum import checked_single, proven_optimum
from edgelearn_env.baselines.stages.model.optimum import StagedOptimum
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction, Stages
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.two_stage.scenario import TwoStageScenario


def clairvoyant(
    scenario: TwoStageScenario,
    tape: Tape,
    *,
    gap: float = 1e-3,
    stages: Stages = "both",
    restriction: Restriction = UNRESTRICTED,
    solver: str = STRUCTURED,
    below: float = np.inf,
) -> StagedOptimum:
    """Find the best plan for a known tape over all numbers of rounds and all participants, and prove it.

    argmin over M, e, who takes part, batches, frequencies and powers of Phi, subject to budgets and batteries on this
    tape. Who takes part makes it mixed-integer convex: `baselines.priced` proves bounds by pricing what couples rounds,
    for all numbers of rounds at once, and solves a conic program for each set of participants that looks best.

    Args:
        scenario: the system.
        tape: of shape (T, K).
        gap: relative improvement not worth looking for.
        stages: keep to one stage to see what the other is worth; the bound is then for such plans only.
        restriction: what plans must keep to besides; likewise.
        solver: one of `SOLVER_NAMES`; it finds plans and multipliers, from which all bounds are our own.
        below: a value that is had anyway: once it is proven that none is below it, the search ends with what it found.

    Raises:
        InvalidInputError: the tape is not one tape that fits the scenario, or `stages` or `solver` is unknown.
        MissingExtraError: the solver is not installed.
        SolverError: the gap was not reached, or the best plan could not be replayed; it carries what was found.
    """
    tape = checked_single(tape, scenario)
    system = PricedEpisode(scenario, tape, restriction, stages=stages, solver=checked_solver(solver))
    return proven_optimum(system, StagedOptimum, gap=gap, below=below)
