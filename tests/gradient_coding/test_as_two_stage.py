"""With one edge node, nothing stored and nothing hidden, coded rounds are those of the two-stage environment."""

import gymnasium
import numpy as np
import pytest
from random_scenarios import random_scenario

from edgelearn_env.scenarios.scenario import Scenario

B = 4


def alike(plain: Scenario) -> Scenario:
    """The same scenario with a single edge node and no code."""
    table = plain.to_dict() | {"system": "gradient-coding", "stragglers": {}}
    table["coding"] = {"num_edges": 1, "stored_edge_stragglers": 0, "stored_device_stragglers": 0}
    return Scenario.from_dict(table)


SCENARIOS = {
    "tiny": Scenario.preset("tiny"),
    "ten devices": Scenario.preset("default").replace(
        budgets={"max_rounds": 25, "delay_s": 30.0}, radio={"shadowing_std_db": 4.0}
    ),
    "horizon 1": Scenario.preset("tiny").replace(budgets={"max_rounds": 1}, learning={"objective": "two-stage"}),
    **{f"random {seed}": random_scenario(np.random.default_rng(seed)) for seed in (1, 2, 3)},
}
scenarios = pytest.mark.parametrize("plain", SCENARIOS.values(), ids=SCENARIOS)


def actions_for(rng, plain, coded) -> tuple[np.ndarray, np.ndarray]:
    """The same decisions for both; what only a code would need is anything."""
    size = plain.action_space.shape[-1]
    action = rng.uniform(-1.1, 1.1, plain.action_space.shape).astype(np.float32)
    action[..., 0] -= 0.5
    others = rng.uniform(-1, 1, coded.action_space.shape).astype(np.float32)
    others[..., :size] = action
    return action, others


def assert_same_info(plain: dict, coded: dict):
    for name, item in plain.items():
        if name in ("final_info", "final_obs"):
            continue
        np.testing.assert_array_equal(coded[name], item, err_msg=name)


@scenarios
def test_whole_episodes_of_the_vector_environment_are_bit_for_bit_the_same(rng, plain):
    envs = [
        gymnasium.make_vec(scenario.environment, B, "vector_entry_point", scenario=scenario, autoreset_mode="SameStep")
        for scenario in (plain, alike(plain))
    ]
    (seen, info), (other_seen, other_info) = (env.reset(seed=7) for env in envs)
    ends, size = np.zeros(B, dtype=int), envs[0].single_observation_space.shape[0]
    assert size == 5 + 3 * plain.num_devices
    assert_same_info(info, other_info)
    while ends.min() < 3:
        action, other_action = actions_for(rng, *envs)
        seen, reward, ended, _, info = envs[0].step(action)
        other_seen, other_reward, other_ended, _, other_info = envs[1].step(other_action)
        np.testing.assert_array_equal(other_seen[:, :size], seen)
        np.testing.assert_array_equal(other_reward, reward)
        np.testing.assert_array_equal(other_ended, ended)
        assert_same_info(info, other_info)
        if ended.any():
            assert_same_info(info["final_info"], other_info["final_info"])
        ends += ended


@scenarios
def test_whole_episodes_of_the_single_environment_are_bit_for_bit_the_same(rng, plain):
    envs = [gymnasium.make(scenario.environment, scenario=scenario) for scenario in (plain, alike(plain))]
    size, resets = envs[0].observation_space.shape[0], 0
    for env in envs:
        env.reset(seed=3)
    while resets < 3:
        action, other_action = actions_for(rng, *envs)
        seen, reward, ended, _, info = envs[0].step(action)
        other_seen, other_reward, other_ended, _, other_info = envs[1].step(other_action)
        np.testing.assert_array_equal(other_seen[:size], seen)
        assert (other_reward, other_ended) == (reward, ended)
        assert_same_info(info, other_info)
        if ended:
            resets += 1
            (seen, _), (other_seen, _) = (env.reset() for env in envs)
            np.testing.assert_array_equal(other_seen[:size], seen)


def test_more_edge_nodes_change_nothing_either_while_their_links_take_no_time(rng):
    plain = SCENARIOS["ten devices"]
    coded = alike(plain).replace(coding={"num_edges": 5, "stored_device_stragglers": 1})
    envs = [gymnasium.make(scenario.environment, scenario=scenario) for scenario in (plain, coded)]
    for env in envs:
        env.reset(seed=3)
    for _ in range(20):
        action, other_action = actions_for(rng, *envs)
        other_action[-12:-10] = -1.0
        results = envs[0].step(action), envs[1].step(other_action)
        assert results[0][1:3] == results[1][1:3]
        assert_same_info(results[0][4], results[1][4])
        if results[0][2]:
            for env in envs:
                env.reset()
