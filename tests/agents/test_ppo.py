import importlib.util
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch

from edgelearn_env.agents.actor.ppo_policy import StartedPolicy
from edgelearn_env.agents.actor.static_plan import static_plan
from edgelearn_env.agents.ppo import CurvePoint, PPOConfig, train
from edgelearn_env.agents.runs.checkpoint import load, load_policy
from edgelearn_env.agents.runs.training_run import Result
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.seeds import TUNING, validation_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.env import TwoStageEnv

ROLLOUT = 8 * 16
TINY = Path(__file__).parents[1] / "tiny.toml"


def small(**changes) -> PPOConfig:
    choices = {
        "scenario": TINY,
        "total_steps": 5 * ROLLOUT,
        "num_envs": 8,
        "rollout_steps": 16,
        "num_minibatches": 2,
        "epochs": 2,
        "hidden": 8,
        "critic_hidden": 8,
        "validation_tapes": 3,
        "validate_every": 2,
    }
    return PPOConfig(**(choices | changes))


def interrupting(after: int):
    """CurvePoint reports that stand in for Ctrl-C once there were `after` of them."""
    seen = []

    def report(progress: CurvePoint) -> None:
        seen.append(progress)
        if len(seen) == after:
            raise KeyboardInterrupt

    return report


def validation_objective(scenario: Scenario, policy, count: int = 3) -> float:
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in validation_seeds(count)])
    return float(np.exp(np.mean(np.log(rollout(scenario, tapes, policy).objective))))


def fresh_policy(scenario: Scenario) -> StartedPolicy:
    env = TwoStageEnv(scenario)
    return StartedPolicy(
        env.observation_space, env.action_space, lambda _: 1e-3, scenario=scenario, hidden=8, critic_hidden=8
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Result, list[CurvePoint]]:
    """A run to its end, and what it reported."""
    seen = []
    return train(small(), tmp_path_factory.mktemp("whole"), on_progress=seen.append), seen


def test_a_run_trains_keeps_its_best_state_and_says_how_good_it_is(whole, tiny):
    result, seen = whole
    folder = result.checkpoint.parent
    assert [point.steps for point in result.curve] == [0, 2 * ROLLOUT, 4 * ROLLOUT, 5 * ROLLOUT]
    assert [progress.steps for progress in seen] == [(n + 1) * ROLLOUT for n in range(5)]
    assert not result.interrupted
    best = min(result.curve, key=lambda point: point.validation_objective)
    kept = load(result.checkpoint)
    assert (kept.steps, kept.seed, kept.scenario) == (best.steps, 0, tiny)
    assert kept.config["num_envs"] == 8
    assert kept.validation_objective == result.best_objective == best.validation_objective
    assert kept.validation_objective == validation_objective(tiny, load_policy(result.checkpoint, tiny))
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.zip", "progress.csv", "snapshot.pkl"]
    table = np.genfromtxt(folder / "progress.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(table["validation_objective"], [p.validation_objective for p in result.curve])


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_run_goes_on_to_the_last_bit_as_if_it_had_not_been(tmp_path, whole, after, tiny):
    whole, _ = whole
    stopped = train(small(), tmp_path / "parts", on_progress=interrupting(after))
    assert stopped.interrupted
    assert len(stopped.curve) < len(whole.curve)
    load_policy(stopped.checkpoint, tiny)
    resumed = train(small(), tmp_path / "parts")
    assert not resumed.interrupted
    compared = [name for name in CurvePoint._fields if name != "seconds"]
    for name in compared:
        ours, theirs = ([getattr(p, name) for p in r.curve] for r in (resumed, whole))
        np.testing.assert_array_equal(ours, theirs)
    assert resumed.checkpoint.read_bytes() == whole.checkpoint.read_bytes()


def test_a_finished_run_does_nothing_more_unless_asked_for_more_steps(tmp_path, whole):
    first, _ = whole
    shutil.copytree(first.checkpoint.parent, tmp_path, dirs_exist_ok=True)
    np.testing.assert_array_equal(train(small(), tmp_path).curve, first.curve)
    longer = train(small(total_steps=7 * ROLLOUT), tmp_path)
    np.testing.assert_array_equal(longer.curve[: len(first.curve)], first.curve)
    assert longer.curve[-1].steps == 7 * ROLLOUT


def test_a_directory_is_only_gone_on_with_by_the_same_choices(tmp_path):
    train(small(total_steps=ROLLOUT), tmp_path)
    with pytest.raises(InvalidInputError, match="was begun with another learning rate: choose another directory"):
        train(small(learning_rate=1e-4), tmp_path)
    with pytest.raises(InvalidInputError, match="was begun with another scenario"):
        train(small(objective="two-stage"), tmp_path)
    begun_anew = train(small(total_steps=ROLLOUT, learning_rate=1e-4), tmp_path, fresh=True)
    assert load(begun_anew.checkpoint).config["learning_rate"] == 1e-4


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"choices": {}})])
def test_a_damaged_snapshot_is_refused(tmp_path, content):
    (tmp_path / "snapshot.pkl").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"snapshot\.pkl' is damaged"):
        train(small(), tmp_path)


