"""Ablations solved, with the best of the values that a freedom may be fixed to: on the mean channel, or on a tape."""

import dataclasses
from typing import Any

from edgelearn_env.baselines.ablations import ABLATIONS, Restricted
from edgelearn_env.baselines.clairvoyant import Optimum, clairvoyant
from edgelearn_env.baselines.plan import Plan
from edgelearn_env.baselines.static_design import StaticDesign, static_design
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenario import Scenario
from edgelearn_env.tape import Tape


def ablated_design(name: str, scenario: Scenario) -> StaticDesign:
    """The best static design under an ablation: the least Phi of all values.

    Args:
        name: one of `ABLATIONS`.
        scenario: the system.

    Raises:
        InvalidInputError: with no value can the budgets pay for one round.
    """
    return min(_designs(name, scenario).values(), key=lambda design: design.value)


def ablated_optimum(name: str, scenario: Scenario, tape: Tape, *, gap: float = 1e-5) -> Optimum:
    """The best plan for a known tape under an ablation.

    The search begins with the value that is best on the mean channel and moves on to the next as long as that helps.
    The bound is proven for all plans with the value at its end; that no other value is better is not.

    Args:
        name: one of `ABLATIONS`.
        scenario: the system.
        tape: of shape (T, K).
        gap: as for `clairvoyant`.

    Raises:
        InvalidInputError: as `ablated_design`.
    """
    ablation, designs = ABLATIONS[name], _designs(name, scenario)
    index = min(designs, key=lambda index: designs[index].value)
    near = designs[index].num_pretrain_rounds, designs[index].num_finetune_rounds
    best = restricted_optimum(ablation.restricted(scenario, ablation.values[index]), tape, gap=gap, first=near)
    for step in (-1, 1):
        tried = index + step
        while tried in designs:
            problem = ablation.restricted(scenario, ablation.values[tried])
            near = best.num_pretrain_rounds, best.num_finetune_rounds
            optimum = restricted_optimum(problem, tape, gap=gap, below=best.value, first=near)
            if optimum.value >= best.value:
                break
            best, tried = optimum, tried + step
    return best


def restricted_design(problem: Restricted) -> StaticDesign:
    """The static design of a problem, in samples of its own scenario."""
    return static_design(problem.scenario, stages=problem.stages, restriction=problem.restriction)


def restricted_optimum(problem: Restricted, tape: Tape, **search: Any) -> Optimum:
    """The clairvoyant optimum of a problem, in samples of the scenario it was made from; `search` as for that."""
    optimum = clairvoyant(problem.scenario, tape, stages=problem.stages, restriction=problem.restriction, **search)
    return dataclasses.replace(
        optimum, plan=_in_samples(optimum.plan, problem), whole_plan=_in_samples(optimum.whole_plan, problem)
    )


def _designs(name: str, scenario: Scenario) -> dict[int, StaticDesign]:
    """The design with each value, by its index; left out are values with which no round can be paid for."""
    designs, refusal = {}, ""
    for index, value in enumerate(ABLATIONS[name].values):
        try:
            designs[index] = restricted_design(ABLATIONS[name].restricted(scenario, value))
        except InvalidInputError as error:
            refusal = str(error)
    if not designs:
        raise InvalidInputError(f"{name}: {refusal}")
    return designs


def _in_samples(plan: Plan, problem: Restricted) -> Plan:
    allocations = plan.allocations
    allocations = allocations._replace(
        server_batch=allocations.server_batch * problem.server_batch, batch=allocations.batch * problem.batch
    )
    return dataclasses.replace(plan, allocations=allocations)
