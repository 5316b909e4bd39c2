import copy
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.two_stage.env import TwoStageEnv, TwoStageVectorEnv

SCENARIOS = {
    "tiny": {"scenario": "tiny"},
    "horizon 1": {"scenario": "tiny", "budgets": {"max_rounds": 1}},
    "ten devices": {"scenario": "default", "objective": "two-stage", "budgets": {"max_rounds": 4}},
    "fifty devices": {"scenario": "large", "radio": {"shadowing_std_db": 4.0}, "budgets": {"max_rounds": 3}},
}
B = 5


def native(mode: AutoresetMode = AutoresetMode.NEXT_STEP, num_envs: int = B, **kwargs) -> TwoStageVectorEnv:
    return TwoStageVectorEnv(num_envs, autoreset_mode=mode, **kwargs)


def singles(mode: AutoresetMode = AutoresetMode.NEXT_STEP, num_envs: int = B, **kwargs) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: TwoStageEnv(**kwargs)] * num_envs, autoreset_mode=mode)


def random_actions(rng, envs) -> np.ndarray:
    """Of a kind with episodes of many lengths: transmit power is not wasted, and few switch at once."""
    actions = rng.uniform(-1, 1, envs.action_space.shape).astype(np.float32)
    actions[:, 0] -= 0.5
    return actions


