"""Datasets: the numbers of the environment itself, on training tapes, whole or not at all."""

import sys

import gymnasium
import numpy as np
import pytest

from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.baselines.stages.policies.myopic import Myopic
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.evaluation.offline import create_minari_dataset, recorded_episodes, require_new_dataset
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

NAME = "edgelearn/two-stage/tiny-random-v0"
SEEDS = range(4)


def tapes_of(scenario) -> Tape:
    return Tape.stack([sample_tape(scenario, seed) for seed in SEEDS])


def require_that_the_environment_plays(env, seed, episode) -> None:
    """The recorded actions bring the recorded observations and rewards, to the last bit, and end the episode."""
    observation, _ = env.reset(seed=seed)
    np.testing.assert_array_equal(observation, episode.observations[0])
    for t, action in enumerate(episode.actions):
        assert env.action_space.contains(action)
        observation, reward, terminated, truncated, _ = env.step(action)
        np.testing.assert_array_equal(observation, episode.observations[t + 1])
        assert reward == episode.rewards[t]
        assert terminated == (t == len(episode.actions) - 1)
        assert not truncated


@pytest.mark.parametrize("policy", [lambda s: RandomPlay(s, seed=2), lambda s: Myopic(constants=constants_of(s))])
def test_recorded_episodes_are_those_of_the_environment_to_the_last_bit(tiny, policy):
    env = gymnasium.make(tiny.environment, scenario=tiny)
    for seed, episode in zip(SEEDS, recorded_episodes(tiny, tapes_of(tiny), policy(tiny)), strict=True):
        require_that_the_environment_plays(env, seed, episode)


def test_a_clairvoyant_plan_loses_nothing_on_its_way_through_the_action_space(tiny):
    for seed in SEEDS:
        tape = sample_tape(tiny, seed)
        optimum = clairvoyant(tiny, tape)
        [episode] = recorded_episodes(tiny, Tape.stack([tape]), optimum.whole_plan)
        replayed = rollout(tiny, tape, optimum.whole_plan)
        assert episode.rewards.sum() == pytest.approx(replayed.outcomes.reward.sum(), abs=1e-6)


@pytest.fixture
def minari(monkeypatch, tmp_path):
    pytest.importorskip("h5py")
    module = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return module


@pytest.fixture
def written(minari, tiny):
    episodes = recorded_episodes(tiny, tapes_of(tiny), RandomPlay(tiny, seed=2))
    create_minari_dataset(NAME, tiny, SEEDS, episodes, "random")
    return episodes


def test_a_dataset_read_again_holds_the_same_numbers(minari, written):
    dataset = minari.load_dataset(NAME)
    assert (dataset.total_episodes, dataset.total_steps) == (4, sum(len(episode.rewards) for episode in written))
    for before, after in zip(written, dataset.iterate_episodes(), strict=True):
        np.testing.assert_array_equal(after.observations, before.observations)
        np.testing.assert_array_equal(after.actions, before.actions)
        np.testing.assert_array_equal(after.rewards, before.rewards)
        assert after.observations.dtype == after.actions.dtype == np.float32
        assert np.flatnonzero(after.terminations).tolist() == [len(after.rewards) - 1]
        assert not np.any(after.truncations)


def test_the_environment_of_a_dataset_is_recovered_and_plays_it_again(minari, written, tiny):
    dataset = minari.load_dataset(NAME)
    env = dataset.recover_environment()
    assert env.unwrapped.scenario == tiny
    seeds = [int(about["seed"]) for about in dataset.storage.get_episode_metadata(range(4))]
    assert seeds == list(SEEDS)
    for seed, episode in zip(seeds, dataset.iterate_episodes(), strict=True):
        require_that_the_environment_plays(env, seed, episode)


def test_a_dataset_that_exists_is_not_overwritten(minari, written, tiny):
    with pytest.raises(InvalidInputError, match=rf"dataset '{NAME}' exists already: choose another name"):
        create_minari_dataset(NAME, tiny, SEEDS, written, "random")
    assert minari.load_dataset(NAME).total_episodes == 4


@pytest.mark.parametrize("name", ["edgelearn/tiny", "", "a b-v0", "/tiny-v0", "../tiny-v0"])
def test_what_is_no_name_of_a_dataset_is_refused(minari, name):
    with pytest.raises(InvalidInputError, match="a dataset's name looks like group/name-v0"):
        require_new_dataset(name)


def test_an_interrupt_leaves_no_part_of_a_dataset_behind(minari, tiny, monkeypatch):
    from minari.dataset._storages.hdf5_storage import HDF5Storage

    def interrupted(storage, buffers):
        raise KeyboardInterrupt

    monkeypatch.setattr(HDF5Storage, "update_episodes", interrupted)
    episodes = recorded_episodes(tiny, tapes_of(tiny), RandomPlay(tiny, seed=2))
    with pytest.raises(KeyboardInterrupt):
        create_minari_dataset(NAME, tiny, SEEDS, episodes, "random")
    require_new_dataset(NAME)


@pytest.mark.parametrize("module", ["minari", "h5py"])
def test_without_minari_the_extra_is_named(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgelearn-env\[offline\]'"):
        require_new_dataset(NAME)
