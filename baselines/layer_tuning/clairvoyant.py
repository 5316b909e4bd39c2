"""The clairvoyant optimum of an episode of layer tuning: the least bound that any policy could reach, proven."""

import dataclasses
from typing import ClassVar

import numpy as np

from edgelearn_env.baselines.layer_tuning.model.layer_episode import LayerPlan
from edgelearn_env.baselines.layer_tuning.priced_layers import PricedLayers
from edgelearn_env.baselines.priced.search import Proven, proven
from edgelearn_env.baselines.solvers import STRUCTURED, checked_solver
from edgelearn_env.baselines.stages.clairvoyant.proven_optimum import allowed_pairs, certified, checked_single
from edgelearn_env.baselines.stages.model.optimum import StagedOptimum
from edgelearn_env.baselines.stages.model.restriction import Stages
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.tapes.tape import Tape


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LayerOptimum(StagedOptimum):
    """The clairvoyant optimum of one tape over all nets and levels; an `edgelearn_env.baselines.Optimum`.

    Its value and its bound are of J, the bound on the task loss.
    """

    plan_kind: ClassVar = LayerPlan


def clairvoyant(
    scenario: LayerTuningScenario,
    tape: Tape,
    *,
    gap: float = 1e-3,
    stages: Stages = "both",
    solver: str = STRUCTURED,
    below: float = np.inf,
) -> LayerOptimum:
    """Find the best plan for a known tape over all nets, numbers of rounds, levels and participants, and prove it.

    argmin over l, M, e, who takes part at which level, batches, frequencies and powers of J = floor_l + Phi_l / (2 mu),
    subject to budgets, batteries and memories. For each net it is mixed-integer convex, as `baselines.priced` proves it
    by pricing what couples rounds; nets are searched one after the other, the likeliest first, each for nothing but
    what is better than the best of those before.

    Args:
        scenario: the system.
        tape: of shape (T, K).
        gap: relative improvement not worth looking for.
        stages: keep to one stage to see what the other is worth; the bound is then for such plans only.
        solver: one of `SOLVER_NAMES`; it finds plans and multipliers, from which all bounds are our own.
        below: a value that is had anyway: once it is proven that none is below it, the search ends with what it found.

    Raises:
        InvalidInputError: the tape is not one tape that fits the scenario, or `stages` or `solver` is unknown.
        MissingExtraError: the solver is not installed.
        SolverError: the gap was not reached, or the best plan could not be replayed; it carries what was found.
    """
    tape = checked_single(tape, scenario)
    places = range(scenario.networks.num_depths)
    systems = [PricedLayers(scenario, tape, place, stages=stages, solver=checked_solver(solver)) for place in places]
    systems.sort(key=lambda system: system.objective_of(system.first_guess().phi))
    found: list[tuple[PricedLayers, Proven]] = []
    least, bound = below, np.inf
    for system in systems:
        # A value of this net that is worth looking for: J (1 + gap) is below the best known.
        most = (least - (1 + gap) * system.objective_of(0.0)) / (system.objective_of(1.0) - system.objective_of(0.0))
        if most <= 0:
            bound = min(bound, least / (1 + gap))
            continue
        found.append((system, proven(system, gap, allowed_pairs(system), below=most)))
        least = min(least, system.objective_of(found[-1][1].best.value))
        bound = min(bound, system.objective_of(found[-1][1].bound))
    return _best_of(found, bound, gap, below)


def _best_of(found: list[tuple[PricedLayers, Proven]], bound: float, gap: float, below: float) -> LayerOptimum:
    """The best of what was found with each net, and a bound on all."""
    system, best = min(found, key=lambda pair: pair[0].objective_of(pair[1].best.value))
    per_phi = system.objective_of(1.0) - system.objective_of(0.0)
    whole = Proven(
        best=best.best,
        bound=(bound - system.objective_of(0.0)) / per_phi,
        num_solved=sum(proof.num_solved for _, proof in found),
    )
    return certified(system, LayerOptimum, whole, gap=gap, below=below)
