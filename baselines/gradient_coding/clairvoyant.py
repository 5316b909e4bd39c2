"""The clairvoyant optimum of an episode with codes: the least learning bound that any policy could reach, proven."""

import dataclasses
from typing import ClassVar

import numpy as np

from edgelearn_env.baselines.gradient_coding.model.coded_episode import CodedPlan
from edgelearn_env.baselines.gradient_coding.priced_codes import PricedCodes
from edgelearn_env.baselines.solvers import STRUCTURED, checked_solver
from edgelearn_env.baselines.stages.clairvoyant.proven_optimum import checked_single, proven_optimum
from edgelearn_env.baselines.stages.model.optimum import StagedOptimum
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction, Stages
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.tapes.tape import Tape


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CodedOptimum(StagedOptimum):
    """The clairvoyant optimum of one tape with its stragglers; an `edgelearn_env.baselines.Optimum`."""

    plan_kind: ClassVar = CodedPlan


def clairvoyant(
    scenario: GradientCodingScenario,
    tape: Tape,
    *,
    gap: float = 1e-3,
    stages: Stages = "both",
    restriction: Restriction = UNRESTRICTED,
    solver: str = STRUCTURED,
    below: float = np.inf,
) -> CodedOptimum:
    """Find the best plan for a known tape over all numbers of rounds, codes and participants, and prove it.

    argmin over M, e, each round's code, who works, batches, frequencies and powers of Phi, subject to budgets and
    batteries, all stragglers being known. Codes and participants make it mixed-integer convex: `baselines.priced`
    proves bounds by pricing what couples rounds and telling all choices of each round apart, for all numbers of rounds
    at once, and solves a conic program for each course of choices that looks best.

    Args:
        scenario: the system.
        tape: of shape (T, K), with what it hides.
        gap: relative improvement not worth looking for.
        stages: keep to one stage to see what the other is worth; the bound is then for such plans only.
        restriction: what plans must keep to besides; likewise.
        solver: one of `SOLVER_NAMES`; it finds plans and multipliers, from which all bounds are our own.
        below: a value that is had anyway: once it is proven that none is below it, the search ends with what it found.

    Raises:
        InvalidInputError: the tape is not one tape that fits the scenario, `stages` or `solver` is unknown, or codes
            leave too many choices.
        MissingExtraError: the solver is not installed.
        SolverError: the gap was not reached, or the best plan could not be replayed; it carries what was found.
    """
    tape = checked_single(tape, scenario)
    system = PricedCodes(scenario, tape, restriction, stages=stages, solver=checked_solver(solver))
    return proven_optimum(system, CodedOptimum, gap=gap, below=below)
