"""The RL Zoo's command line with our hyperparameters; `make test-rl-zoo` makes the environment that this needs."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
if importlib.util.find_spec("rl_zoo3") is None:
    pytest.skip("rl_zoo3 is not installed", allow_module_level=True)

TINY = Path(__file__).parent.parent / "tiny.toml"
ALGORITHMS = ("ppo", "sac", "td3", "tqc")
ID = "EdgeLearn/TwoStage-v0"


def trained(algorithm: str, steps: int, folder: Path, seed: int = 0) -> Path:
    """Where the Zoo writes a run, once it has trained."""
    command = [sys.executable, "-m", "rl_zoo3.train", "--algo", algorithm, "--env", ID, "--log-folder", str(folder)]
    command += ["--gym-packages", "edgelearn_env", "--conf-file", f"edgelearn_env.agents.rl_zoo.{algorithm}"]
    command += ["--n-timesteps", str(steps), "--eval-freq", "-1", "--seed", str(seed)]
    command += ["--env-kwargs", f"scenario:'{TINY}'", "--num-threads", "1", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / algorithm / f"{ID.replace('/', '-')}_1"


def episodes(run: Path) -> np.ndarray:
    """Return, length and time (r, l, t) of all episodes that the Zoo's monitors saw, in the order of their ends."""
    names = {"delimiter": ",", "names": True, "skip_header": 1}
    monitors = [np.atleast_1d(np.genfromtxt(path, **names)) for path in run.glob("*.monitor.csv")]
    return np.sort(np.concatenate(monitors), order="t")


def weights(run: Path, algorithm: str) -> dict[str, np.ndarray]:
    from rl_zoo3.utils import ALGOS

    policy = ALGOS[algorithm].load(run / f"{ID.replace('/', '-')}.zip", device="cpu").policy
    return {name: tensor.numpy() for name, tensor in policy.state_dict().items()}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_zoo_trains_with_our_hyperparameters(algorithm, tmp_path):
    run, again = (trained(algorithm, 3_000, tmp_path / name) for name in ("first", "again"))
    seen = episodes(run)
    assert len(seen) >= 3_000 / 30 - 32
    assert np.isfinite(seen["r"]).all()
    assert ((seen["l"] >= 1) & (seen["l"] <= 30)).all()
    first, second = weights(run, algorithm), weights(again, algorithm)
    for name, array in first.items():
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, second[name])


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_twenty_thousand_steps_raise_the_return(algorithm, tmp_path):
    returns = episodes(trained(algorithm, 20_000, tmp_path))["r"]
    assert returns[-100:].mean() > returns[:100].mean() + 0.5
