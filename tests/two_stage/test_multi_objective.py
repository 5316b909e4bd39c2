import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from edgelearn_env.two_stage.env import TwoStageEnv, TwoStageVectorEnv
from edgelearn_env.two_stage.multi_objective import MultiObjectiveEnv, MultiObjectiveVectorEnv

ID = "EdgeLearn/mo-TwoStage-v0"
B = 4


def one_reward(env: gymnasium.Env, index: int) -> gymnasium.Env:
    """For those who know rewards that are numbers only."""
    return gymnasium.wrappers.TransformReward(env, lambda reward: float(reward[index]))


def random_action(rng, shape: tuple) -> np.ndarray:
    """Of a kind with episodes of many lengths: few switch at once."""
    action = rng.uniform(-1, 1, shape).astype(np.float32)
    action[..., 0] -= 0.5
    return action


def without_scalar(info: dict) -> dict:
    return {name: item for name, item in info.items() if name not in ("scalar_reward", "_scalar_reward")}


def test_rewards_add_up_to_time_energy_and_learning(rng):
    env = gymnasium.make(ID, scenario="tiny")
    budgets = env.unwrapped.scenario.budgets
    for seed in range(5):
        _, before = env.reset(seed=seed)
        assert before["scalar_reward"] == 0.0
        rewards, scalars, terminated = [], [], False
        while not terminated:
            _, reward, terminated, _, info = env.step(random_action(rng, (12,)))
            assert reward in env.unwrapped.reward_space
            assert reward[2] == np.float32(info["scalar_reward"])
            rewards.append(reward)
            scalars.append(info["scalar_reward"])
        learnt = np.log(before["objective"] / info["objective"])
        expected = [-info["elapsed_s"] / budgets.delay_s, -info["spent_j"] / budgets.energy_j, learnt]
        np.testing.assert_allclose(np.sum(rewards, axis=0), expected, rtol=1e-5, atol=1e-6)
        assert sum(scalars) == pytest.approx(learnt, abs=1e-12)


def test_all_but_the_reward_is_as_with_one_reward(rng):
    env, plain = MultiObjectiveEnv("tiny"), TwoStageEnv("tiny")
    (observation, info), expected = env.reset(seed=2), plain.reset(seed=2)
    assert data_equivalence((observation, without_scalar(info)), expected, exact=True)
    for _ in range(3):
        action = random_action(rng, (12,))
        observation, _, *ends, info = env.step(action)
        there, scalar, *their_ends, their_info = plain.step(action)
        assert info["scalar_reward"] == scalar
        assert data_equivalence((observation, ends, without_scalar(info)), (there, their_ends, their_info), exact=True)


def test_the_reward_space_is_tight_for_time_and_energy():
    env = MultiObjectiveEnv("tiny")
    space = env.reward_space
    low, high = env.codec.log_bound_range
    assert (space.shape, space.dtype) == ((3,), np.float32)
    np.testing.assert_allclose(space.low, [-1, -1, low - high], rtol=1e-6)
    np.testing.assert_allclose(space.high, [0, 0, high - low], rtol=1e-6)
    assert env.reward_space is space
    assert np.array([0, 0, high - low], dtype=np.float32) in space


def test_a_round_that_is_not_counted_rewards_nothing():
    env = MultiObjectiveEnv("tiny", budgets={"delay_s": 0.5})
    env.reset(seed=1)
    _, reward, terminated, _, info = env.step(np.array([1.0] + [-1.0] * 10 + [1.0], dtype=np.float32))
    assert terminated
    assert not info["counted"]
    assert not reward.any()
    assert not np.signbit(reward).any()


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_many_environments_are_rewarded_as_single_ones_are_bit_for_bit(rng, mode: AutoresetMode, index: int):
    # Few rounds, so that last rounds are counted, and rewarded.
    few = {"budgets": {"max_rounds": 6}}
    ours = gymnasium.make_vec(ID, num_envs=B, scenario="tiny", autoreset_mode=mode, **few)
    assert isinstance(ours, MultiObjectiveVectorEnv)
    theirs = SyncVectorEnv([lambda: one_reward(MultiObjectiveEnv("tiny", **few), index)] * B, autoreset_mode=mode)
    assert data_equivalence(ours.reset(seed=8), theirs.reset(seed=8), exact=True)
    ends = 0
    for _ in range(60):
        actions = random_action(rng, (B, 12))
        observations, rewards, *rest = ours.step(actions)
        there, their_rewards, *their_rest = theirs.step(actions)
        assert (rewards.shape, rewards.dtype) == ((B, 3), np.float32)
        np.testing.assert_array_equal(rewards[:, index], their_rewards)
        assert data_equivalence((observations, *rest), (there, *their_rest), exact=True)
        ends += rest[0].sum()
    assert ends > B


