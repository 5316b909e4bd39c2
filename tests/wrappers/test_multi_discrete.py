import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import MultiDiscrete
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.two_stage.env import TwoStageEnv
from edgelearn_env.wrappers import MultiDiscreteActions, VectorMultiDiscreteActions

ID = "EdgeLearn/TwoStage-v0"
B = 4


def single(levels: int = 5) -> MultiDiscreteActions:
    return MultiDiscreteActions(gymnasium.make(ID, scenario="tiny"), levels)


def vector(mode: AutoresetMode = AutoresetMode.NEXT_STEP, levels: int = 5) -> VectorMultiDiscreteActions:
    return VectorMultiDiscreteActions(gymnasium.make_vec(ID, num_envs=B, scenario="tiny", autoreset_mode=mode), levels)


def test_each_entry_has_that_many_levels_and_the_switch_two():
    assert single(7).action_space == MultiDiscrete([2] + [7] * 11)
    assert vector(levels=7).single_action_space == MultiDiscrete([2] + [7] * 11)
    assert vector(levels=7).action_space.shape == (B, 12)


def test_levels_are_equal_steps_from_one_end_to_the_other():
    levels = np.array([1, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 4])
    expected = [1, -1, -0.5, 0, 0.5, 1, -1, -1, -1, -1, -1, 1]
    action = single(5).action(levels)
    assert action.dtype == np.float32
    np.testing.assert_array_equal(action, expected)
    assert single(5).action(0 * levels)[0] == -1


def test_the_ends_of_the_grid_are_the_physical_limits():
    env = single(3)
    devices = env.unwrapped.scenario.devices
    for level, frequency, batch in ((0, devices.freq_min_hz, np.zeros(3)), (2, devices.freq_max_hz, devices.batch_max)):
        env.reset(seed=0)
        *_, info = env.step(np.full(12, level) // [2 if index == 0 else 1 for index in range(12)])
        np.testing.assert_array_equal(info["freq_hz"], frequency)
        np.testing.assert_array_equal(info["batch"], batch)


def test_two_levels_are_the_two_ends():
    np.testing.assert_array_equal(single(2).action(np.array([0] + [0, 1] * 5 + [1])), [-1] + [-1, 1] * 5 + [1])


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
def test_gymnasium_finds_no_fault(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    check_env(single())


def test_a_single_environment_plays_what_the_levels_mean(rng):
    env, plain = single(), TwoStageEnv("tiny")
    assert data_equivalence(env.reset(seed=3), plain.reset(seed=3), exact=True)
    terminated = False
    while not terminated:
        levels = rng.integers(env.action_space.nvec)
        levels[0] = rng.random() < 0.2
        here, there = env.step(levels), plain.step(np.where(np.arange(12) == 0, 2 * levels - 1, levels / 2 - 1))
        assert data_equivalence(here, there, exact=True)
        terminated = here[2]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_many_environments_play_what_single_ones_do_bit_for_bit(rng, mode: AutoresetMode):
    ours, theirs = vector(mode), SyncVectorEnv([single] * B, autoreset_mode=mode)
    assert ours.action_space == theirs.action_space
    assert data_equivalence(ours.reset(seed=8), theirs.reset(seed=8), exact=True)
    ends = 0
    for _ in range(100):
        levels = rng.integers(np.tile(ours.single_action_space.nvec, (B, 1)))
        here = ours.step(levels)
        assert data_equivalence(here, theirs.step(levels), exact=True)
        ends += here[2].sum()
    assert ends > B


def test_samples_of_the_vector_action_space_can_be_played():
    envs = vector()
    envs.reset(seed=0)
    envs.action_space.seed(0)
    for _ in range(20):
        envs.step(envs.action_space.sample())


@pytest.mark.parametrize("made", [single, vector])
def test_a_pickled_copy_goes_on_identically(made):
    env = made()
    env.reset(seed=1)
    env.action_space.seed(0)
    twin = pickle.loads(pickle.dumps(env))
    action = env.action_space.sample()
    assert data_equivalence(env.step(action), twin.step(action), exact=True)


def test_a_spec_makes_the_wrapped_environment_again():
    again = gymnasium.make(EnvSpec.from_json(single(6).spec.to_json()))
    assert again.action_space == single(6).action_space


@pytest.mark.parametrize("levels", [1, 0, -3, True])
@pytest.mark.parametrize("made", [lambda levels: single(levels), lambda levels: vector(levels=levels)])
def test_a_wrong_number_of_levels_is_refused(made, levels: int):
    with pytest.raises(InvalidInputError, match=f"^levels must be a whole number of at least 2, got {levels}$"):
        made(levels)


def test_an_action_space_without_ranges_is_refused():
    with pytest.raises(InvalidInputError, match=r"^env must take actions in Box\(-1, 1, .*got MultiDiscrete"):
        MultiDiscreteActions(single())


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (np.zeros(11, dtype=int), r"^action must have shape \(12,\), got \(11,\)$"),
        (np.zeros(12), "^action must hold whole numbers, got float64 numbers$"),
        ([0] * 11 + [5], r"^action\[11\] must be a level from 0 to 4, got 5$"),
        ([2] + [0] * 11, r"^action\[0\] must be a level from 0 to 1, got 2$"),
        ([0, -1] + [0] * 10, r"^action\[1\] must be a level from 0 to 4, got -1$"),
        ([0, [1]], "^action must be an array of whole numbers, got"),
    ],
)
def test_an_action_that_is_no_level_is_refused(action, sentence: str):
    env = single()
    env.reset(seed=0)
    with pytest.raises(InvalidInputError, match=sentence):
        env.step(action)


def test_a_wrong_level_of_one_environment_among_many_is_named():
    envs = vector()
    envs.reset(seed=0)
    actions = np.zeros((B, 12), dtype=np.int64)
    actions[2, 7] = 9
    with pytest.raises(InvalidInputError, match=r"^action\[2, 7\] must be a level from 0 to 4, got 9$"):
        envs.step(actions)


def test_ppo_trains_on_it():
    pytest.importorskip("stable_baselines3")
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    envs = make_vec_env(
        ID, 2, seed=0, env_kwargs={"scenario": "tiny"}, wrapper_class=MultiDiscreteActions, wrapper_kwargs={"levels": 5}
    )
    model = PPO("MlpPolicy", envs, n_steps=32, batch_size=32, n_epochs=1, seed=0, device="cpu").learn(128)
    assert model.num_timesteps == 128
    action, _ = model.predict(envs.reset(), deterministic=True)
    assert all(action_of_one in envs.action_space for action_of_one in action)
