"""Specs travel as JSON, and what is made of one there is what was made here."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from edgelearn_env.registration import environment_ids
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.wrappers.multi_discrete import MultiDiscreteActions
from edgelearn_env.wrappers.soft_budgets import SoftBudgets

ID = "EdgeLearn/TwoStage-v0"
TOML = Path(__file__).parent.parent / "tiny.toml"
ARGUMENTS: dict[str, dict[str, Any]] = {
    "a scenario": {"scenario": Scenario.preset("tiny").replace(name="mine", budgets={"delay_s": 1 / 3})},
    "a path": {"scenario": TOML},
    "a path as text": {"scenario": str(TOML)},
    "a preset's name as a path": {"scenario": Path("tiny")},
    "a table with arrays": {"scenario": {"preset": "tiny", "devices": {"distance_m": np.array([50.0, 60.0, 1 / 3])}}},
    "arrays": {"devices": {"distance_m": np.full(3, 50.0, np.float32)}, "energy": {"harvest_mean_w": np.array(0.01)}},
    "tuples and ranges": {"devices": {"distance_m": (50, 60.0, np.float64(70)), "batch_max": range(10, 13)}},
    "numbers of NumPy": {"budgets": {"max_rounds": np.int64(5), "delay_s": np.float32(0.3)}},
    "other numbers": {"budgets": {"energy_j": Fraction(100, 3), "delay_s": np.longdouble(20)}},
}


def travelled(spec: EnvSpec | None) -> EnvSpec:
    assert spec is not None
    return EnvSpec.from_json(spec.to_json())


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
@pytest.mark.parametrize("name", [name for name in environment_ids() if "TwoStage" in name])
def test_whatever_types_its_arguments_had_a_spec_survives_json(name: str, make: Callable[..., Any], arguments: dict):
    env = make(name, **{"scenario": "tiny", **arguments})
    assert travelled(env.spec) == env.spec
    assert make(travelled(env.spec)).unwrapped.scenario == env.unwrapped.scenario


def test_a_scenario_file_is_not_needed_where_the_spec_arrives(tmp_path: Path):
    path = tmp_path / "mine.toml"
    Scenario.preset("tiny").replace(name="mine").to_toml(path)
    env = gymnasium.make(ID, scenario=path)
    path.unlink()
    assert gymnasium.make(travelled(env.spec)).unwrapped.scenario.name == "mine"


def test_a_preset_and_what_changes_it_stay_what_they_were():
    spec = gymnasium.make(ID, scenario="tiny", budgets={"delay_s": 9.0}, kernel="numpy").spec
    assert json.loads(spec.to_json())["kwargs"] == {"scenario": "tiny", "budgets": {"delay_s": 9.0}, "kernel": "numpy"}


def test_the_form_of_many_keeps_its_number_and_its_autoreset_mode():
    arguments = {"num_envs": 3, "autoreset_mode": AutoresetMode.SAME_STEP}
    again = gymnasium.make_vec(travelled(gymnasium.make_vec(ID, scenario="tiny", **arguments).spec))
    assert (again.num_envs, again.autoreset_mode) == (3, AutoresetMode.SAME_STEP)


def test_an_environment_in_wrappers_travels_with_them(tiny: Scenario):
    env = MultiDiscreteActions(SoftBudgets.relaxing(1.5, scenario=tiny), levels=5)
    again = gymnasium.make(travelled(env.spec))
    assert again.spec == env.spec
    assert again.action_space == env.action_space
    assert again.unwrapped.scenario == env.unwrapped.scenario
