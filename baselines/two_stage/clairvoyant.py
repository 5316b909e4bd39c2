"""The clairvoyant optimum of an episode: the least learning bound that any policy could reach, with a proof."""

import numpy as np

from edgelearn_env.baselines.optimum import Certificate
from edgelearn_env.baselines.priced.search import proven
from edgelearn_env.baselines.solvers import checked_solver
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.clairvoyant.replayed_plan import Replayed, replayed_plan
from edgelearn_env.baselines.stages.clairvoyant.whole_batches import whole_plan
from edgelearn_env.baselines.stages.model.optimum import TwoStageOptimum
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction, Stages, pairs_of
from edgelearn_env.errors import InvalidInputError, SolverError
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario


def clairvoyant(
    scenario: TwoStageScenario,
    tape: Tape,
    *,
    gap: float = 1e-3,
    stages: Stages = "both",
    restriction: Restriction = UNRESTRICTED,
    solver: str = "clarabel",
    below: float = np.inf,
) -> TwoStageOptimum:
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
        solver: one of `SOLVERS`; it finds plans and multipliers, from which all bounds are our own.
        below: a value that is had anyway: once it is proven that none is below it, the search ends with what it found.

    Raises:
        InvalidInputError: the tape is not one tape that fits the scenario, or `stages` or `solver` is unknown.
        MissingExtraError: the solver is not installed.
        SolverError: the gap was not reached, or the best plan could not be replayed; it carries what was found.
    """
    tape = tape.checked(scenario)
    if tape.channel_gain.ndim != 2:
        raise InvalidInputError(f"tape must have shape (T, K), got {tape.channel_gain.shape}")
    rounds = np.arange(scenario.budgets.max_rounds + 1)
    # By M and the end of the episode, not by M and N.
    allowed = np.zeros((len(rounds), len(rounds)), dtype=bool)
    num_pretrain, num_finetune = np.nonzero(pairs_of(stages, scenario.budgets.max_rounds))
    allowed[num_pretrain, num_pretrain + num_finetune] = True
    system = PricedEpisode(scenario, tape, restriction, stages=stages, solver=checked_solver(solver))
    found = proven(system, gap, allowed, below=below)
    replayed = replayed_plan(*found.best.plan)
    certificate = Certificate(
        value=replayed.value,
        bound=found.bound * (1 - _ROUNDING),
        residual=replayed.residual,
        num_pairs=len(rounds) * (len(rounds) + 1) // 2,
        num_solved=found.num_solved,
        label="exact" if replayed.plan.has_whole_batches else "relaxation",
    )
    whole = whole_plan(replayed, checked_solver(solver))
    optimum = TwoStageOptimum(
        plan=replayed.plan,
        whole_plan=whole,
        value=replayed.value,
        achieved=float(rollout(scenario, tape, whole).objective[0]),
        certificate=certificate,
    )
    _require_success(optimum, replayed, min(replayed.value, below), gap)
    return optimum


def _require_success(optimum: TwoStageOptimum, replayed: Replayed, value: float, gap: float) -> None:
    """Refuse what is not as good as was asked for."""
    sentence = None
    if not replayed.succeeds:
        sentence = f"the best plan cannot be replayed: residual {replayed.residual:.2g}"
    elif value > optimum.bound * (1 + gap) * (1 + _SLACK):
        sentence = f"no plan was found within {gap:g} of the proven bound: {value:g} and {optimum.bound:g}"
    if sentence is not None:
        raise SolverError(sentence, optimum)


# Of the sums that make up a dual function in double precision; and of a replayed plan.
_ROUNDING, _SLACK = 1e-12, 1e-6
