"""`edgelearn figures`: the learning bound against budgets, data and devices, for the joint design and its ablations."""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from joblib import delayed

from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.baselines.two_stage.ablations.study import (
    DESIGNS,
    JOINT,
    SWEEPS,
    StudyPoint,
    study_points,
    why_left_out,
)
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import writable_folder, written_atomically
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, Workers, chosen_scenario
from edgelearn_env.scripts.run_time_study import write_run_time_study
from edgelearn_env.two_stage.scenario import TwoStageScenario

_CSV = "study.csv"


def figures(
    scenario_name: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    points: Annotated[int, typer.Option(min=2, help="Values of each number that is varied.")] = 9,
    workers: Workers = None,
    study: Annotated[
        Literal["bound", "run-time"], typer.Option(help="The learning bound, or run times of gradient coding.")
    ] = "bound",
    out: Annotated[Path, typer.Option(help="Folder for tables (CSV) and pictures.")] = Path("results"),
) -> None:
    """Draw what budgets, data and devices are worth to the static joint design, beside each of its ablations.

    An interrupted run goes on where it stopped: points in study.csv that belong to the same system are kept.
    `--study run-time` draws what gradient codes are worth in a cluster of its own, whatever the scenario.
    """
    if study == "run-time":
        if (scenario_name, changes or None, objective) != ("default", None, None):
            raise InvalidInputError(
                "--study run-time has a cluster of its own: leave out --scenario, --set, --objective"
            )
        write_run_time_study(out, workers)
        return
    scenario, output = TwoStageScenario.load(chosen_scenario(scenario_name, changes, objective)), Output()
    folder = writable_folder(out)
    wanted = [(name, float(value)) for name, sweep in SWEEPS.items() for value in sweep.values(scenario, points)]
    known = _known_points(scenario, folder / _CSV)
    missing = [each for each in wanted if each not in {(point.sweep, point.value) for point in known}]
    with progress_on(output) as progress:
        jobs = (delayed(study_points)(scenario, *each) for each in missing)
        solved = shared_out(jobs, len(missing), workers)
        for found in progress.track(solved, total=len(missing), description="designing"):
            known += found
            _write(scenario, known, folder / _CSV)
        shown = [point for point in known if (point.sweep, point.value) in set(wanted)]
        files = [folder / _CSV, *_pictures(scenario, shown, folder)]
    for note in _notes(scenario, shown):
        output.say(note)
    output.say("Wrote " + ", ".join(str(file) for file in files))


def _known_points(scenario: TwoStageScenario, file: Path) -> list[StudyPoint]:
    """The points of an earlier run on the same system."""
    if not file.is_file():
        return []
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = [row for row in csv.DictReader(lines) if row["scenario"] == _digest(scenario)]
        return [StudyPoint(*(kind(row[name]) for name, kind in StudyPoint.__annotations__.items())) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        sentence = f"{str(file)!r} is not a table that this command wrote: remove it, or name another --out"
        raise InvalidInputError(sentence) from error


def _write(scenario: TwoStageScenario, points: Sequence[StudyPoint], file: Path) -> None:
    """The points so far, each with what names its scenario."""
    order = {name: index for index, name in enumerate((*SWEEPS, *DESIGNS))}
    rows = sorted(points, key=lambda point: (order[point.sweep], point.value, order[point.design]))
    with written_atomically(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([(*StudyPoint._fields, "scenario"), *((*row, _digest(scenario)) for row in rows)])


def _digest(scenario: TwoStageScenario) -> str:
    """A short name that another system does not have."""
    table = json.dumps(scenario.to_dict(), default=lambda array: array.tolist(), sort_keys=True)
    return hashlib.sha256(table.encode()).hexdigest()[:12]


def _notes(scenario: TwoStageScenario, points: Sequence[StudyPoint]) -> list[str]:
    """What is left out of the pictures, and why; designs that lack the same are named together."""
    lacking: dict[tuple[str, float, str], list[str]] = {}
    for point in points:
        if not np.isfinite(point.phi):
            lacking.setdefault((point.sweep, point.value, why_left_out(scenario, point)), []).append(point.design)
    return [
        f"Left out at {SWEEPS[sweep].label} {value:g}: {', '.join(designs)}: {why}"
        for (sweep, value, why), designs in lacking.items()
    ]


def _pictures(scenario: TwoStageScenario, points: Sequence[StudyPoint], out: Path) -> list[Path]:
    """Bounds against each number that was varied, and the rounds of every design against the data's gap."""
    from edgelearn_env.drawing.study_figure import Panel, study_figure

    def curves(sweep: str, field: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        found = {}
        for design in DESIGNS:
            chosen = sorted(point for point in points if (point.sweep, point.design) == (sweep, design))
            found[design] = tuple(np.array([[point.value, getattr(point, field)] for point in chosen], dtype=float).T)
        return found

    subtitle = f"{scenario.name}: {scenario.in_words}, static channel"
    bounds = [Panel(sweep.label, "learning bound Φ", curves(name, "phi")) for name, sweep in SWEEPS.items()]
    stages = {"pre-training, M": "num_pretrain_rounds", "fine-tuning, N": "num_finetune_rounds"}
    of_joint = {label: curves("gap", field)[JOINT] for label, field in stages.items()}
    rounds = [Panel(SWEEPS["gap"].label, "rounds of the joint design", of_joint, "linear")]
    files = []
    for name, panels in (("study-bound.png", bounds), ("study-rounds.png", rounds)):
        with written_atomically(out / name) as temporary:
            study_figure(subtitle, panels).savefig(temporary, dpi=150)
        files.append(out / name)
    return files
