"""`edgelearn federate truth`: the learning bound beside real training, over schedules of all kinds."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from edgelearn_env.agents.runs.torch_threads import torch_threads
from edgelearn_env.drawing.federated_figure import Cloud, Scatter, scatter_figure
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.training import Training
from edgelearn_env.federated.truth import Truth, measured_truth, rank_correlation
from edgelearn_env.files import name_in_a_path, writable_folder, written_atomically
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.printing.tables import table_of
from edgelearn_env.schedule import Schedule
from edgelearn_env.scripts.federate.real_data import (
    Begun,
    Data,
    Depth,
    Samples,
    Tokens,
    Width,
    chosen_data,
    chosen_net,
    chosen_weights,
)
from edgelearn_env.scripts.federate.result_rows import known_rows, require_same_run, write_rows
from edgelearn_env.scripts.federate.schedules import varied_schedules
from edgelearn_env.two_stage.scenario import TwoStageScenario

_MEASURED = {"mean_square_gradient": "mean ||∇F||²", "train_loss": "task loss, end", "test_bits": "test loss, end"}


def truth(
    scenario: Annotated[Path, typer.Option("--scenario", "-s", help="What `calibrate` wrote, with the same options.")],
    data: Data = "far",
    depth: Depth = 2,
    width: Width = 32,
    tokens: Tokens = 32,
    samples: Samples = 32,
    begun: Begun = 0,
    tapes: Annotated[int, typer.Option(min=1, help="For each policy.")] = 1,
    random: Annotated[
        int, typer.Option(min=0, help="Schedules of the static design with its decisions changed at random.")
    ] = 28,
    points: Annotated[int, typer.Option(min=1, help="Fine-tuning rounds in which the gradient is measured.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Of first weights and draws.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for table, schedules and picture.")] = Path("results/truth"),
) -> None:
    """Play many schedules in real training; an interrupted run goes on where it stopped."""
    system, output, folder = TwoStageScenario.load(scenario), Output(), writable_folder(out)
    choices = {"data": data, "depth": depth, "width": width, "tokens": tokens, "samples": samples, "begun": begun}
    choices |= {"points": points, "seed": seed, "scenario": system.to_dict()}
    require_same_run(folder, choices)
    with output.status("designing schedules"):
        schedules = _schedules(system, folder / "schedules", tapes, random)
    with torch_threads(1), progress_on(output) as progress:
        known = chosen_data(data, None, None, tokens, system.num_devices, samples)
        net = chosen_net(known, depth, width)
        rows = {row.name: row for row in known_rows(folder / "truth.csv", Truth)}
        weights = chosen_weights(known, net, begun, seed)
        for schedule in progress.track(schedules, description="training"):
            if schedule.name not in rows or rows[schedule.name].predicted != schedule.predicted:
                training = Training.under_the_bound(system.learning, net, known, schedule, seed)
                rows[schedule.name] = measured_truth(training, weights, points)
                write_rows(folder / "truth.csv", list(rows.values()))
    chosen = [rows[schedule.name] for schedule in schedules]
    output.table(_table(chosen))
    _draw(folder / "truth.png", system.name, chosen)
    output.say(f"Wrote {folder / 'truth.csv'}, {folder / 'truth.png'}")


def _schedules(system: TwoStageScenario, folder: Path, tapes: int, random: int) -> list[Schedule]:
    """Each as it was made before, or made and kept; a design that the budgets cannot pay for is left out."""
    found = []
    for name, made in varied_schedules(system, tapes, random).items():
        file = folder / f"{name_in_a_path(name)}.json"
        if not file.is_file():
            try:
                made().save(file)
            except InvalidInputError:
                continue
        found.append(Schedule.load(file))
    return found


def _kind(name: str) -> str:
    return "random" if name.startswith("random ") else name.partition(",")[0].partition(":")[0]


def _table(rows: list[Truth]) -> Table:
    """Spearman's rank correlation of Phi with each measure, over all schedules and some of them."""
    table = table_of("Φ against", "schedules", "n", "Spearman", "95 % interval", texts=("schedules",))
    subsets = {
        "all": rows,
        "with fine-tuning": [row for row in rows if row.participation],
        "policies and ablations": [row for row in rows if _kind(row.name) != "random"],
    }
    for field, label in _MEASURED.items():
        for which, some in subsets.items():
            both = np.array([(row.predicted, getattr(row, field)) for row in some]).reshape(-1, 2)
            both = both[np.isfinite(both).all(axis=1)]
            if len(both) > 2:
                found = rank_correlation(*both.T)
                interval = f"{found.low:.3f} to {found.high:.3f}"
                table.add_row(label, which, str(len(both)), f"{found.value:.3f}", interval)
    squares = np.array([(row.predicted, row.mean_square_gradient) for row in rows])
    measured = squares[np.isfinite(squares).all(axis=1)]
    met = int(np.sum(measured[:, 1] <= measured[:, 0]))
    table.caption = f"Of {len(measured)} schedules that fine-tune, {met} keep mean ||∇F||² below Φ."
    return table


def _draw(file: Path, name: str, rows: list[Truth]) -> None:
    kinds = dict.fromkeys(_kind(row.name) for row in rows)

    def clouds(field: str) -> dict[str, Cloud]:
        found = {}
        for kind in kinds:
            some = np.array([[row.predicted, getattr(row, field)] for row in rows if _kind(row.name) == kind])
            found[kind] = Cloud(some[:, 0], some[:, 1])
        return found

    x_label = "learning bound Φ"
    panels = [
        Scatter(
            "dotted: the bound is met", x_label, "measured mean ||∇F||²", clouds("mean_square_gradient"), True, True
        ),
        Scatter("", x_label, "test loss at the end, bits", clouds("test_bits"), True),
    ]
    with written_atomically(file) as temporary:
        scatter_figure(f"{name}: {len(rows)} schedules in real training", panels, diagonal=True).savefig(
            temporary, dpi=150
        )
