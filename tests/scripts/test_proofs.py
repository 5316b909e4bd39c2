"""Proofs that come with the package: used where they hold, and only there."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import edgelearn

from edgelearn_env.evaluation.report import Report
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.proofs import proven_tapes
from edgelearn_env.tapes.tape import sample_tape

SHORT = ["--scenario", "tiny", "--set", "budgets.max_rounds=6"]
BENCHMARK = ["benchmark", *SHORT, "--episodes", "3", "--policies", "random,myopic", "--workers", "1", "--out"]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    """A folder of proofs of four tapes."""
    folder = tmp_path_factory.mktemp("proofs")
    ended = edgelearn("prove", *SHORT, "--episodes", "4", "--workers", "1", "--out", "tiny.json", folder=folder)
    assert ended.status == 0, ended.complaint
    return folder


@pytest.fixture
def benchmarked(shipped, monkeypatch, tmp_path):
    """A benchmark with the proofs of a folder, and what it printed."""

    def benchmark(folder: Path = shipped) -> tuple[Report, str]:
        monkeypatch.setattr(proven_tapes, "_FOLDER", folder)
        ended = edgelearn(*BENCHMARK, "out", folder=tmp_path)
        assert ended.status == 0, ended.complaint
        return Report.load(tmp_path / "out" / "benchmark.json"), ended.printed

    return benchmark


def test_a_benchmark_with_proofs_is_the_same_as_one_that_proves(benchmarked, tmp_path):
    with_proofs, printed = benchmarked()
    assert "proving anew" not in printed
    assert len(list((tmp_path / "out" / "optima").glob("*.npz"))) == 1
    without, printed = benchmarked(tmp_path / "nothing")
    assert "proving anew" not in printed
    np.testing.assert_array_equal(with_proofs.bound, without.bound)
    np.testing.assert_array_equal(with_proofs.relaxed, without.relaxed)
    for one, other in zip(with_proofs.played, without.played, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.objective, other.objective)
        np.testing.assert_array_equal(one.end_reasons, other.end_reasons)
        for name, values in one.columns.items():
            np.testing.assert_array_equal(values, other.columns[name])


def test_a_proof_of_other_sources_is_not_believed(benchmarked, shipped, tmp_path):
    table = json.loads((shipped / "tiny.json").read_text())
    table["digests"][1] = "0" * 16
    table["report"]["bound"] = [1e-3] * 4
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tiny.json").write_text(json.dumps(table))
    report, printed = benchmarked(tmp_path / "other")
    assert "proving anew" in printed
    assert np.all(report.bound > 1e-2)


def test_the_proofs_that_come_with_the_package_are_of_what_it_holds():
    for path in proven_tapes.file_of("tiny").parent.glob("*.json"):
        proven = proven_tapes.ProvenTapes.load(path)
        scenario = Scenario.preset(path.stem)
        tapes = [sample_tape(scenario, seed) for seed in proven.report.seeds]
        fresh = proven_tapes.digests_of(scenario, tapes)
        assert fresh == list(proven.digests), f"{path.name} is of other sources: edgelearn prove makes it anew"


def test_a_cluster_s_address_without_a_cluster_is_refused(tmp_path):
    result = edgelearn("prove", "--out", "x.json", "--address", "auto", folder=tmp_path)
    sentence = "--address is that of a Ray cluster: add --backend ray, got 'auto'"
    assert (result.status, result.complaint) == (2, f"edgelearn: {sentence}\n")


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_extra_is_named(tmp_path):
    result = edgelearn("benchmark", "--backend", "ray", folder=tmp_path)
    assert result.status == 2
    assert "work on a cluster needs Ray: pip install 'edgelearn-env[cluster]'" in result.complaint
