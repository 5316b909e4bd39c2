"""Work shared out on a local Ray cluster; `make test-cluster` makes the environment of its own that this needs."""

import json

import pytest

pytest.importorskip("ray")

from command_line import edgelearn

SMALL = ("-s", "tiny", "--set", "budgets.max_rounds=12", "--episodes", "6")


def run_on_both(tmp_path, *arguments: str) -> None:
    """Run a command on a cluster of this machine and without one, each in a folder of its own."""
    for backend in ("ray", "processes"):
        folder = tmp_path / backend
        folder.mkdir()
        result = edgelearn(*arguments, "--backend", backend, "--workers", "2", folder=folder)
        assert result.status == 0, result.complaint


def read(path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_proofs_are_the_same(tmp_path):
    run_on_both(tmp_path, "prove", *SMALL, "--out", "proofs.json")
    assert read(tmp_path / "ray/proofs.json") == read(tmp_path / "processes/proofs.json")
    folders = [tmp_path / backend / "results/optima" for backend in ("ray", "processes")]
    ours, theirs = ({file.name for file in folder.iterdir()} for folder in folders)
    assert ours == theirs
    assert len(ours) == 6


def test_benchmarks_are_the_same(tmp_path):
    run_on_both(tmp_path, "benchmark", *SMALL, "--policies", "equal,mpc", "--out", "results")
    assert read(tmp_path / "ray/results/benchmark.json") == read(tmp_path / "processes/results/benchmark.json")


def test_an_address_without_a_cluster_is_refused_in_a_sentence(tmp_path):
    where = ("--backend", "ray", "--address", "127.0.0.1:1")
    result = edgelearn("prove", *SMALL, "--out", "x.json", *where, folder=tmp_path)
    assert result.status == 2
    assert "address must be that of a running Ray cluster" in result.complaint
