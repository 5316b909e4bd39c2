"""Training by soft actor-critic."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3.common.logger import configure

from edgelearn_env.agents.configs.sac import SACConfig
from edgelearn_env.agents.runs.checkpoint import load, load_policy
from edgelearn_env.agents.runs.training_run import CurvePoint, Result
from edgelearn_env.agents.sac import algorithm, train
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.env import TwoStageEnv

TINY = Path(__file__).parents[1] / "tiny.toml"


def small(**changes) -> SACConfig:
    choices = {
        "scenario": TINY,
        "total_steps": 160,
        "num_envs": 8,
        "minibatch_size": 16,
        "buffer_size": 400,
        "learning_starts": 16,
        "hidden": 8,
        "critic_hidden": 8,
        "validation_tapes": 3,
        "validate_every": 4,
    }
    return SACConfig(**(choices | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Result:
    """A run to its end."""
    return train(small(), tmp_path_factory.mktemp("whole"))


def test_a_run_trains_keeps_its_best_state_and_says_how_good_it_is(whole, tiny):
    result = whole
    assert [point.steps for point in result.curve] == [0, 32, 64, 96, 128, 160]
    best = min(result.curve, key=lambda point: point.validation_objective)
    kept = load(result.checkpoint)
    assert (kept.recipe, kept.steps, kept.seed, kept.scenario) == ("sac", best.steps, 0, tiny)
    assert kept.validation_objective == result.best_objective == best.validation_objective
    load_policy(result.checkpoint, tiny)


def test_an_interrupted_run_goes_on_to_the_last_bit_as_if_it_had_not_been(tmp_path, whole):
    seen = []

    def interrupt(progress: CurvePoint) -> None:
        seen.append(progress)
        if len(seen) == 11:  # between two judgements, in the middle of learning
            raise KeyboardInterrupt

    stopped = train(small(), tmp_path / "parts", on_progress=interrupt)
    assert stopped.interrupted
    assert len(stopped.curve) < len(whole.curve)
    resumed = train(small(), tmp_path / "parts")
    for name in CurvePoint._fields:
        if name != "seconds":
            ours, theirs = ([getattr(point, name) for point in result.curve] for result in (resumed, whole))
            np.testing.assert_array_equal(ours, theirs)
    assert resumed.checkpoint.read_bytes() == whole.checkpoint.read_bytes()


def test_the_actor_rests_while_the_critics_warm_up_and_then_learns_more_slowly(tmp_path):
    start = algorithm(small()).policy.trained_actor().device.weight_1
    resting = train(small(warm_up=1.0), tmp_path / "resting")
    assert len({point.validation_objective for point in resting.curve}) == 1
    np.testing.assert_array_equal(load(resting.checkpoint).actor.device.weight_1, start)
    learning = train(small(warm_up=0.0), tmp_path / "learning")
    assert len({point.validation_objective for point in learning.curve}) > 1
    sac = algorithm(small(actor_rate=0.5))
    sac.set_logger(configure(None, []))
    sac._update_learning_rate([sac.actor.optimizer, sac.critic.optimizer])
    rates = [optimizer.param_groups[0]["lr"] for optimizer in (sac.actor.optimizer, sac.critic.optimizer)]
    assert rates[0] == 0.5 * rates[1] > 0


def test_actions_are_those_of_the_actor_cut_to_the_action_space(tiny, rng):
    policy = algorithm(small()).policy
    observation = rng.random((9, 5 + 3 * tiny.num_devices)).astype(np.float32)
    with torch.no_grad():
        for parameter in policy.actor.mu.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        sampled, log_prob = policy.actor.action_log_prob(torch.tensor(observation))
    actions, _ = policy.predict(observation, deterministic=True)
    expected = np.clip(policy.trained_actor().action(observation), -1, 1)
    assert np.any(np.abs(expected) == 1)
    np.testing.assert_allclose(actions, expected, rtol=1e-4, atol=1e-4)
    assert torch.all(sampled.abs() <= 1)
    assert log_prob.shape == (9,)


def test_untrained_critics_expect_what_the_untrained_agent_gets(tiny):
    policy, env = algorithm(small()).policy, TwoStageEnv(tiny)
    actor = policy.trained_actor().policy(tiny, trims=False)
    returns = [rollout(tiny, sample_tape(tiny, 0, e), actor).outcomes.reward.sum() for e in range(8)]
    observation, _ = env.reset(seed=0)
    action = torch.zeros(1, env.action_space.shape[0])
    for expected in policy.critic(torch.tensor(observation[None]), action):
        assert float(expected.detach()) == pytest.approx(np.mean(returns), rel=0.05)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"warm_up": 1.5}, "warm_up must be at most 1, got 1.5"),
        ({"actor_rate": 0.0}, "actor_rate must be above 0, got 0"),
        ({"buffer_size": 1}, "buffer_size must be at least 2, got 1"),
    ],
)
def test_wrong_choices_are_refused_by_name(tmp_path, changes, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        train(small(**changes), tmp_path)


def test_a_run_is_only_gone_on_with_by_the_same_choices(tmp_path):
    train(small(total_steps=32), tmp_path)
    with pytest.raises(InvalidInputError, match="was begun with another warm up"):
        train(dataclasses.replace(small(total_steps=32), warm_up=0.25), tmp_path)