def test_no_half_written_file_stays_behind(tmp_path, monkeypatch):
    train(small(total_steps=ROLLOUT), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr("numpy.lib.format.write_array", full)
    with pytest.raises(OSError, match="no space left"):
        train(small(seed=1), tmp_path, fresh=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"total_steps": 0}, "total_steps must be at least 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0, got -1"),
        ({"gae_lambda": 1.5}, "gae_lambda must be at most 1, got 1.5"),
        ({"num_minibatches": 3}, r"num_minibatches must split 128 steps \(num_envs \* rollout_steps\)"),
        ({"seed": TUNING}, "seed must be at most 999992"),
        ({"scenario": "huge"}, "unknown scenario preset 'huge'"),
    ],
)
def test_wrong_choices_are_refused_by_name(tmp_path, changes, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        train(small(**changes), tmp_path)


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
@pytest.mark.parametrize("preset", ["tiny", "default"])
def test_torch_and_plain_arrays_act_alike(rng, preset, objective):
    scenario = Scenario.preset(preset).replace(learning={"objective": objective})
    policy = fresh_policy(scenario)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        observation = rng.random((9, 5 + 3 * scenario.num_devices)).astype(np.float32)
        expected = policy.get_distribution(torch.tensor(observation)).mode().numpy()
    np.testing.assert_allclose(policy.trained_actor().action(observation), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("source", [TINY, "default"], ids=["tiny", "default"])
def test_an_untrained_agent_switches_and_spends_as_the_static_plan_says(source):
    scenario = Scenario.load(source)
    plan, actor = static_plan(scenario), fresh_policy(scenario).trained_actor()
    played = rollout(scenario, sample_tape(scenario, 1), actor.policy(scenario, trims=False))
    pretraining = ~played.observed.state.finetuning[0] & ~played.allocations.switch[0]
    assert pretraining[0]
    batch, freq_hz = played.allocations.server_batch[0], played.allocations.server_freq_hz[0]
    np.testing.assert_allclose(batch[pretraining], plan.server_batch, rtol=0.15)
    np.testing.assert_allclose(freq_hz[pretraining], plan.server_freq_hz, rtol=0.15)
    used = played.observed.state.elapsed_s[0] / scenario.budgets.delay_s
    clear = np.abs(used - plan.time_share) > 0.01  # its network adds a little from the start
    np.testing.assert_array_equal(pretraining[clear], (used < plan.time_share)[clear])


def test_the_untrained_critic_expects_what_the_untrained_agent_gets(tiny):
    policy, env = fresh_policy(tiny), TwoStageEnv(tiny)
    tapes = [sample_tape(tiny, 0, episode) for episode in range(8)]
    returns = []
    for tape in tapes:
        played = rollout(tiny, tape, policy.trained_actor().policy(tiny, trims=False))
        returns.append(played.outcomes.reward.sum())
    observation, _ = env.reset(seed=0)
    expected = policy.predict_values(torch.tensor(observation[None]))
    assert float(expected.detach()) == pytest.approx(np.mean(returns), rel=0.05)


def test_tensorboard_logs_are_written_if_asked_for(tmp_path):
    pytest.importorskip("tensorboard")
    train(small(total_steps=2 * ROLLOUT, tensorboard=True), tmp_path)
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_agents_load_without_torch_and_say_how_to_install_it(tmp_path):
    code = """
import sys
sys.modules["torch"] = sys.modules["stable_baselines3"] = None
import edgelearn_env.agents, edgelearn_env.agents.runs.checkpoint, edgelearn_env.agents.configs.ppo
import edgelearn_env.errors as errors
try:
    import edgelearn_env.agents.ppo
except errors.MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "Stable-Baselines3 is not installed: pip install 'edgelearn-env[agents]'\n"
    assert importlib.util.find_spec("edgelearn_env.agents").name == "edgelearn_env.agents"


@pytest.mark.slow
def test_training_beats_the_plan_it_starts_from(tmp_path):
    result = train(PPOConfig(scenario=TINY, total_steps=40 * 2048, num_envs=64, rollout_steps=32), tmp_path)
    assert result.best_objective < 0.9 * result.curve[0].validation_objective
