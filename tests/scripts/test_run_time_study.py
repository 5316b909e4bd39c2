"""`edgelearn figures --study run-time`: its table, its files, and that both say what was found."""

import csv

from typer.testing import CliRunner

from edgelearn_env.baselines.gradient_coding.run_time.reference import ReferenceRow
from edgelearn_env.baselines.gradient_coding.run_time.study import SCHEMES, SWEEPS, StudyPoint
from edgelearn_env.scripts import run_time_study as command
from edgelearn_env.scripts.main import app


def found(sweep: str, value: float) -> list[StudyPoint]:
    """Points of the study at no cost."""
    return [StudyPoint(sweep, value, name, "(0, 0)", 1.0 + rank) for rank, name in enumerate(SCHEMES)]


def test_the_table_is_printed_and_points_and_picture_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "study_points", found)
    rows = [ReferenceRow("cluster", "scheme", "(1, 1)", 0.70239, 0.0009, 3.891)]
    monkeypatch.setattr(command, "reference_rows", lambda: rows)
    words = ["figures", "--study", "run-time", "--workers", "1", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "cluster  scheme  (1, 1)     702.4              0.9           3.89" in result.output
    assert (tmp_path / "run-time-study.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "run-time-study.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(SCHEMES) * sum(len(sweep.values) for sweep in SWEEPS.values())
    assert [row["scheme"] for row in written[: len(SCHEMES)]] == list(SCHEMES)
    assert list(dict.fromkeys(row["sweep"] for row in written)) == list(SWEEPS)


def test_a_study_that_there_is_not_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["figures", "--study", "energy", "--out", str(tmp_path)])
    assert result.exit_code == 2


def test_a_scenario_for_a_study_that_has_its_own_is_refused(tmp_path):
    for words in (["--scenario", "tiny"], ["--set", "budgets.delay_s=3"], ["--objective", "finetune"]):
        result = CliRunner().invoke(app, ["figures", "--study", "run-time", *words, "--out", str(tmp_path)])
        assert result.exit_code != 0
        assert "has a cluster of its own" in str(result.exception)
    assert not list(tmp_path.iterdir())
