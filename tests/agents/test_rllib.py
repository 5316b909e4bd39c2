"""RLlib on a local Ray cluster; `make test-rllib` makes the environment of its own that this needs."""

import importlib.metadata
import json
import math
import warnings

import pytest

pytest.importorskip("ray.rllib")

import numpy as np
from ray.rllib.core.rl_module.rl_module import RLModule

from edgelearn_env.agents.rllib_ppo import train
from edgelearn_env.agents.runs.one_file import Choices, CurvePoint

# Two runners of eight environments, 64 steps each: what an update learns from.
ROLLOUT = 2 * 8 * 64


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What trains with a seed for three updates, and where to."""

    def run(seed: int, name: str):
        folder = tmp_path_factory.mktemp(name)
        choices = Choices(scenario="tiny", total_steps=5 * ROLLOUT // 2, num_envs=8, seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray warns of parts of its own
            return train(choices, folder, num_runners=2), folder

    return run


@pytest.fixture(scope="module")
def first(run):
    return run(0, "first")


def test_it_is_the_gymnasium_that_rllib_wants():
    assert importlib.metadata.version("gymnasium") == "1.2.2"


def test_a_run_reports_every_update_with_its_episodes(first):
    result, folder = first
    assert len(result.curve) == 3
    for updates, point in enumerate(result.curve, start=1):
        # Each runner counts the steps of its environments, and finishes those it is in.
        assert updates * ROLLOUT <= point.steps <= updates * ROLLOUT * 1.05
        assert 0 < point.num_episodes <= point.steps
        assert math.isfinite(point.mean_return)
        assert 0 < point.mean_objective < math.inf
    report = json.loads((folder / "run.json").read_text())
    assert tuple(CurvePoint(**point) for point in report["curve"]) == result.curve
    assert report["versions"].keys() >= {"ray", "torch", "gymnasium"}


def test_the_checkpoint_holds_trained_weights_that_the_seed_decides(first, run):
    weights, again, other = (_weights(result) for result, _ in (first, run(0, "again"), run(1, "other")))
    assert weights.keys() == again.keys()
    assert all(np.isfinite(array).all() for array in weights.values())
    for name, array in weights.items():
        np.testing.assert_allclose(again[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    assert any(not np.allclose(array, other[name], atol=1e-3) for name, array in weights.items())


def _weights(result) -> dict[str, np.ndarray]:
    path = result.weights / "learner_group" / "learner" / "rl_module" / "default_policy"
    return RLModule.from_checkpoint(path).get_state()
