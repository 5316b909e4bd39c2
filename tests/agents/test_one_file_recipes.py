"""The recipes of one file each: a short run on the tests' own scenario shows that all of the way works."""

import importlib
import importlib.util
import json
import math
import runpy
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")

import torch

from edgelearn_env.agents.runs.one_file import Choices, CurvePoint, Result
from edgelearn_env.agents.runs.torch_threads import torch_threads
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.two_stage.env import TwoStageEnv

TINY = Path(__file__).parent.parent / "tiny.toml"
ROLLOUT = 16 * 64  # of 16 environments
LIBRARIES = {"cleanrl_ppo": "torch", "torchrl_ppo": "torchrl"}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with torch_threads(1):
        yield


@pytest.fixture(scope="module", params=LIBRARIES)
def recipe(request) -> ModuleType:
    if importlib.util.find_spec(LIBRARIES[request.param]) is None:
        pytest.skip(f"{LIBRARIES[request.param]} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchRL warns of parts of its own when it is imported
        return importlib.import_module(f"edgelearn_env.agents.{request.param}")


def choices(**changes) -> Choices:
    return Choices(**({"scenario": TINY, "total_steps": 4 * ROLLOUT, "num_envs": 16} | changes))


def weights(result: Result) -> dict[str, torch.Tensor]:
    return torch.load(result.weights, weights_only=True)


@pytest.fixture(scope="module")
def short(recipe, tmp_path_factory) -> Result:
    """A run of one rollout."""
    return recipe.train(choices(total_steps=ROLLOUT), tmp_path_factory.mktemp("short"))


@pytest.fixture(scope="module")
def longer(recipe, tmp_path_factory) -> tuple[Result, list[CurvePoint]]:
    """A run of four rollouts, and what it reported."""
    seen = []
    return recipe.train(choices(), tmp_path_factory.mktemp("longer"), seen.append), seen


def test_a_run_reports_every_rollout_with_its_episodes(longer, tiny):
    result, seen = longer
    assert result.curve == tuple(seen)
    assert [point.steps for point in seen] == [(n + 1) * ROLLOUT for n in range(4)]
    episodes = [point.num_episodes for point in seen]
    assert sorted(set(episodes)) == episodes
    # An episode has from 1 to 30 rounds, and a few of them are still being played at the end.
    assert 4 * ROLLOUT / 30 - 16 <= episodes[-1] <= 4 * ROLLOUT
    for point in seen:
        assert math.isfinite(point.mean_return)
        assert math.isfinite(point.mean_objective)
    report = json.loads(result.weights.with_name("run.json").read_text())
    assert report["choices"] == {"total_steps": 4 * ROLLOUT, "seed": 0, "num_envs": 16}
    assert [CurvePoint(**point) for point in report["curve"]] == seen
    assert report["scenario"]["name"] == tiny.name
    assert "torch" in report["versions"]


def test_returns_and_bounds_belong_to_the_same_episodes(short, tiny):
    last = short.curve[-1]
    env = TwoStageEnv(tiny)
    _, info = env.reset(seed=0)
    low, high = env.codec.log_bound_range
    # Each return is log(first bound / final bound); the mean of a log is at most the log of the mean.
    assert 0 < math.log(info["objective"] / last.mean_objective) <= last.mean_return < high - low


def test_all_weights_are_trained_and_all_are_finite(short, longer):
    before, after = weights(short), weights(longer[0])
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        assert torch.isfinite(tensor).all()
        assert not torch.equal(tensor, before[name]), name


def test_the_seed_decides_a_run(recipe, short, tmp_path):
    again, other = (
        recipe.train(choices(total_steps=ROLLOUT, seed=seed), tmp_path / name)
        for name, seed in (("again", 0), ("other", 4))
    )
    assert short.curve == again.curve
    assert short.curve != other.curve
    for name, tensor in weights(short).items():
        assert torch.equal(tensor, weights(again)[name]), name


def test_steps_are_rounded_up_to_whole_rollouts(recipe, tmp_path):
    result = recipe.train(choices(total_steps=ROLLOUT + 1), tmp_path)
    assert [point.steps for point in result.curve] == [ROLLOUT, 2 * ROLLOUT]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"total_steps": 0}, "total_steps must be at least 1, got 0"),
        ({"num_envs": 0}, "num_envs must be at least 1, got 0"),
        ({"seed": TUNING}, "seed must be at most 999984"),
        ({"scenario": "huge"}, "unknown scenario preset 'huge'"),
    ],
)
def test_wrong_choices_are_refused_by_name(changes, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        choices(**changes)


@pytest.fixture
def ended(recipe, tmp_path, monkeypatch, capsys):
    """Runs the recipe's command in this process, for torch takes seconds to import: status, output, complaint."""

    def run(*options: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [recipe.__file__, *options])
        with pytest.raises(SystemExit) as end:
            runpy.run_module(recipe.__name__, run_name="__main__")
        return end.value.code or 0, *capsys.readouterr()

    return run


as_a_command = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")


@as_a_command
def test_a_command_says_what_came_of_the_run(ended, tmp_path):
    options = ["--scenario", str(TINY), "--steps", "1024", "--num-envs", "16", "--out", "run"]
    status, printed, complaint = ended(*options)
    assert (status, complaint) == (0, "")
    last = json.loads((tmp_path / "run" / "run.json").read_text())["curve"][-1]
    means = f"mean return {last['mean_return']:.3f}, mean learning bound {last['mean_objective']:.4f}"
    assert printed.splitlines()[-2:] == ["Wrote run/agent.pt, run/run.json", f"Last training episodes: {means}"]


@as_a_command
def test_a_command_refuses_wrong_input_in_one_sentence(ended, tmp_path):
    (tmp_path / "taken").write_text("")
    sentence = "--out must name a folder, got the file 'taken'"
    assert ended("--out", "taken") == (2, "", f"{sentence}\n")


@pytest.mark.parametrize(
    ("name", "module", "sentence"),
    [
        ("cleanrl_ppo", "torch", "torch is not installed: pip install 'edgelearn-env[agents]'"),
        ("torchrl_ppo", "torchrl", "TorchRL is not installed: pip install 'edgelearn-env[torchrl]'"),
        ("rllib_ppo", "ray", "RLlib is not installed: pip install 'edgelearn-env[rllib]'"),
    ],
)
def test_a_recipe_says_which_extra_it_misses(name, module, sentence, monkeypatch, capsys):
    recipe = f"edgelearn_env.agents.{name}"
    for loaded in [other for other in sys.modules if other.split(".")[0] == module or other == recipe]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as error:
        importlib.import_module(recipe)
    with pytest.raises(SystemExit) as end:
        runpy.run_module(recipe, run_name="__main__")
    assert (str(error.value), end.value.code, *capsys.readouterr()) == (sentence, 2, "", f"{sentence}\n")


@pytest.mark.slow
def test_a_hundred_thousand_steps_divide_the_bound_by_three(recipe, tmp_path):
    curve = recipe.train(choices(total_steps=100_000, num_envs=32), tmp_path).curve
    assert curve[-1].mean_objective < curve[0].mean_objective / 3
    assert curve[-1].mean_return > curve[0].mean_return + 1
