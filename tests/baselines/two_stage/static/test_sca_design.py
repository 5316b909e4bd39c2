"""Successive convex approximation: a design within all limits that the static design is never worse than."""

import numpy as np
import pytest
from random_scenarios import random_scenario

from edgelearn_env import Scenario
from edgelearn_env.baselines.two_stage.static.design import static_design
from edgelearn_env.baselines.two_stage.static.sca_design import sca_design

OBJECTIVES = ("two-stage", "finetune")


def compared(scenario: Scenario) -> float:
    """Value of the reference relative to the static design's, less 1."""
    return sca_design(scenario).value / static_design(scenario).value - 1


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_reference_is_within_all_limits(objective):
    scenario = Scenario.preset("tiny").replace(learning={"objective": objective}, budgets={"max_rounds": 12})
    design = sca_design(scenario)
    server, devices, slack = scenario.server, scenario.devices, 1 + 1e-6
    for value, low, high in (
        (design.server_batch, 1, server.batch_max),
        (design.server_freq_hz, server.freq_min_hz, server.freq_max_hz),
        (design.batch, 1, devices.batch_max),
        (design.freq_hz, devices.freq_min_hz, devices.freq_max_hz),
        (design.power_w, 0, devices.power_max_w),
    ):
        assert np.all((value >= low / slack) & (value <= high * slack))
    assert 0 <= design.num_pretrain_rounds <= 12 - design.num_finetune_rounds
    assert design.num_programs >= design.num_pairs - 1


def test_for_the_two_stage_objective_both_find_the_same_value_on_the_tiny_preset():
    scenario = Scenario.preset("tiny").replace(learning={"objective": "two-stage"}, budgets={"max_rounds": 40})
    assert -1e-6 <= compared(scenario) <= 1e-5


@pytest.mark.parametrize("seed", range(4))
def test_the_static_design_of_a_random_system_is_never_worse_than_the_reference(seed):
    assert compared(random_scenario(np.random.default_rng(seed), max_rounds=6)) >= -1e-6


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130))
def test_the_static_design_of_many_random_systems_is_never_worse_than_the_reference(seed):
    assert compared(random_scenario(np.random.default_rng(seed))) >= -1e-6


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", ["default", "large"])
def test_the_static_design_of_a_preset_is_never_worse_than_the_reference(name, objective):
    worse = compared(Scenario.preset(name).replace(learning={"objective": objective}))
    assert worse >= -1e-6
    if objective == "two-stage":
        assert worse <= 1e-4
