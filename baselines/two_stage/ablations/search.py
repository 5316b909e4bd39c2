"""Ablations solved, at the best places for what they fix: on the mean channel, or on a tape."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgelearn_env.baselines.stages.model.optimum import StagedOptimum
from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.two_stage.ablations.problems import ABLATIONS, Restricted
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.baselines.two_stage.static.design import StaticDesign, static_design
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import checked_scenario
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.two_stage.scenario import TwoStageScenario

# Places are sixteenths of a range. In the presets, that is a factor of 1.15 in clocks, 1.36 in the devices' batches and
# 1.6 in their powers.
FINENESS = 16

# The index of a place for each thing that an ablation fixes.
Indices = tuple[int, ...]


def ablated_design(name: str, scenario: TwoStageScenario) -> StaticDesign:
    """The best static design under an ablation.

    Places are searched on a grid of every fourth one, then among the neighbours of the best that are two places away,
    and one place.

    Args:
        name: one of `ABLATIONS`.
        scenario: the system.

    Raises:
        InvalidInputError: at no place can the budgets pay for one round.
    """
    return _best_design(name, scenario)[1]


def ablated_optimum(name: str, scenario: TwoStageScenario, tape: Tape, *, gap: float = 1e-3) -> StagedOptimum:
    """The best plan for a known tape under an ablation.

    The search begins where the mean channel's ends, and moves on to the next place as long as that helps. The bound is
    proven for all plans at the places where it ends; that no others are better is not.

    Args:
        name: one of `ABLATIONS`.
        scenario: the system.
        tape: of shape (T, K).
        gap: as for `clairvoyant`.

    Raises:
        InvalidInputError: as `ablated_design`.
    """
    indices, _ = _best_design(name, scenario)
    best, tried = restricted_optimum(_restricted(name, scenario, indices), tape, gap=gap), {indices}
    while (following := next((each for each in _next_to(indices) if each not in tried), None)) is not None:
        tried.add(following)
        try:
            problem = _restricted(name, scenario, following)
        except InvalidInputError:
            continue
        optimum = restricted_optimum(problem, tape, gap=gap, below=best.value)
        if optimum.value < best.value:
            best, indices = optimum, following
    return best


def restricted_design(problem: Restricted) -> StaticDesign:
    """The static design of a problem, in samples of its own scenario."""
    return static_design(problem.scenario, stages=problem.stages, restriction=problem.restriction)


def restricted_optimum(problem: Restricted, tape: Tape, **search: Any) -> StagedOptimum:
    """The clairvoyant optimum of a problem, in samples of the scenario it was made from; `search` as for that."""
    optimum = clairvoyant(problem.scenario, tape, stages=problem.stages, restriction=problem.restriction, **search)
    return dataclasses.replace(
        optimum, plan=_in_samples(optimum.plan, problem), whole_plan=_in_samples(optimum.whole_plan, problem)
    )


def _restricted(name: str, scenario: TwoStageScenario, indices: Indices) -> Restricted:
    return ABLATIONS[name].restricted(scenario, *(index / FINENESS for index in indices))


def _best_design(name: str, scenario: TwoStageScenario) -> tuple[Indices, StaticDesign]:
    """The best places that are found on the mean channel, and the design."""
    checked_scenario(scenario, TwoStageScenario)
    designs: dict[Indices, StaticDesign] = {}
    refusals: list[str] = []

    @functools.cache
    def value(indices: Indices) -> float:
        try:
            designs[indices] = restricted_design(_restricted(name, scenario, indices))
        except InvalidInputError as error:
            refusals.append(str(error))
            return np.inf
        return designs[indices].value

    num_places = ABLATIONS[name].num_places
    best = min(itertools.product(range(0, FINENESS + 1, 4), repeat=num_places), key=value)
    for step in (2, 1):
        moves = itertools.product((0, -step, step), repeat=num_places)
        best = min(_on_the_grid(tuple(np.add(best, move).tolist()) for move in moves), key=value)
    if best not in designs:
        raise InvalidInputError(f"{name}: {refusals[0]}")
    return best, designs[best]


def _next_to(indices: Indices) -> Iterator[Indices]:
    """The same but for one place, which is the next lower or higher."""
    moved = ((*indices[:k], indices[k] + step, *indices[k + 1 :]) for k in range(len(indices)) for step in (-1, 1))
    return _on_the_grid(moved)


def _on_the_grid(candidates: Iterator[Indices]) -> Iterator[Indices]:
    return (indices for indices in candidates if all(0 <= index <= FINENESS for index in indices))


def _in_samples(plan: Plan, problem: Restricted) -> Plan:
    allocations = plan.allocations
    allocations = allocations._replace(
        server_batch=allocations.server_batch * problem.server_batch, batch=allocations.batch * problem.batch
    )
    return dataclasses.replace(plan, allocations=allocations)
