"""Where training starts: everyone takes part."""

from pathlib import Path

import numpy as np
import pytest

from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.agents.actor.static_plan import FADED, static_plan
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.encoding import Codec
from edgelearn_env.stages.records import Allocation
from edgelearn_env.stages.synchronous import finetune_round
from edgelearn_env.tapes.tape import Conditions

TINY = Path(__file__).parents[2] / "tiny.toml"


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
@pytest.mark.parametrize("source", [TINY, "default", "large"], ids=["tiny", "default", "large"])
def test_the_start_names_batches_that_are_far_from_silence(source, objective):
    scenario = Scenario.load(source).replace(learning={"objective": objective})
    plan, start, codec = static_plan(scenario), starting_point(scenario), Codec.of(scenario)
    # Where it has been trained on nothing yet, a device's batch does not depend on what is observed.
    np.testing.assert_array_equal(start.own_weight[:, 2], 0.0)
    action = np.zeros((1, codec.action_size), dtype=np.float32)
    action[0, -scenario.num_devices :] = start.own_bias[:, 2]
    np.testing.assert_allclose(codec.fractional(action).batch[0], plan.batch, rtol=1e-5)
    assert np.all(plan.batch >= 4)


@pytest.mark.parametrize("max_rounds", [2, 3, 5, 30])
def test_a_planned_round_costs_no_more_than_a_battery_holds_by_then(tiny, max_rounds):
    # Much of what is harvested in an episode would be too much for one round.
    scenario = tiny.replace(
        energy={"battery_initial_j": 0.02, "battery_capacity_j": 0.05}, budgets={"max_rounds": max_rounds}
    )
    plan, energy = static_plan(scenario), scenario.energy
    charge_j = energy.battery_initial_j + energy.harvest_mean_w * plan.time_share * scenario.budgets.delay_s
    battery_j = np.minimum(charge_j, energy.battery_capacity_j) * np.ones((1, scenario.num_devices))
    server, devices = (plan.server_freq_hz, plan.server_batch), (plan.freq_hz, plan.power_w, plan.batch)
    allocation = Allocation(
        np.array([True]), *(np.array([value]) for value in server), *(value[None] for value in devices)
    )
    conditions = Conditions((scenario.mean_channel_gain * FADED)[None], np.zeros_like(battery_j))
    played = finetune_round(constants_of(scenario), battery_j * (1 + 1e-9), conditions, allocation)
    assert np.all(played.participates)
