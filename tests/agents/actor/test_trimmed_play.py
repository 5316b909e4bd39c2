"""Training through trimming: what is played is what `trimmed` makes of what was decided."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from edgelearn_env.agents.actor.trimmed_play import TrimmedLayers, TrimmedTwoStage
from edgelearn_env.agents.configs.ppo import PPOConfig
from edgelearn_env.agents.ppo import train
from edgelearn_env.agents.runs.checkpoint import load, load_policy
from edgelearn_env.agents.runs.sb3_run import training_envs
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

TINY = Path(__file__).parents[2] / "tiny.toml"
LAYERS = Scenario.preset("layers-tiny")
SMALL = {"num_envs": 4, "rollout_steps": 16, "num_minibatches": 4, "hidden": 8, "critic_hidden": 8}


@pytest.fixture(scope="module", params=[TINY, LAYERS], ids=["two-stage", "layers"])
def checkpoint(request, tmp_path_factory) -> Path:
    config = PPOConfig(scenario=request.param, total_steps=64, validation_tapes=2, trims=True, **SMALL)
    return train(config, tmp_path_factory.mktemp("run")).checkpoint


def test_environments_play_what_the_policy_with_trimming_plays(checkpoint):
    trained = load(checkpoint)
    actor, scenario = trained.actor, trained.scenario
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in range(4)])
    expected = rollout(scenario, tapes, actor.policy(scenario, trims=True))
    untrimmed = rollout(scenario, tapes, actor.policy(scenario, trims=False))
    assert not np.array_equal(expected.objective, untrimmed.objective)
    envs = training_envs(PPOConfig(scenario=scenario, trims=True, **SMALL))
    envs.seed(0)
    observed, total, done = envs.reset(), np.zeros(4), np.zeros(4, dtype=bool)
    while not done.all():
        observed, rewards, ended, _ = envs.step(actor.action(observed))
        total += np.where(done, 0.0, rewards)
        done |= ended
    np.testing.assert_allclose(total, np.sum(expected.outcomes.reward, axis=1), rtol=1e-5)
    assert isinstance(envs.envs._episodes.model, TrimmedTwoStage | TrimmedLayers)


def test_its_checkpoint_trims_for_ever_after(checkpoint):
    trained = load(checkpoint)
    scenario = trained.scenario
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in range(2)])
    played, expected = (
        rollout(scenario, tapes, policy).objective
        for policy in (load_policy(checkpoint, scenario), trained.actor.policy(scenario, trims=True))
    )
    np.testing.assert_array_equal(played, expected)


def test_rounds_of_another_system_are_not_trimmed():
    with pytest.raises(InvalidInputError, match="a system whose rounds can be trimmed"):
        _ = PPOConfig(scenario="coded-tiny", trims=True, **SMALL).loaded_scenario
