"""`edgelearn figures`: the learning bound against budgets, data and devices, for the joint design and its ablations."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import Progress

from edgelearn_env.files import written_atomically
from edgelearn_env.scenario import Scenario
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, chosen_scenario
from edgelearn_env.scripts.study import DESIGNS, JOINT, SWEEPS, StudyPoint, study_points

_CSV, _SYSTEM = "study.csv", "study.json"


def figures(
    scenario: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    points: Annotated[int, typer.Option(min=2, help="Values of each number that is varied.")] = 9,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that solve; all cores if left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for study.csv and the pictures.")] = Path("results"),
) -> None:
    """Draw what budgets, data and devices are worth to the static joint design, beside each of its ablations.

    An interrupted run goes on where it stopped: points in study.csv that belong to the same system are kept.
    """
    system, console = chosen_scenario(scenario, changes, objective), Console()
    wanted = [(name, float(value)) for name, sweep in SWEEPS.items() for value in sweep.values(system, points)]
    known = _known_points(system, out)
    missing = [each for each in wanted if each not in {(point.sweep, point.value) for point in known}]
    with Progress(console=console) as progress:
        jobs = (delayed(study_points)(system, *each) for each in missing)
        solved = Parallel(n_jobs=workers or os.cpu_count() or 1, return_as="generator")(jobs)
        for found in progress.track(solved, total=len(missing), description="designing"):
            known += found
            _write(system, known, out)
    shown = [point for point in known if (point.sweep, point.value) in set(wanted)]
    for sweep, value, design in (point[:3] for point in shown if not np.isfinite(point.phi)):
        console.print(f"Left out: at {SWEEPS[sweep].label} {value:g} no round fits ({design})", highlight=False)
    files = [out / _CSV, *_pictures(system, shown, out)]
    console.print("Wrote " + ", ".join(str(file) for file in files), highlight=False, soft_wrap=True)


def _known_points(scenario: Scenario, out: Path) -> list[StudyPoint]:
    """The points of an earlier run on the same system."""
    if not (out / _CSV).is_file() or not (out / _SYSTEM).is_file():
        return []
    if json.loads((out / _SYSTEM).read_text(encoding="utf-8")) != _as_table(scenario):
        return []
    with (out / _CSV).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        StudyPoint(
            row["sweep"],
            float(row["value"]),
            row["design"],
            float(row["phi"]),
            int(row["num_pretrain_rounds"]),
            int(row["num_finetune_rounds"]),
        )
        for row in rows
    ]


def _write(scenario: Scenario, points: Sequence[StudyPoint], out: Path) -> None:
    """The points so far, and what system they belong to."""
    order = {name: index for index, name in enumerate((*SWEEPS, *DESIGNS))}
    rows = sorted(points, key=lambda point: (order[point.sweep], point.value, order[point.design]))
    with written_atomically(out / _SYSTEM) as temporary:
        temporary.write_text(json.dumps(_as_table(scenario), indent=1) + "\n", encoding="utf-8")
    with written_atomically(out / _CSV) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([StudyPoint._fields, *rows])


def _as_table(scenario: Scenario) -> object:
    """The scenario in what JSON can say."""
    return json.loads(json.dumps(scenario.to_dict(), default=lambda array: array.tolist()))


def _pictures(scenario: Scenario, points: Sequence[StudyPoint], out: Path) -> list[Path]:
    """Bounds against each number that was varied, and the rounds of every design against the data's gap."""
    from edgelearn_env.study_figure import Panel, study_figure

    def curves(sweep: str, field: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        found = {}
        for design in DESIGNS:
            chosen = sorted(point for point in points if (point.sweep, point.design) == (sweep, design))
            found[design] = tuple(np.array([[point.value, getattr(point, field)] for point in chosen], dtype=float).T)
        return found

    system = f"{scenario.name}: {scenario.num_devices} devices, {scenario.learning.objective} bound, static channel"
    bounds = [Panel(sweep.label, "learning bound Φ", curves(name, "phi")) for name, sweep in SWEEPS.items()]
    stages = {"pre-training, M": "num_pretrain_rounds", "fine-tuning, N": "num_finetune_rounds"}
    of_joint = {label: curves("gap", field)[JOINT] for label, field in stages.items()}
    rounds = [Panel(SWEEPS["gap"].label, "rounds of the joint design", of_joint, "linear")]
    files = []
    for name, panels in (("study-bound.png", bounds), ("study-rounds.png", rounds)):
        with written_atomically(out / name) as temporary:
            study_figure(system, panels).savefig(temporary, dpi=150)
        files.append(out / name)
    return files
