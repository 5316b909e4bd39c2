import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

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


def assert_same_play(ours: NativeVecEnv, theirs: DummyVecEnv, rng: np.random.Generator, num_steps: int):
    """Episodes end on the way, so they also go on alike, with the same returns and lengths."""
    for _ in range(num_steps):
        actions = random_actions(rng)
        here, there = ours.step(actions), theirs.step(actions)
        for left, right in zip(here[:3], there[:3], strict=True):
            np.testing.assert_array_equal(left, right)
        for index in np.flatnonzero(here[2]):
            assert_same_items(here[3][index], there[3][index])


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


# Of the environments as Stable-Baselines3 names them: all, one, some in another order, counted from the end, none.
INDICES = [None, 1, [3, 0], [-1], []]


@pytest.mark.parametrize("indices", INDICES, ids=str)
def test_attributes_are_those_of_a_dummy_vec_env(indices: Any):
    ours, theirs = both()
    for name in ("action_space", "observation_space", "metadata", "render_mode", "scenario", "spec"):
        assert ours.get_attr(name, indices) == theirs.get_attr(name, indices), name
    for wrapper in (Monitor, gymnasium.wrappers.OrderEnforcing, gymnasium.wrappers.TimeLimit, gymnasium.Wrapper):
        assert ours.env_is_wrapped(wrapper, indices) == theirs.env_is_wrapped(wrapper, indices)
    assert ours.env_method("close", indices=indices) == theirs.env_method("close", indices=indices)
    assert ours.metadata == theirs.metadata
    for envs in (ours, theirs):
        envs.set_attr("note", 5)
        envs.set_attr("note", 7, indices)
    assert ours.get_attr("note") == theirs.get_attr("note")


@pytest.mark.parametrize("indices", INDICES, ids=str)
@pytest.mark.parametrize("kwargs", [{}, {"seed": 3}], ids=str)
def test_environments_are_reset_each_by_itself_as_those_of_a_dummy_vec_env(rng, kwargs: dict, indices: Any):
    ours, theirs = both()
    for envs in (ours, theirs):
        envs.seed(11)
        envs.reset()
    actions = random_actions(rng)
    ours.step(actions), theirs.step(actions)
    here, there = (envs.env_method("reset", indices=indices, **kwargs) for envs in (ours, theirs))
    assert len(here) == len(there)
    for (observation, info), (their_observation, their_info) in zip(here, there, strict=True):
        np.testing.assert_array_equal(observation, their_observation)
        assert_same_items(info, their_info)
    assert_same_play(ours, theirs, rng, 60)


def test_environments_can_be_reset_each_by_itself_before_all_are():
    ours, theirs = both()
    here, there = (envs.env_method("reset", seed=3) for envs in (ours, theirs))
    np.testing.assert_array_equal([pair[0] for pair in here], [pair[0] for pair in there])


def test_an_environment_reset_by_itself_plays_the_tape_that_it_is_given(tiny, rng):
    ours, theirs = both()
    options = {"tape": sample_tape(tiny, 77)}
    for envs in (ours, theirs):
        envs.seed(11)
        envs.reset()
        envs.env_method("reset", indices=[2, 4], options=options)
    assert_same_play(ours, theirs, rng, 80)
    with pytest.raises(InvalidInputError, match="unknown reset option 'tap': choose one of tape"):
        ours.env_method("reset", options={"tap": 1})


def test_what_environments_do_not_have_each_is_an_attribute_error_as_in_a_dummy_vec_env():
    for envs in both():
        assert not envs.has_attr("action_masks")
        with pytest.raises(AttributeError):
            envs.get_attr("action_masks")
        with pytest.raises(AttributeError):
            envs.env_method("action_masks")
        with pytest.raises(IndexError):
            envs.get_attr("scenario", B)
        with pytest.raises(IndexError):
            envs.env_method("reset", indices=[B])
    with pytest.raises(InvalidInputError, match=r"have no method 'step' each, but reset, render, close .*DummyVecEnv"):
        both()[0].env_method("step", np.zeros(12))
    with pytest.raises(InvalidInputError, match=r"no attribute 'np_random' each, but action_space, .* render_mode"):
        both()[0].get_attr("np_random")


