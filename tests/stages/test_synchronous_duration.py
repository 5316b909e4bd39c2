"""The seams of the fine-tuning stage, and the round they make."""

import numpy as np
from hypothesis import given
from random_scenarios import random_policy, random_scenario, random_tape, seeds

from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.records import DeviceRound
from edgelearn_env.stages.synchronous import synchronous_duration_s
from edgelearn_env.trajectory import rollout


def devices_of(compute_s, upload_s, participates):
    """A round of devices that spend nothing; (B, K) lists."""
    nothing = np.zeros(np.shape(compute_s))
    return DeviceRound(np.array(participates), np.array(compute_s), np.array(upload_s), nothing, nothing)


def test_a_synchronous_round_lasts_as_long_as_its_slowest_device_plus_the_downlink(tiny: Scenario):
    devices = devices_of(
        [[0.5, 1.0, 1.5], [0.25, 0.125, 0.0]], [[0.5, 2.0, 0.5], [0.25, 0.125, 0.125]], [[True] * 3] * 2
    )
    np.testing.assert_array_equal(synchronous_duration_s(devices, tiny.radio), [3.0 + 0.02, 0.5 + 0.02])


def test_one_device_makes_a_round(tiny: Scenario):
    slow = tiny.replace(radio={"downlink_s": 0.5})
    np.testing.assert_array_equal(synchronous_duration_s(devices_of([[1.0]], [[0.5]], [[True]]), slow.radio), [2.0])


def test_a_round_waits_for_those_who_take_part_and_without_any_lasts_its_idle_time_and_no_downlink(tiny: Scenario):
    patient = tiny.replace(radio={"idle_s": 0.75})
    devices = devices_of(
        [[0.0, 1.0, 0.0], [0.0] * 3], [[0.0, 0.25, 0.0], [0.0] * 3], [[False, True, False], [False] * 3]
    )
    np.testing.assert_array_equal(synchronous_duration_s(devices, patient.radio), [1.25 + 0.02, 0.75])
    assert tiny.radio.idle_s == 1.0


def test_the_work_of_each_device_is_the_model_s(tiny: Scenario):
    uneven = tiny.replace(devices={"flops_per_cycle": [1.0, 2.0, 4.0]})
    work = constants_of(uneven)
    np.testing.assert_array_equal(work.cycles_per_sample, [3e7 / 1.0, 3e7 / 2.0, 3e7 / 4.0])
    np.testing.assert_array_equal(work.upload_bit, [3.2e6] * 3)


@given(seeds)
def test_rounds_of_random_rollouts_last_and_cost_what_their_parts_say(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario, switch=0.5))
    outcomes = trajectory.outcomes
    devices, counted = DeviceRound(*(array[0] for array in outcomes.devices)), outcomes.counted[0]
    states = trajectory.observed.state
    tuned = counted & (states.finetuning[0] | trajectory.allocations.switch[0])
    someone = np.any(devices.participates, axis=-1)
    assert not np.any(someone & ~tuned)
    finish_s = devices.compute_s + devices.upload_s
    lasted_s = np.where(someone, np.max(finish_s, axis=-1) + scenario.radio.downlink_s, scenario.radio.idle_s)
    np.testing.assert_allclose(outcomes.duration_s[0][tuned], lasted_s[tuned], rtol=1e-14)
    spent_j = np.sum(devices.compute_j + devices.upload_j, axis=-1)
    np.testing.assert_allclose(
        outcomes.energy_j[0],
        outcomes.server_j[0] + spent_j + scenario.radio.downlink_j * tuned,
        rtol=1e-13,
    )
    assert np.all(outcomes.server_j[0][tuned] == 0)
    assert np.all(outcomes.server_j[0][counted & ~tuned] > 0)
    for array in devices[1:]:
        np.testing.assert_array_equal(array > 0, devices.participates)
