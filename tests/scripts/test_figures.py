"""`edgelearn figures`: its points, its files, that it goes on where it stopped, and what it leaves out."""

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgelearn_env.baselines.two_stage.ablations.search import ablated_design
from edgelearn_env.baselines.two_stage.ablations.study import (
    DESIGNS,
    JOINT,
    SWEEPS,
    StudyPoint,
    study_points,
)
from edgelearn_env.baselines.two_stage.static.design import static_design
from edgelearn_env.drawing.study_figure import Panel, study_figure
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts import figures as command
from edgelearn_env.scripts.main import app

TINY = str(Path(__file__).parents[1] / "tiny.toml")
BUDGETS = {"delay_s": 3.0, "energy_j": 1.6, "max_rounds": 4}


@pytest.fixture
def small(tiny) -> Scenario:
    """The system of `run`: four rounds, which every design is soon found for."""
    return tiny.replace(budgets=BUDGETS)


def run(*arguments: object, out: Path):
    small = [word for name, value in BUDGETS.items() for word in ("--set", f"budgets.{name}={value}")]
    words = ["figures", "-s", TINY, *small, "--points", "2", "--workers", "1", "--out", str(out), *map(str, arguments)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    with (out / "study.csv").open(newline="") as file:
        return result.output, list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def study(folder):
    return run(out=folder)


def test_every_design_has_a_row_at_every_value_of_every_sweep(study, folder):
    _, rows = study
    for sweep in SWEEPS:
        values = {row["value"] for row in rows if row["sweep"] == sweep}
        assert len(values) == 2
        assert [row["design"] for row in rows if row["sweep"] == sweep] == list(DESIGNS) * 2
    for name in ("study-bound.png", "study-rounds.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_the_joint_design_of_a_row_is_the_static_design_of_the_changed_scenario(study, small):
    _, rows = study
    joint = [row for row in rows if row["design"] == JOINT and row["sweep"] == "delay"]
    for row, longest in zip(joint, (4, 16), strict=True):
        design = static_design(small.replace(budgets={"delay_s": float(row["value"]), "max_rounds": longest}))
        assert float(row["phi"]) == design.value
        assert (int(row["num_pretrain_rounds"]), int(row["num_finetune_rounds"])) == (
            design.num_pretrain_rounds,
            design.num_finetune_rounds,
        )


def test_an_ablation_s_row_is_its_own_static_design(study, small):
    _, rows = study
    for row in rows:
        if row["sweep"] == "gap" and row["design"] != JOINT:
            changed = small.replace(learning={"distribution_gap": float(row["value"])})
            assert float(row["phi"]) == ablated_design(row["design"], changed).value


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

    def noted(scenario: Scenario, sweep: str, value: float) -> list[StudyPoint]:
        solved.append((sweep, value))
        return [StudyPoint(sweep, value, design, 1.0, 1, 1) for design in DESIGNS]

    monkeypatch.setattr(command, "study_points", noted)
    assert run(out=folder)[1] == rows
    assert solved == []
    (tmp_path / "study.csv").write_bytes((folder / "study.csv").read_bytes())
    _, others = run("--set", "budgets.energy_j=1.5", out=tmp_path)
    assert len(solved) == 2 * len(SWEEPS)
    assert len(others) == 2 * len(SWEEPS) * len(DESIGNS)
    assert {row["scenario"] for row in others}.isdisjoint(row["scenario"] for row in rows)


def test_an_interrupted_run_goes_on_where_it_stopped(study, tmp_path, monkeypatch):
    _, rows = study
    with (tmp_path / "study.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row for row in rows if row["sweep"] != "gap")
    solved = []

    def noted(scenario: Scenario, sweep: str, value: float) -> list[StudyPoint]:
        solved.append((sweep, value))
        found = [row for row in rows if (row["sweep"], float(row["value"])) == solved[-1]]
        return [StudyPoint(*(kind(row[name]) for name, kind in StudyPoint.__annotations__.items())) for row in found]

    monkeypatch.setattr(command, "study_points", noted)
    assert run(out=tmp_path)[1] == rows
    assert [sweep for sweep, _ in solved] == ["gap", "gap"]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "sweep,value,design,phi,scenario\ndelay,x,joint design,y,{scenario}\n"])
def test_a_table_that_the_command_did_not_write_is_refused(tiny, tmp_path, text):
    (tmp_path / "study.csv").write_text(text.format(scenario=command._digest(tiny)))
    arguments = ["figures", "-s", TINY, "--points", "2", "--out", str(tmp_path)]
    with pytest.raises(InvalidInputError, match=r"study.csv' is not a table that this command wrote: remove it"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.mark.parametrize(
    ("change", "label", "lacking"),
    [
        ("budgets.delay_s=0.4", "delay budget (s) 0.1", "budgets.delay_s = 0.1 s is too small by 0.177 s"),
        ("budgets.delay_s=0.06", "delay budget (s) 0.015", "budgets.delay_s is infeasible, too small by 0.0108 s"),
        ("budgets.energy_j=0.02", "energy budget (J) 0.005", "budgets.energy_j is infeasible, too small by 0.00506 J"),
    ],
)
def test_what_no_budget_can_pay_for_is_left_out_with_what_it_lacks(tmp_path, monkeypatch, change, label, lacking):
    monkeypatch.setattr(command, "SWEEPS", {name: SWEEPS[name] for name in (label.split()[0], "gap")})

    def solved_there(scenario: Scenario, sweep: str, value: float) -> list[StudyPoint]:
        if f"{SWEEPS[sweep].label} {value:g}" == label:
            return study_points(scenario, sweep, value)
        return [StudyPoint(sweep, value, design, 1.0, 1, 1) for design in DESIGNS]

    monkeypatch.setattr(command, "study_points", solved_there)
    printed, rows = run("--set", change, out=tmp_path)
    note = next(line for line in printed.splitlines() if line.startswith(f"Left out at {label}: {JOINT}"))
    assert lacking in note
    left_out = {(row["sweep"], row["design"]) for row in rows if not np.isfinite(float(row["phi"]))}
    assert (label.split()[0], JOINT) in left_out
    assert (tmp_path / "study-bound.png").read_bytes().startswith(b"\x89PNG")


def test_curves_far_above_the_others_are_named_and_not_drawn():
    x = np.array([1.0, 2.0])
    low, high, unknown = np.array([1.0, 2.0]), np.array([7.0, 9.0]), np.array([np.inf, np.inf])
    curves = {"low": (x, low), "high": (x, high), "unknown": (x, unknown), "middle": (x, 2 * low)}
    axes = study_figure("title", [Panel("x", "y", curves)]).axes[0]
    assert {line.get_label() for line in axes.lines} == {"low", "high", "middle"}
    axes = study_figure("title", [Panel("x", "y", curves | {"high": (x, 2 * high)})]).axes[0]
    assert {line.get_label() for line in axes.lines} == {"low", "middle"}
    assert axes.get_title("right") == "far above: high, 14 to 18"