def assert_same(left, right):
    """Equal to the last bit, types included; nested tuples and dicts of arrays, object arrays among them."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for name in left:
            assert_same(left[name], right[name])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for pair in zip(left, right, strict=True):
            assert_same(*pair)
    elif isinstance(left, np.ndarray) and left.dtype == object:
        assert_same(list(left), list(right))
    elif isinstance(left, np.ndarray):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        np.testing.assert_array_equal(left, right)
    else:
        assert left == right


def arrays_of(result) -> list[np.ndarray]:
    if isinstance(result, dict):
        return arrays_of(list(result.values()))
    if isinstance(result, list | tuple) or (isinstance(result, np.ndarray) and result.dtype == object):
        return [array for item in result for array in arrays_of(item)]
    return [result] if isinstance(result, np.ndarray) else []


@pytest.mark.parametrize("kwargs", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_native_and_single_environments_agree_bit_for_bit_over_autoresets(rng, mode: AutoresetMode, kwargs: dict):
    ours, theirs = native(mode, **kwargs), singles(mode, **kwargs)
    assert_same(ours.reset(seed=21), theirs.reset(seed=21))
    ends = np.zeros(B, dtype=int)
    for _ in range(400):
        actions = random_actions(rng, ours)
        here = ours.step(actions)
        assert_same(here, theirs.step(actions))
        ends += here[2]
        if np.all(ends >= 4):
            break
    assert np.all(ends >= 4)
    assert_same(ours.reset(), theirs.reset())


@pytest.mark.parametrize("kwargs", SCENARIOS.values(), ids=SCENARIOS)
def test_native_and_single_environments_agree_bit_for_bit_under_reset_masks(rng, kwargs: dict):
    ours, theirs = native(AutoresetMode.DISABLED, **kwargs), singles(AutoresetMode.DISABLED, **kwargs)
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    for index in range(100):
        actions = random_actions(rng, ours)
        here = ours.step(actions)
        assert_same(here, theirs.step(actions))
        mask = here[2] | (rng.random(B) < 0.05)
        if mask.any():
            seed = None if index % 2 else index
            # Gymnasium takes the mask out of the dictionary that it is given.
            pair = [envs.reset(seed=seed, options={"reset_mask": mask.copy()}) for envs in (ours, theirs)]
            assert_same(*pair)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_reset_mask_also_acts_between_autoresets(rng, mode: AutoresetMode):
    ours, theirs = native(mode, scenario="tiny"), singles(mode, scenario="tiny")
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    for _ in range(60):
        actions = random_actions(rng, ours)
        assert_same(ours.step(actions), theirs.step(actions))
        mask = rng.random(B) < 0.2
        if mask.any():
            assert_same(*(envs.reset(options={"reset_mask": mask.copy()}) for envs in (ours, theirs)))


def test_environment_i_of_a_seeded_vector_is_a_single_one_seeded_i_higher(rng):
    envs = native(scenario="tiny")
    observations, infos = envs.reset(seed=40)
    for index in range(B):
        observation, info = TwoStageEnv("tiny").reset(seed=40 + index)
        np.testing.assert_array_equal(observations[index], observation)
        assert infos["tape_seed"][index] == info["tape_seed"] == 40 + index


def test_a_list_of_seeds_names_each_and_none_keeps_the_sequence():
    ours, theirs = native(scenario="tiny"), singles(scenario="tiny")
    for seeds in ([9, 8, 7, 6, 5], [None, 1, None, 2, None], None):
        observations, infos = ours.reset(seed=seeds)
        assert_same((observations, infos), theirs.reset(seed=seeds))
    assert infos["tape_seed"].tolist() == [9, 1, 7, 2, 5]
    assert infos["tape_episode"].tolist() == [2, 1, 2, 1, 2]


def test_environments_never_seeded_differ():
    envs, others = native(scenario="tiny"), native(scenario="tiny")
    seeds = np.concatenate([envs.reset()[1]["tape_seed"], others.reset()[1]["tape_seed"]])
    assert len(set(seeds)) == 2 * B
    np.testing.assert_array_equal(envs.reset()[1]["tape_episode"], np.ones(B))


def test_tapes_handed_in_are_played_for_one_episode(rng, tiny):
    tapes = Tape.stack([sample_tape(tiny, 100 + index) for index in range(B)])
    envs = native(AutoresetMode.SAME_STEP, scenario="tiny")
    envs.reset(seed=0)
    observations, infos = envs.reset(options={"tape": tapes})
    assert_same(observations, native(scenario="tiny").reset(seed=100)[0])
    assert np.all(infos["tape_seed"] == -1)
    terminated = np.zeros(B, dtype=bool)
    while not terminated.any():
        _, _, terminated, _, infos = envs.step(random_actions(rng, envs))
    np.testing.assert_array_equal(infos["tape_episode"], np.where(terminated, 1, -1))


def test_one_tape_serves_all(tiny, tiny_tape: Tape):
    observations, _ = native(scenario="tiny").reset(options={"tape": tiny_tape})
    expected, _ = TwoStageEnv(tiny).reset(seed=7)
    np.testing.assert_array_equal(observations, np.tile(expected, (B, 1)))


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_what_callers_do_to_returned_arrays_does_not_matter(rng, mode: AutoresetMode):
    ours, untouched = native(mode, scenario="tiny"), native(mode, scenario="tiny")
    result, expected = ours.reset(seed=1), untouched.reset(seed=1)
    for _ in range(60):
        for array in arrays_of(result):
            array.fill(1)
        actions = random_actions(rng, ours)
        result, expected = ours.step(actions), untouched.step(actions)
        assert_same(result, expected)
        if mode is AutoresetMode.DISABLED and expected[2].any():
            result, expected = (envs.reset(options={"reset_mask": expected[2].copy()}) for envs in (ours, untouched))
            assert_same(result, expected)


def test_no_two_returned_arrays_share_memory(rng):
    envs = native(AutoresetMode.SAME_STEP, scenario="tiny", budgets={"max_rounds": 1})
    calls = [envs.reset(seed=1), *(envs.step(random_actions(rng, envs)) for _ in range(2))]
    arrays = arrays_of(calls)
    shared = [1 for index, array in enumerate(arrays) for other in arrays[:index] if np.shares_memory(array, other)]
    assert len(arrays) > 100
    assert not shared


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"])
def test_a_copy_made_in_mid_episode_goes_on_identically(rng, copied):
    envs = native(scenario="tiny")
    envs.reset(seed=6)
    for _ in range(5):
        envs.step(random_actions(rng, envs))
    twin = copied(envs)
    for _ in range(40):
        actions = random_actions(rng, envs)
        assert_same(envs.step(actions), twin.step(actions))


def test_each_instance_carries_its_own_autoreset_mode():
    made = {
        mode: gymnasium.make_vec("EdgeLearn/TwoStage-v0", num_envs=2, autoreset_mode=mode) for mode in AutoresetMode
    }
    for mode, envs in made.items():
        assert envs.metadata["autoreset_mode"] is envs.autoreset_mode is mode
    assert TwoStageVectorEnv.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert native("SameStep").autoreset_mode is AutoresetMode.SAME_STEP


def test_the_action_of_an_environment_about_to_be_reset_is_ignored(rng):
    envs = native(scenario="tiny", budgets={"max_rounds": 1})
    envs.reset(seed=1)
    assert np.all(envs.step(random_actions(rng, envs))[2])
    _, rewards, terminated, _, infos = envs.step(np.full(envs.action_space.shape, np.nan))
    assert not rewards.any()
    assert not terminated.any()
    assert not infos["counted"].any()
    with pytest.raises(InvalidInputError, match=r"^action\[0, 0\] must be a finite number, got nan$"):
        envs.step(np.full(envs.action_space.shape, np.nan))


def test_an_action_that_does_not_fit_is_refused(rng):
    envs = native(scenario="tiny")
    envs.reset(seed=1)
    actions = random_actions(rng, envs)
    with pytest.raises(InvalidInputError, match=r"^action must have shape \(5, 12\), got \(4, 12\)$"):
        envs.step(actions[:-1])
    actions[3, 7] = np.inf
    with pytest.raises(InvalidInputError, match=r"^action\[3, 7\] must be a finite number, got inf$"):
        envs.step(actions)


def test_without_autoreset_ended_episodes_must_be_reset_first(rng):
    envs = native(AutoresetMode.DISABLED, scenario="tiny", budgets={"max_rounds": 1})
    envs.reset(seed=1)
    envs.step(random_actions(rng, envs))
    envs.reset(options={"reset_mask": np.array([True, True, False, True, False])})
    with pytest.raises(ResetNeeded, match=r"environments \[2, 4\] have ended"):
        envs.step(random_actions(rng, envs))


def test_there_is_nothing_to_step_or_render_before_reset(rng):
    envs = native(scenario="tiny", render_mode="ansi")
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
        envs.step(random_actions(rng, envs))
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before render\(\)"):
        envs.render()
    with pytest.raises(ResetNeeded, match="first reset must be of all"):
        envs.reset(options={"reset_mask": np.array([True, True, False, True, False])})


@pytest.mark.parametrize(
    ("reset", "sentence"),
    [
        ({"seed": -1}, "seed must be a whole number from 0 to .*, got -1"),
        ({"seed": [1, 2]}, r"seed must be one number or 5 numbers \(num_envs\), got 2"),
        ({"seed": [1, 2, 3, 4, -5]}, "seed must be a whole number from 0 to .*, got -5"),
        ({"options": {"mask": 1}}, "unknown reset option 'mask': choose one of tape, reset_mask"),
        ({"options": {"reset_mask": np.ones(4, dtype=bool)}}, r"must be a boolean array of shape \(5,\)"),
        ({"options": {"reset_mask": np.ones(5)}}, r"must be a boolean array of shape \(5,\)"),
        ({"options": {"reset_mask": np.zeros(5, dtype=bool)}}, "must hold True for at least one"),
        ({"options": {"tape": Tape(np.ones((2, 30, 3)), np.ones((2, 30, 3)))}}, "must hold 1 episode or 5, got 2"),
    ],
)
def test_a_wrong_reset_is_refused_and_leaves_the_episodes_as_they_were(rng, reset: dict, sentence: str):
    envs, untouched = native(scenario="tiny"), native(scenario="tiny")
    envs.reset(seed=0)
    untouched.reset(seed=0)
    with pytest.raises(InvalidInputError, match=sentence):
        envs.reset(**reset)
    actions = random_actions(rng, envs)
    assert_same(envs.step(actions), untouched.step(actions))
    assert_same(envs.reset(), untouched.reset())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"num_envs": 0}, "num_envs must be a whole number of at least 1, got 0"),
        ({"max_episode_steps": 10}, "max_episode_steps must be None.*got 10"),
        ({"autoreset_mode": "Never"}, "autoreset_mode must be one of 'NextStep', 'SameStep', 'Disabled', got 'Never'"),
        ({"render_mode": "human"}, "render_mode must be None or one of rgb_array, ansi, got 'human'"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(arguments: dict, sentence: str):
    with pytest.raises(InvalidInputError, match=sentence):
        TwoStageVectorEnv(**arguments)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_frames_are_those_of_single_environments(rng, mode: AutoresetMode):
    kwargs = {"scenario": "tiny", "budgets": {"max_rounds": 3}, "render_mode": "ansi"}
    ours, theirs = native(mode, 2, **kwargs), singles(mode, 2, **kwargs)
    ours.reset(seed=1)
    theirs.reset(seed=1)
    assert_same(ours.render(), theirs.render())
    for _ in range(8):
        actions = random_actions(rng, ours)
        ours.step(actions)
        theirs.step(actions)
        assert_same(ours.render(), theirs.render())


def test_images_come_as_one_frame_an_environment():
    envs = native(num_envs=2, scenario="tiny", render_mode="rgb_array")
    envs.reset(seed=1)
    frames = envs.render()
    assert isinstance(frames, tuple)
    assert [frame.dtype for frame in frames] == [np.uint8, np.uint8]


def test_rendering_without_a_mode_warns():
    envs = native(scenario="tiny")
    envs.reset(seed=1)
    with pytest.warns(UserWarning, match="choose a render_mode"):
        assert envs.render() is None


def test_gymnasiums_vector_wrappers_accept_it(rng):
    envs = gymnasium.make_vec("EdgeLearn/TwoStage-v0", num_envs=B, scenario="tiny")
    envs = gymnasium.wrappers.vector.NormalizeObservation(gymnasium.wrappers.vector.RecordEpisodeStatistics(envs))
    envs.reset(seed=1)
    for _ in range(60):
        *_, infos = envs.step(random_actions(rng, envs))
        if "episode" in infos:
            return
    pytest.fail("no episode has ended")
