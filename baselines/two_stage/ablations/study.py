"""What budgets, data and devices are worth: static joint design and ablations as one number of a system changes."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.two_stage.ablations.problems import ABLATIONS
from edgelearn_env.baselines.two_stage.ablations.search import ablated_design
from edgelearn_env.baselines.two_stage.static.design import StaticDesign, static_design
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.two_stage.scenario import TwoStageScenario

JOINT = "joint design"
DESIGNS = (JOINT, *ABLATIONS)


class Sweep(NamedTuple):
    """One number of a system, and the values that it takes.

    Attributes:
        label: its name and unit, for an axis.
        values: in ascending order, around the scenario's own, for a number of points.
        changed: the scenario with one of them.
    """

    label: str
    values: Callable[[TwoStageScenario, int], np.ndarray]
    changed: Callable[[TwoStageScenario, float], TwoStageScenario]


class StudyPoint(NamedTuple):
    """The best design of a kind at one value of a sweep; Phi is infinite if the budgets cannot pay for any round."""

    sweep: str
    value: float
    design: str
    phi: float
    num_pretrain_rounds: int
    num_finetune_rounds: int


def study_points(scenario: TwoStageScenario, sweep: str, value: float) -> list[StudyPoint]:
    """Every design at one value of a sweep."""
    return [_point(scenario, sweep, value, design) for design in DESIGNS]


def _point(scenario: TwoStageScenario, sweep: str, value: float, design: str) -> StudyPoint:
    try:
        found = _design(scenario, sweep, value, design)
    except InvalidInputError:
        return StudyPoint(sweep, value, design, np.inf, 0, 0)
    return StudyPoint(sweep, value, design, found.value, found.num_pretrain_rounds, found.num_finetune_rounds)


def why_left_out(scenario: TwoStageScenario, point: StudyPoint) -> str:
    """Which budget is too small for a design that has no round, and by how much."""
    try:
        _design(scenario, *point[:3])
    except InvalidInputError as error:
        return str(error).removeprefix(f"{point.design}: ")
    return "it is not"


def _design(scenario: TwoStageScenario, sweep: str, value: float, design: str) -> StaticDesign:
    changed = SWEEPS[sweep].changed(scenario, value)
    return static_design(changed) if design == JOINT else ablated_design(design, changed)


def _with_budget(scenario: TwoStageScenario, name: str, value: float) -> TwoStageScenario:
    """The system with another budget; a larger one comes with longer episodes, whose length would else be the limit."""
    factor, longest = value / getattr(scenario.budgets, name), scenario.budgets.max_rounds
    return scenario.replace(budgets={name: value, "max_rounds": round(longest * max(factor, 1.0))})


def _around(own: float, span: float, num_points: int) -> np.ndarray:
    """From `own` / span to `own` times span, geometrically, in four digits."""
    return np.array([float(f"{value:.4g}") for value in own * np.geomspace(1 / span, span, num_points)])


SWEEPS: Mapping[str, Sweep] = {
    "delay": Sweep(
        "delay budget (s)",
        lambda scenario, count: _around(scenario.budgets.delay_s, 4.0, count),
        lambda scenario, value: _with_budget(scenario, "delay_s", value),
    ),
    "energy": Sweep(
        "energy budget (J)",
        lambda scenario, count: _around(scenario.budgets.energy_j, 4.0, count),
        lambda scenario, value: _with_budget(scenario, "energy_j", value),
    ),
    "gap": Sweep(
        "data-distribution gap δ²",
        lambda scenario, count: _around(scenario.learning.distribution_gap or 0.05, 30.0, count),
        lambda scenario, value: scenario.replace(learning={"distribution_gap": value}),
    ),
    "devices": Sweep(
        "number of devices",
        lambda scenario, count: np.unique(np.round(np.geomspace(1, 3 * scenario.num_devices, count))),
        lambda scenario, value: scenario.replace(devices={"num_devices": int(value)}),
    ),
}
