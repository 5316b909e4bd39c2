"""`edgelearn figures`: its points, its files, that it goes on where it stopped, and what it leaves out."""

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgelearn_env.baselines.static_design import static_design
from edgelearn_env.scenario import Scenario
from edgelearn_env.scripts import figures as command
from edgelearn_env.scripts.main import app
from edgelearn_env.scripts.study import DESIGNS, JOINT, SWEEPS, study_points, with_num_devices

TINY = str(Path(__file__).parents[1] / "tiny.toml")


def run(*arguments: object, out: Path):
    result = CliRunner().invoke(app, ["figures", "-s", TINY, "--workers", "1", "--out", str(out), *map(str, arguments)])
    assert result.exit_code == 0, result.output
    with (out / "study.csv").open(newline="") as file:
        return result.output, list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def study(folder):
    return run("--points", 3, out=folder)


def test_every_design_has_a_row_at_every_value_of_every_sweep(study, folder):
    _, rows = study
    for sweep in SWEEPS:
        values = {row["value"] for row in rows if row["sweep"] == sweep}
        assert len(values) == 3
        assert [row["design"] for row in rows if row["sweep"] == sweep] == list(DESIGNS) * 3
    for name in ("study-bound.png", "study-rounds.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_the_joint_design_of_a_row_is_the_static_design_of_the_changed_scenario(study, tiny):
    _, rows = study
    joint = [row for row in rows if row["design"] == JOINT and row["sweep"] == "delay"]
    for row in joint:
        design = static_design(tiny.replace(budgets={"delay_s": float(row["value"])}))
        assert float(row["phi"]) == design.value
        assert (int(row["num_pretrain_rounds"]), int(row["num_finetune_rounds"])) == (
            design.num_pretrain_rounds,
            design.num_finetune_rounds,
        )


def test_no_ablation_is_better_than_the_joint_design_and_more_budget_never_hurts(study):
    _, rows = study
    phi = {(row["sweep"], float(row["value"]), row["design"]): float(row["phi"]) for row in rows}
    for (sweep, value, _), each in phi.items():
        assert each >= phi[sweep, value, JOINT] * (1 - 1e-6)
    for sweep, sign in (("delay", -1), ("energy", -1), ("gap", 1)):
        for design in DESIGNS:
            curve = [each for (name, _, other), each in sorted(phi.items()) if (name, other) == (sweep, design)]
            assert np.all(sign * np.diff(curve) >= -1e-6)


def test_a_second_run_solves_nothing_and_another_system_all_anew(study, folder, tmp_path, monkeypatch):
    _, rows = study
    solved = []
    monkeypatch.setattr(command, "study_points", lambda *which: solved.append(which) or study_points(*which))
    assert run("--points", 3, out=folder)[1] == rows
    assert solved == []
    for name in ("study.csv", "study.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    run("--points", 2, "--set", "budgets.energy_j=7.5", out=tmp_path)
    assert len(solved) == 2 * len(SWEEPS)


def test_an_interrupted_run_goes_on_where_it_stopped(study, folder, tmp_path, monkeypatch):
    _, rows = study
    kept = [row for row in rows if row["sweep"] != "gap"]
    (tmp_path / "study.json").write_bytes((folder / "study.json").read_bytes())
    with (tmp_path / "study.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(kept)
    solved = []
    monkeypatch.setattr(command, "study_points", lambda *which: solved.append(which) or study_points(*which))
    assert run("--points", 3, out=tmp_path)[1] == rows
    assert {sweep for _, sweep, _ in solved} == {"gap"}


def test_a_design_that_no_budget_can_pay_for_is_left_out_by_name(tmp_path):
    printed, rows = run("--points", 2, "--set", "budgets.delay_s=0.4", out=tmp_path)
    left_out = [row["design"] for row in rows if not np.isfinite(float(row["phi"]))]
    assert left_out
    assert f"no round fits ({left_out[0]})" in printed


@pytest.mark.parametrize("num_devices", [1, 2, 7])
def test_a_system_of_other_size_repeats_the_devices_and_their_weights_add_up_to_one(tiny, num_devices):
    changed = with_num_devices(tiny, num_devices)
    assert changed.num_devices == num_devices
    np.testing.assert_array_equal(changed.devices.distance_m, np.resize(tiny.devices.distance_m, num_devices))
    assert np.sum(changed.learning.device_weight) == pytest.approx(1.0)
    assert with_num_devices(tiny, tiny.num_devices) == tiny or num_devices != tiny.num_devices
    assert isinstance(changed, Scenario)
