"""`edgelearn curves`: pictures of training runs."""

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from matplotlib.image import imread

from edgelearn_env.agents.apg import train
from edgelearn_env.agents.configs.apg import APGConfig
from edgelearn_env.agents.runs.checkpoint import load
from edgelearn_env.drawing.curve_figure import mean_and_half_width
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scripts.curves import curves

TINY = Path(__file__).parents[1] / "tiny.toml"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Three short runs of one recipe."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        choices = {"total_updates": 4, "num_tapes": 4, "hidden": 8, "validation_tapes": 3, "validate_every": 2}
        train(APGConfig(scenario=TINY, seed=seed, **choices), folder / str(seed))
    return [folder / str(seed) for seed in range(3)]


def test_a_picture_is_drawn_and_what_each_run_came_to_is_printed(tmp_path, runs, capsys):
    curves(runs, out=tmp_path)
    printed = capsys.readouterr().out
    assert imread(tmp_path / "curve-apg.png").shape[1] == 704
    kept = [load(run / "checkpoint.zip").validation_objective for run in runs]
    for seed, value in enumerate(kept):
        assert f"{value:.4f} (seed {seed})" in printed
    assert f"geometric mean {np.exp(np.mean(np.log(kept))):.4f}, 95 % interval" in printed


def test_one_run_has_a_curve_and_no_interval(tmp_path, runs, capsys):
    curves(runs[:1], out=tmp_path)
    assert "95 % interval none" in capsys.readouterr().out
    assert (tmp_path / "curve-apg.png").exists()


def test_the_interval_is_students():
    # Quantile 0.975 with two degrees of freedom: 4.303.
    mean, half_width = mean_and_half_width(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]))
    np.testing.assert_allclose(mean, [2.0, 5.0])
    np.testing.assert_allclose(half_width, [4.3026527 / np.sqrt(3), 0.0], rtol=1e-6)


def test_runs_that_do_not_belong_together_are_refused(tmp_path, runs):
    with pytest.raises(InvalidInputError, match="two of the runs of apg have the same seed"):
        curves([runs[0], runs[0]], out=tmp_path)
    with pytest.raises(InvalidInputError, match=r"checkpoint file .* does not exist"):
        curves([tmp_path / "nothing"], out=tmp_path)
    broken = shutil.copytree(runs[1], tmp_path / "broken")
    (broken / "progress.csv").write_text("share\n1\n")
    with pytest.raises(InvalidInputError, match=r"training curve .* is damaged"):
        curves([broken], out=tmp_path)
    lines = (runs[2] / "progress.csv").read_text().splitlines()
    (broken / "progress.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(InvalidInputError, match="take finished runs of the same length"):
        curves([runs[0], broken], out=tmp_path)
    (broken / "progress.csv").unlink()
    with pytest.raises(InvalidInputError, match=r"training curve file .* does not exist"):
        curves([broken], out=tmp_path)
