"""The generator of random systems is itself tested: property tests are worth what it reaches."""

from collections import Counter

import numpy as np
import pytest
from random_scenarios import BATTERY_KINDS, OBJECTIVES, random_policy, random_scenario, random_tape

from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.trajectory import rollout


@pytest.fixture(scope="module")
def episodes():
    played = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scenario = random_scenario(rng)
        played.append(rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario)))
    return played


def test_the_same_generator_state_gives_the_same_system():
    first, second = (random_scenario(np.random.default_rng(5)) for _ in range(2))
    assert first == second
    assert first != random_scenario(np.random.default_rng(6))


def test_sizes_and_objectives_cover_their_ranges(episodes):
    scenarios = [trajectory.scenario for trajectory in episodes]
    assert {scenario.num_devices for scenario in scenarios} == {1, 2, 3, 4}
    assert {scenario.budgets.max_rounds for scenario in scenarios} == set(range(6, 21))
    assert {scenario.learning.objective for scenario in scenarios} == set(OBJECTIVES)


@pytest.mark.parametrize("batteries", BATTERY_KINDS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_is_asked_for_is_kept(batteries, objective):
    asked = {"num_devices": 3, "max_rounds": 8, "objective": objective, "batteries": batteries}
    scenario = random_scenario(np.random.default_rng(1), **asked)
    assert (scenario.num_devices, scenario.budgets.max_rounds) == (3, 8)
    assert scenario.learning.objective == objective
    assert np.all(scenario.energy.harvest_mean_w == 0) == (batteries == "starved")


def test_episodes_end_for_every_reason_and_none_dominates(episodes):
    reasons = Counter(END_REASONS[trajectory.outcomes.end_reason[0, -1]] for trajectory in episodes)
    assert set(reasons) == set(END_REASONS[1:])
    assert min(reasons.values()) >= 5


def test_devices_are_silent_for_want_of_charge_in_some_episodes_by_choice_in_others_and_all_at_once_in_a_few(episodes):
    by_need, by_choice, nobody = 0, 0, 0
    for trajectory in episodes:
        part, batch = trajectory.outcomes.devices.participates[0], trajectory.allocations.batch[0]
        tuned = trajectory.outcomes.counted[0] & (
            trajectory.observed.state.finetuning[0] | trajectory.allocations.switch[0]
        )
        by_need += np.any(~part & (batch > 0) & tuned[:, None])
        by_choice += np.any(~part & (batch == 0) & tuned[:, None])
        nobody += np.any(~np.any(part, axis=1) & tuned)
    assert min(by_need, by_choice, nobody) >= 12
    assert max(by_need, by_choice, nobody) <= 88
    without = [np.any(trajectory.scenario.energy.harvest_mean_w == 0) for trajectory in episodes]
    assert 12 <= sum(without) <= 75


def test_the_data_of_devices_differ_in_some_systems_and_are_alike_in_others(episodes):
    differing = sum(trajectory.scenario.learning.dissimilarity > 0 for trajectory in episodes)
    assert 20 <= differing <= 80


def test_both_stages_are_played_in_some_episodes_and_dropped_in_others(episodes):
    stages = Counter((t.num_pretrain_rounds[0] > 0, t.num_finetune_rounds[0] > 0) for t in episodes)
    for both in ((True, True), (True, False), (False, True)):
        assert stages[both] >= 7
