"""Training through trimming: what is played is what `trimmed` makes of what was decided."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from edgelearn_env.agents.actor.trimmed_play import TrimmedModel
from edgelearn_env.agents.configs.ppo import PPOConfig
from edgelearn_env.agents.ppo import train
from edgelearn_env.agents.runs.checkpoint import load, load_policy
from edgelearn_env.agents.runs.sb3_run import training_envs
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

TINY = Path(__file__).parents[2] / "tiny.toml"
SMALL = {"num_envs": 4, "rollout_steps": 16, "num_minibatches": 4, "hidden": 8, "critic_hidden": 8}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    config = PPOConfig(scenario=TINY, total_steps=64, validation_tapes=2, trims=True, **SMALL)
    return train(config, tmp_path_factory.mktemp("run")).checkpoint


def test_environments_play_what_the_policy_with_trimming_plays(checkpoint, tiny):
    actor = load(checkpoint).actor
    tapes = Tape.stack([sample_tape(tiny, seed) for seed in range(4)])
    expected = rollout(tiny, tapes, actor.policy(tiny, trims=True))
    assert not np.array_equal(expected.objective, rollout(tiny, tapes, actor.policy(tiny, trims=False)).objective)
    envs = training_envs(PPOConfig(scenario=TINY, trims=True, **SMALL))
    envs.seed(0)
    observed, total, done = envs.reset(), np.zeros(4), np.zeros(4, dtype=bool)
    while not done.all():
        observed, rewards, ended, _ = envs.step(actor.action(observed))
        total += np.where(done, 0.0, rewards)
        done |= ended
    np.testing.assert_allclose(total, np.sum(expected.outcomes.reward, axis=1), rtol=1e-5)
    assert isinstance(envs.envs._episodes.model, TrimmedModel)


def test_its_checkpoint_trims_for_ever_after(checkpoint, tiny):
    tapes = Tape.stack([sample_tape(tiny, seed) for seed in range(2)])
    played, expected = (
        rollout(tiny, tapes, policy).objective
        for policy in (load_policy(checkpoint, tiny), load(checkpoint).actor.policy(tiny, trims=True))
    )
    np.testing.assert_array_equal(played, expected)


def test_rounds_of_another_system_are_not_trimmed():
    with pytest.raises(InvalidInputError, match="scenario must be of system 'two-stage'"):
        _ = PPOConfig(scenario="coded-tiny", trims=True, **SMALL).loaded_scenario