def test_action_spaces_draw_what_those_of_a_dummy_vec_env_draw():
    kwargs: dict[str, Any] = {"n_envs": 2, "seed": 5, "start_index": 4, "env_kwargs": {"scenario": "tiny"}}
    ours, theirs = (make_vec_env(ID, vec_env_cls=kind, **kwargs) for kind in (NativeVecEnv, DummyVecEnv))
    np.testing.assert_array_equal(ours.action_space.sample(), theirs.action_space.sample())
    np.testing.assert_array_equal(ours.reset(), theirs.reset())


def test_without_frames_there_is_a_warning_that_says_how_to_have_them():
    ours, _ = both()
    with pytest.warns(UserWarning, match=r"set it to 'rgb_array' \(in make_vec_env by vec_env_kwargs\)"):
        assert ours.get_images() == [None] * B


def test_tapes_can_be_handed_in_as_options(tiny):
    ours, theirs = both()
    tape = sample_tape(tiny, 77)
    for envs in (ours, theirs):
        envs.set_options({"tape": tape})
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    ours.set_options({"tap": tape})
    with pytest.raises(InvalidInputError, match="unknown reset option 'tap': choose one of tape"):
        ours.reset()


@pytest.mark.parametrize("began", [False, True])
def test_options_may_be_those_of_some_environments_only(tiny, rng, began: bool):
    ours, theirs = both()
    options = [{"tape": sample_tape(tiny, 77)}, {}, {"tape": sample_tape(tiny, 78)}, {}, {"tape": None}]
    for envs in (ours, theirs):
        envs.seed(11)
        if began:
            envs.reset()
        envs.set_options(options)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    for our_info, their_info in zip(ours.reset_infos, theirs.reset_infos, strict=True):
        assert_same_items(our_info, their_info)
    assert_same_play(ours, theirs, rng, 80)


def test_environments_without_a_native_form_or_with_wrappers_are_refused():
    with pytest.raises(InvalidInputError, match="registered environment"):
        NativeVecEnv([lambda: TwoStageEnv("tiny")])
    with pytest.raises(InvalidInputError, match="without wrappers, got ClipReward: DummyVecEnv takes it"):
        NativeVecEnv([lambda: gymnasium.wrappers.ClipReward(gymnasium.make(ID, scenario="tiny"), 0.0, 1.0)])
    with pytest.raises(InvalidInputError, match="whose rewards are numbers, got EdgeLearn/mo-TwoStage-v0"):
        NativeVecEnv([lambda: gymnasium.make("EdgeLearn/mo-TwoStage-v0", scenario="tiny")])


def monitored(**kwargs: Any) -> Callable[[], gymnasium.Env]:
    return lambda: Monitor(gymnasium.make(ID, scenario="tiny"), **kwargs)


def made(kwargs: dict[str, Any]) -> NativeVecEnv:
    return make_vec_env(ID, **{"n_envs": 2, "vec_env_cls": NativeVecEnv, "env_kwargs": {"scenario": "tiny"}} | kwargs)


