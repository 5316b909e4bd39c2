"""From a system's priced rounds to its optimum: searched, replayed, put into whole batches, certified."""

from typing import TypeVar

import numpy as np

from edgelearn_env.baselines.optimum import Certificate
from edgelearn_env.baselines.priced.search import Proven, proven
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.clairvoyant.replayed_plan import Replayed, replayed_plan
from edgelearn_env.baselines.stages.clairvoyant.whole_batches import whole_plan
from edgelearn_env.baselines.stages.model.optimum import StagedOptimum
from edgelearn_env.baselines.stages.model.restriction import pairs_of
from edgelearn_env.errors import InvalidInputError, SolverError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape

Kind = TypeVar("Kind", bound=StagedOptimum)


def checked_single(tape: Tape, scenario: Scenario) -> Tape:
    """A tape, once it is known to be one that fits the scenario.

    Raises:
        InvalidInputError: it does not, or is a batch.
    """
    tape = tape.checked(scenario)
    if tape.channel_gain.ndim != 2:
        raise InvalidInputError(f"tape must have shape (T, K), got {tape.channel_gain.shape}")
    return tape


def proven_optimum(system: PricedEpisode, kind: type[Kind], *, gap: float, below: float) -> Kind:
    """The best plan of an episode, and a bound that no plan is below.

    Args:
        system: the episode.
        kind: of the system's optima.
        gap: relative improvement not worth looking for.
        below: a value that is had anyway: once it is proven that none is below it, the search ends.

    Raises:
        SolverError: the gap was not reached, or the best plan could not be replayed; it carries what was found.
    """
    found = proven(system, gap, allowed_pairs(system), below=below)
    return certified(system, kind, found, gap=gap, below=below)


def allowed_pairs(system: PricedEpisode) -> np.ndarray:
    """Which pairs of M and the end of the episode may be played, (T + 1, T + 1)."""
    horizon = system.scenario.budgets.max_rounds
    allowed = np.zeros((horizon + 1, horizon + 1), dtype=bool)
    # By M and the end of the episode, not by M and N.
    num_pretrain, num_finetune = np.nonzero(pairs_of(system.stages, horizon))
    allowed[num_pretrain, num_pretrain + num_finetune] = True
    return allowed


def certified(system: PricedEpisode, kind: type[Kind], found: Proven, *, gap: float, below: float) -> Kind:
    """The optimum that a search has found, replayed, in whole batches too, with its certificate.

    Args:
        system: the episode.
        kind: of the system's optima.
        found: the best plan, and what is proven of all, in terms of the learning bound.
        gap, below: as for `proven_optimum`; `below` in terms of the objective.

    Raises:
        SolverError: as `proven_optimum`.
    """
    replayed = replayed_plan(*found.best.plan)
    num_rounds = system.scenario.budgets.max_rounds + 1
    certificate = Certificate(
        value=system.objective_of(replayed.value),
        bound=system.objective_of(found.bound) * (1 - _ROUNDING),
        residual=replayed.residual,
        num_pairs=num_rounds * (num_rounds + 1) // 2,
        num_solved=found.num_solved,
        label="exact" if replayed.plan.has_whole_batches else "relaxation",
    )
    whole, achieved = whole_plan(replayed, system.solver)
    optimum = kind(
        plan=replayed.plan, whole_plan=whole, value=certificate.value, achieved=achieved, certificate=certificate
    )
    _require_success(optimum, replayed, min(certificate.value, below), gap)
    return optimum


def _require_success(optimum: StagedOptimum, replayed: Replayed, value: float, gap: float) -> None:
    """Refuse what is not as good as was asked for."""
    sentence = None
    if not replayed.succeeds:
        sentence = f"the best plan cannot be replayed: residual {replayed.residual:.2g}"
    elif value > optimum.bound * (1 + gap) * (1 + _SLACK):
        sentence = f"no plan was found within {gap:g} of the proven bound: {value:.9g} and {optimum.bound:.9g}"
    if sentence is not None:
        raise SolverError(sentence, optimum)


# Of the sums that make up a dual function in double precision; and of a replayed plan.
_ROUNDING, _SLACK = 1e-12, 1e-6