def test_a_masked_reset_speaks_of_those_that_were_reset():
    envs = MultiObjectiveVectorEnv(B, "tiny")
    envs.reset(seed=1)
    mask = np.array([True, False, True, False])
    infos = envs.reset(options={"reset_mask": mask.copy()})[1]
    np.testing.assert_array_equal(infos["_scalar_reward"], mask)
    assert not infos["scalar_reward"].any()


def test_scalar_rewards_of_many_are_those_of_the_plain_environment(rng):
    envs, plain = MultiObjectiveVectorEnv(B, "tiny"), TwoStageVectorEnv(B, "tiny")
    envs.reset(seed=3)
    plain.reset(seed=3)
    actions = random_action(rng, (B, 12))
    *_, infos = envs.step(actions)
    np.testing.assert_array_equal(infos["scalar_reward"], plain.step(actions)[1])


@pytest.mark.parametrize("made", [lambda: MultiObjectiveEnv("tiny"), lambda: MultiObjectiveVectorEnv(B, "tiny")])
def test_a_pickled_copy_goes_on_identically(rng, made):
    env = made()
    env.reset(seed=1)
    assert env.reward_space.shape == (env.reward_dim,)
    twin = pickle.loads(pickle.dumps(env))
    action = random_action(rng, env.action_space.shape)
    assert data_equivalence(env.step(action), twin.step(action), exact=True)


def test_arrays_of_infos_are_not_those_of_rewards(rng):
    envs = MultiObjectiveVectorEnv(B, "tiny", autoreset_mode="SameStep", budgets={"max_rounds": 1})
    envs.reset(seed=1)
    _, rewards, *_, infos = envs.step(random_action(rng, (B, 12)))
    kept = rewards.copy()
    infos["final_info"]["scalar_reward"].fill(9)
    infos["scalar_reward"].fill(9)
    np.testing.assert_array_equal(rewards, kept)


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
@pytest.mark.parametrize("index", range(3))
def test_gymnasium_finds_no_fault_in_any_one_reward(monkeypatch, index: int):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    # What it draws is the same for all three.
    check_env(one_reward(gymnasium.make(ID, scenario="tiny"), index), skip_render_check=index > 0)


def test_make_neither_warns_nor_checks_that_rewards_are_numbers(rng):
    env = gymnasium.make(EnvSpec.from_json(gymnasium.make(ID, scenario="tiny").spec.to_json()))
    env.reset(seed=0)
    assert env.step(random_action(rng, (12,)))[1].shape == (3,)


def test_mo_gymnasium_makes_weighs_and_records_it(rng):
    mo_gymnasium = pytest.importorskip("mo_gymnasium")
    env = mo_gymnasium.make(ID, scenario="tiny")
    env = mo_gymnasium.wrappers.MORecordEpisodeStatistics(env, gamma=0.5)
    weight = np.array([0.25, 0.5, 1.0])
    env = mo_gymnasium.wrappers.LinearReward(env, weight=weight)
    env.reset(seed=3)
    vectors, terminated = [], False
    while not terminated:
        _, reward, terminated, _, info = env.step(random_action(rng, (12,)))
        assert reward == pytest.approx(weight @ info["vector_reward"])
        vectors.append(info["vector_reward"])
    np.testing.assert_allclose(info["episode"]["r"], np.sum(vectors, axis=0), rtol=1e-5)
    discounted = np.sum(np.array(vectors) * 0.5 ** np.arange(len(vectors))[:, None], axis=0)
    np.testing.assert_allclose(info["episode"]["dr"], discounted, rtol=1e-5)


def test_mo_gymnasiums_vector_wrapper_records_many(rng):
    wrappers = pytest.importorskip("mo_gymnasium.wrappers.vector")
    envs = wrappers.MORecordEpisodeStatistics(gymnasium.make_vec(ID, num_envs=B, scenario="tiny"))
    envs.reset(seed=1)
    total = np.zeros((B, 3))
    for _ in range(60):
        _, rewards, terminated, _, infos = envs.step(random_action(rng, (B, 12)))
        total += rewards
        if terminated.any():
            np.testing.assert_allclose(infos["episode"]["r"][terminated], total[terminated], rtol=1e-5)
            return
    pytest.fail("no episode has ended")


def test_mo_gymnasiums_own_vector_form_of_it_agrees(rng):
    wrappers = pytest.importorskip("mo_gymnasium.wrappers.vector")
    ours = gymnasium.make_vec(ID, num_envs=B, scenario="tiny")
    theirs = wrappers.MOSyncVectorEnv([lambda: gymnasium.make(ID, scenario="tiny")] * B)
    assert ours.reward_space == theirs.reward_space
    ours.reset(seed=8)
    theirs.reset(seed=8)
    for _ in range(60):
        actions = random_action(rng, (B, 12))
        assert data_equivalence(ours.step(actions), theirs.step(actions), exact=True)
