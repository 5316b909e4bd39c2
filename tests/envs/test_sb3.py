import gymnasium
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from edgelearn_env.envs.sb3 import NativeVecEnv
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.two_stage.env import TwoStageEnv

ID = "EdgeLearn/TwoStage-v0"
B = 5


def both(**kwargs) -> tuple[NativeVecEnv, DummyVecEnv]:
    env_fns = [lambda: Monitor(gymnasium.make(ID, scenario="tiny", **kwargs))] * B
    return NativeVecEnv(env_fns), DummyVecEnv(env_fns)


def random_actions(rng) -> np.ndarray:
    actions = rng.uniform(-1, 1, (B, 12)).astype(np.float32)
    actions[:, 0] -= 0.5
    return actions


def assert_same_items(ours: dict, theirs: dict):
    assert ours.keys() == theirs.keys()
    for name, item in ours.items():
        if name == "episode":
            assert (item["r"], item["l"]) == (theirs[name]["r"], theirs[name]["l"])
            assert item["t"] >= 0
        else:
            assert type(item) is type(theirs[name]), name
            np.testing.assert_array_equal(item, theirs[name])


@pytest.mark.parametrize("kwargs", [{}, {"budgets": {"max_rounds": 1}}], ids=["tiny", "horizon 1"])
def test_steps_ends_and_infos_are_those_of_a_dummy_vec_env_bit_for_bit(rng, kwargs):
    ours, theirs = both(**kwargs)
    for envs in (ours, theirs):
        envs.seed(11)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    ends = 0
    for _ in range(150):
        actions = random_actions(rng)
        here, there = ours.step(actions), theirs.step(actions)
        for left, right in zip(here[:3], there[:3], strict=True):
            assert (left.dtype, left.shape) == (right.dtype, right.shape)
            np.testing.assert_array_equal(left, right)
        for done, our_info, their_info in zip(here[2], here[3], there[3], strict=True):
            if done:
                assert_same_items(our_info, their_info)
            else:
                assert our_info == {}
        for our_info, their_info in zip(ours.reset_infos, theirs.reset_infos, strict=True):
            assert_same_items(our_info, their_info)
        ends += here[2].sum()
    assert ends > 2 * B


def test_seeds_are_used_once_and_later_episodes_go_on_with_their_sequence():
    ours, theirs = both()
    for envs in (ours, theirs):
        envs.seed(3)
        envs.reset()
    second = ours.reset()
    np.testing.assert_array_equal(second, theirs.reset())
    ours.seed(3)
    assert not np.array_equal(ours.reset(), second)


def test_arrays_handed_out_are_not_written_to_later(rng):
    ours, _ = both()
    ours.seed(0)
    handed_out = [ours.reset()]
    kept = [handed_out[0].copy()]
    for _ in range(40):
        observation, reward, done, infos = ours.step(random_actions(rng))
        arrays = [observation, reward, done, *(info["terminal_observation"] for info in infos if info)]
        handed_out += arrays
        kept += [array.copy() for array in arrays]
    for array, copy in zip(handed_out, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_make_vec_env_makes_one_and_its_env_kwargs_count():
    envs = make_vec_env(ID, n_envs=3, seed=5, vec_env_cls=NativeVecEnv, env_kwargs={"scenario": "tiny"})
    assert envs.num_envs == 3
    assert envs.get_attr("scenario")[2].name == "tiny"
    assert envs.get_attr("render_mode") == [None, None, None]
    first = envs.reset()
    single, _ = TwoStageEnv("tiny").reset(seed=6)
    np.testing.assert_array_equal(first[1], single)


def test_frames_are_drawn_if_asked_for():
    envs = make_vec_env(
        ID,
        n_envs=2,
        vec_env_cls=NativeVecEnv,
        env_kwargs={"scenario": "tiny"},
        vec_env_kwargs={"render_mode": "rgb_array"},
    )
    envs.reset()
    assert [image.ndim for image in envs.get_images()] == [3, 3]


def test_attributes_and_methods_give_one_value_for_each_environment():
    ours, _ = both()
    assert ours.get_attr("render_mode") == [None] * B
    assert [space.shape for space in ours.get_attr("action_space", [0, 2])] == [(12,)] * 2
    assert len(ours.env_method("close", indices=[1, 2])) == 2
    assert ours.env_is_wrapped(Monitor) == [True] * B
    ours.set_attr("note", 7)
    assert ours.get_attr("note") == [7] * B
    with pytest.raises(InvalidInputError, match="'note' can only be set for all"):
        ours.set_attr("note", 7, indices=0)


def test_tapes_can_be_handed_in_as_options(tiny):
    ours, theirs = both()
    tape = sample_tape(tiny, 77)
    for envs in (ours, theirs):
        envs.set_options({"tape": tape})
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    ours.set_options([{"tape": tape}] + [{}] * (B - 1))
    with pytest.raises(InvalidInputError, match="'tape', and nothing else"):
        ours.reset()


def test_environments_without_a_native_form_or_with_wrappers_are_refused():
    with pytest.raises(InvalidInputError, match="registered environment"):
        NativeVecEnv([lambda: TwoStageEnv("tiny")])
    with pytest.raises(InvalidInputError, match="without wrappers, got ClipReward"):
        NativeVecEnv([lambda: gymnasium.wrappers.ClipReward(gymnasium.make(ID, scenario="tiny"), 0.0, 1.0)])
    with pytest.raises(InvalidInputError, match="whose rewards are numbers, got EdgeLearn/mo-TwoStage-v0"):
        NativeVecEnv([lambda: gymnasium.make("EdgeLearn/mo-TwoStage-v0", scenario="tiny")])


def test_ppo_trains_and_is_evaluated_on_it():
    envs = make_vec_env(ID, n_envs=4, seed=0, vec_env_cls=NativeVecEnv, env_kwargs={"scenario": "tiny"})
    model = PPO("MlpPolicy", envs, n_steps=32, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(2 * 4 * 32)
    assert model.num_timesteps == 2 * 4 * 32
    assert len(model.ep_info_buffer) > 0
    mean_return, _ = evaluate_policy(model, envs, n_eval_episodes=4)
    assert np.isfinite(mean_return)