def test_limits_on_steps_are_refused_wherever_they_come_from():
    sentence = r"must not cut episodes \(max_episode_steps\), but set budgets.max_rounds.*budgets=\{'max_rounds': 5\}"
    with pytest.raises(InvalidInputError, match=sentence):
        made({"env_kwargs": {"scenario": "tiny", "max_episode_steps": 5}})
    for wrapped in (gymnasium.make(ID, max_episode_steps=5), gymnasium.wrappers.TimeLimit(gymnasium.make(ID), 5)):
        with pytest.raises(InvalidInputError, match=sentence):
            NativeVecEnv([lambda wrapped=wrapped: Monitor(wrapped)])
    made({"env_kwargs": {"scenario": "tiny", "max_episode_steps": -1}})


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"wrapper_class": gymnasium.wrappers.NormalizeReward}, "got NormalizeReward: DummyVecEnv takes it"),
        (
            {"wrapper_class": gymnasium.wrappers.TimeLimit, "wrapper_kwargs": {"max_episode_steps": 5}},
            "must not cut episodes",
        ),
        ({"monitor_kwargs": {"info_keywords": ("spent_j",)}}, r"use VecMonitor\(envs, info_keywords=...\)$"),
        ({"monitor_kwargs": {"reset_keywords": ("seed",)}}, "cannot watch resets .*: use DummyVecEnv"),
        ({"monitor_kwargs": {"allow_early_resets": False}}, "cannot watch resets .*: use DummyVecEnv"),
        ({"env_kwargs": {"scenario": "tiny", "render_mode": "human"}}, r"must leave frames to .* \(vec_env_kwargs\)"),
    ],
)
def test_what_only_environments_stepped_one_by_one_can_do_is_refused(kwargs: dict, sentence: str):
    with pytest.raises(InvalidInputError, match=sentence):
        made(kwargs)


def test_files_of_episodes_are_refused_and_none_is_left(tmp_path: Path):
    with pytest.raises(InvalidInputError, match=r"cannot write files .*: use VecMonitor\(envs, filename\)"):
        made({"monitor_dir": str(tmp_path)})
    assert not list(tmp_path.iterdir())


def test_a_file_of_earlier_episodes_is_kept(tmp_path: Path):
    monitored(filename=str(tmp_path / "0"))().close()
    [path] = tmp_path.iterdir()
    before = path.read_text()
    with pytest.raises(InvalidInputError, match="cannot write files of episodes"):
        NativeVecEnv([monitored(filename=str(tmp_path / "0"), override_existing=False)])
    assert path.read_text() == before


def test_a_vec_monitor_writes_the_files_and_the_info_that_it_is_asked_for(tmp_path: Path, rng):
    envs = NativeVecEnv([lambda: gymnasium.make(ID, scenario="tiny")] * B)
    envs = VecMonitor(envs, str(tmp_path / "all"), info_keywords=("spent_j", "num_finetune_rounds"))
    envs.seed(0)
    envs.reset()
    spent = []
    for _ in range(40):
        *_, infos = envs.step(random_actions(rng))
        spent += [info["episode"]["spent_j"] for info in infos if "episode" in info]
    envs.close()
    [path] = tmp_path.iterdir()
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()[1:]))
    assert [float(row["spent_j"]) for row in rows] == spent
    assert len(spent) >= B


def test_functions_that_make_different_environments_are_refused():
    def with_rounds(count: int) -> Callable[[], gymnasium.Env]:
        return lambda: gymnasium.make(ID, scenario="tiny", budgets={"max_rounds": count})

    with pytest.raises(InvalidInputError, match="must all make the same environment, but the last makes another"):
        NativeVecEnv([with_rounds(3), with_rounds(4)])
    NativeVecEnv([with_rounds(3), with_rounds(3)])
    env = gymnasium.make(ID, scenario="tiny")
    with pytest.raises(InvalidInputError, match="an environment of their own at each call"):
        NativeVecEnv([lambda: env] * 2)
    NativeVecEnv([lambda: env])


def test_ppo_trains_and_is_evaluated_on_it():
    envs = make_vec_env(ID, n_envs=4, seed=0, vec_env_cls=NativeVecEnv, env_kwargs={"scenario": "tiny"})
    model = PPO("MlpPolicy", envs, n_steps=32, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(2 * 4 * 32)
    assert model.num_timesteps == 2 * 4 * 32
    assert len(model.ep_info_buffer) > 0
    mean_return, _ = evaluate_policy(model, envs, n_eval_episodes=4)
    assert np.isfinite(mean_return)
