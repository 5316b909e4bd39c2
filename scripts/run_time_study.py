"""`edgelearn figures --study run-time`: run times of gradient coding, a table of reference clusters and a picture."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from joblib import delayed
from rich.table import Table

from edgelearn_env.baselines.gradient_coding.run_time.reference import ReferenceRow, reference_rows
from edgelearn_env.baselines.gradient_coding.run_time.study import (
    HEADLINE_SPEED_UP,
    SCHEMES,
    SWEEPS,
    UNCODED,
    StudyPoint,
    slowed_cluster,
    speed_ups_of_every_code,
    study_points,
)
from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.files import writable_folder, written_atomically
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.printing.tables import table_of

_CSV, _PICTURE = "run-time-study.csv", "run-time-study.png"


def write_run_time_study(out: Path, workers: int | None) -> None:
    """Print the run times of the reference clusters; write every point of the study, and its picture."""
    output, folder = Output(), writable_folder(out)
    output.table(_reference_table(reference_rows()))
    wanted = [(name, float(value)) for name, sweep in SWEEPS.items() for value in sweep.values]
    points: list[StudyPoint] = []
    with progress_on(output) as progress:
        jobs = (delayed(study_points)(*each) for each in wanted)
        found = shared_out(jobs, len(wanted), workers)
        for of_value in progress.track(found, total=len(wanted), description="evaluating"):
            points += of_value
    points.sort(key=lambda point: ([*SWEEPS].index(point.sweep), point.value, SCHEMES.index(point.scheme)))
    _write(points, folder / _CSV)
    _draw(points, folder / _PICTURE)
    output.say(f"Wrote {folder / _CSV}, {folder / _PICTURE}")


def _reference_table(rows: Sequence[ReferenceRow]) -> Table:
    table = table_of(
        "cluster", "scheme", "code", "E[T], ms", "error below, ms", "times as fast", texts=("scheme", "code")
    )
    for row in rows:
        numbers = (f"{1e3 * row.iteration_s:.1f}", f"{1e3 * row.error_s:.1f}", f"{row.speed_up:.2f}")
        table.add_row(row.cluster, row.scheme, row.code, *numbers)
    return table


def _write(points: Sequence[StudyPoint], file: Path) -> None:
    with written_atomically(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([StudyPoint._fields, *points])


def _draw(points: Sequence[StudyPoint], file: Path) -> None:
    """Run times against each number that was varied, speed-ups against the slow-down, speed-ups of every code."""
    from edgelearn_env.drawing.run_time_figure import run_time_figure
    from edgelearn_env.drawing.study_figure import Panel

    def curves(sweep: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        chosen = {name: [point for point in points if (point.sweep, point.scheme) == (sweep, name)] for name in SCHEMES}
        return {
            name: (np.array([point.value for point in of_name]), np.array([point.iteration_s for point in of_name]))
            for name, of_name in chosen.items()
        }

    times = [
        Panel(sweep.label, "expected iteration (s)", curves(name), x_scale="log" if name == "slow-down" else "linear")
        for name, sweep in SWEEPS.items()
    ]
    slowed = curves("slow-down")
    speed_ups = {name: (x, slowed[UNCODED][1] / y) for name, (x, y) in slowed.items()}
    title = (
        "Gradient coding: 5 edge nodes with 5 devices each, one device under each and one edge node's link 10 times as"
        " slow, unless varied\n"
        "Our reconstruction of arXiv:2406.10831; the parameters of its experiments are not known to us"
    )
    panel = Panel(SWEEPS["slow-down"].label, "times as fast as uncoded", speed_ups)
    claimed = ("the paper's headline", HEADLINE_SPEED_UP)
    figure = run_time_figure(title, times, panel, claimed, speed_ups_of_every_code(slowed_cluster()))
    with written_atomically(file) as temporary:
        figure.savefig(temporary, dpi=150)
