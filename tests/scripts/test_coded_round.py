"""`edgelearn coded-round` on processes."""

import importlib.util
import re

import pytest
from command_line import edgelearn


def test_both_rounds_stand_beside_what_the_model_says_of_them(tmp_path):
    result = edgelearn("coded-round", "--devices", "2", "--seed", "3", folder=tmp_path)
    assert result.status == 0, result.complaint
    printed = result.printed
    assert "Code (1, 1) on groups of (2, 2): 4 parts a device" in printed
    errors = re.findall(r"relative error.*?(\S+)\s+0\s*\n", printed)
    assert len(errors) == 2
    assert all(float(error) < 1e-10 for error in errors)
    for what in ("with the code", "without, waiting for all"):
        [(measured, predicted)] = re.findall(rf"seconds {what}\s+(\S+)\s+(\S+)", printed)
        assert float(measured) >= float(predicted) > 0
    [left_out] = re.findall(r"devices left out\s+(.*?)  ", printed)
    assert len(left_out.split(",")) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--engine", "dask"], "--engine must be processes or ray, got 'dask'"),
        (["--address", "auto"], "--address is that of a Ray cluster, for --engine ray, got 'auto'"),
        (["--edge-stragglers", "2"], "edge_stragglers must be a whole number from 0 to 1, got 2"),
    ],
)
def test_wrong_input_gets_one_sentence(words, sentence, tmp_path):
    result = edgelearn("coded-round", *words, folder=tmp_path)
    assert (result.status, result.complaint) == (2, f"edgelearn: {sentence}\n")


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_extra_is_named(tmp_path):
    result = edgelearn("coded-round", "--engine", "ray", folder=tmp_path)
    assert (result.status, result.complaint.split(": ", 1)[1]) == (
        2,
        "work on a cluster needs Ray: pip install 'edgelearn-env[cluster]'\n",
    )
