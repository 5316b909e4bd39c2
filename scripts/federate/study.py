"""`edgelearn federate study`: layer finetuning beside what else small devices can do; tables, pictures, resumable."""

import contextlib
import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from joblib import delayed
from rich.table import Table

from edgelearn_env.agents.runs.torch_threads import torch_threads
from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.drawing.federated_figure import Cloud, Scatter, scatter_figure
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.study.limits import FAMILIES
from edgelearn_env.federated.study.plan import DEEP, MIDDLE, PLANS, SMALL, StudyPlan, net_for
from edgelearn_env.federated.study.runs import Run
from edgelearn_env.federated.study.study import DEFAULT_DATA, Call, Study
from edgelearn_env.federated.study.tables import (
    TextTable,
    equal_table,
    gap_table,
    limits_table,
    rule_table,
    unequal_table,
)
from edgelearn_env.files import writable_folder, written_atomically
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scripts.options import Workers


def study(
    minutes: Annotated[
        int,
        typer.Option(help="Of two free cores, about: 15 (one seed), 60 (three); 1 is a try of nothing but the code."),
    ] = 15,
    out: Annotated[Path, typer.Option(help="Folder for runs, nets, tables and pictures.")] = Path("results/study"),
    workers: Workers = None,
) -> None:
    """Fine-tune pre-trained nets under every scheme; Ctrl-C shows what there is, and the same command goes on."""
    output, folder = Output(), writable_folder(out)
    if minutes not in PLANS:
        raise InvalidInputError(f"--minutes must be one of {', '.join(map(str, PLANS))}, got {minutes}")
    found = Study(PLANS[minutes], folder, lambda calls: _shared(calls, workers))
    runs: list[Run] = []
    with progress_on(output) as progress, contextlib.suppress(KeyboardInterrupt):
        runs.extend(progress.track(found.runs(), total=found.num_tasks, description="training"))
    tables = _tables(runs, PLANS[minutes])
    for each in tables:
        output.table(_shown(each))
        _write(folder, each)
    pictures = _pictures(runs, folder, f"{len(PLANS[minutes].seeds)} seed(s), {PLANS[minutes].rounds} rounds")
    output.say("Wrote " + ", ".join(str(folder / f"{each.name}.md") for each in tables))
    output.say("Wrote " + ", ".join(map(str, pictures)))


def _shared(calls: Sequence[Call], workers: int | None) -> Iterator[object]:
    """Results of calls that are shared out among processes, each of which computes with one thread."""
    return shared_out((delayed(_with_one_thread)(*call) for call in calls), len(calls), workers)


def _with_one_thread(function: Callable[..., object], arguments: tuple[object, ...]) -> object:
    with torch_threads(1):
        return function(*arguments)


def _tables(runs: Sequence[Run], plan: StudyPlan) -> list[TextTable]:
    parts = {part: [run for run in runs if run.part == part] for part in ("equal", "unequal", "gap")}
    trained = [run for run in parts["equal"] if not run.variant.startswith("before")]
    nets = {depth: net_for(DEFAULT_DATA, depth) for depth in (SMALL, MIDDLE, DEEP)}
    in_sweep = {run.variant for run in parts["gap"]}
    swept = [run for run in parts["equal"] if run.variant in in_sweep] + parts["gap"]
    tables = [
        equal_table(parts["equal"]),
        limits_table(trained),
        rule_table(trained, nets, plan.batch),
        unequal_table(parts["unequal"]),
        gap_table(swept),
    ]
    return [each for each in tables if each.rows]


def _shown(table: TextTable) -> Table:
    shown = table_of(*table.headings, title=table.title, texts=("family", "best that fits", "variant", "scheme"))
    for row in table.rows:
        shown.add_row(*row)
    return shown


def _write(folder: Path, table: TextTable) -> None:
    with written_atomically(folder / f"{table.name}.md") as temporary:
        temporary.write_text(table.markdown, encoding="utf-8")
    file = folder / f"{table.name}.csv"
    with written_atomically(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([table.headings, *table.rows])


def _pictures(runs: Sequence[Run], folder: Path, how: str) -> list[Path]:
    figures = {
        "study-costs.png": ("Equal devices, what each variant costs and reaches", _costs(runs)),
        "study-groups.png": ("Weak, medium and strong devices", _groups(runs)),
        "study-gap.png": ("General data far from the task, and near", _gaps(runs)),
    }
    drawn = {name: (title, panels) for name, (title, panels) in figures.items() if any(each.clouds for each in panels)}
    for name, (title, panels) in drawn.items():
        with written_atomically(folder / name) as temporary:
            scatter_figure(f"{title}: {how}", panels).savefig(temporary, dpi=150)
    return [folder / name for name in drawn]


def _costs(runs: Sequence[Run]) -> list:
    """Test loss against memory, FLOPs and upload."""
    kinds = {name: prefixes for name, prefixes in FAMILIES.items() if name != "small net, whole"}
    some = [run for run in runs if run.part == "equal" and not run.variant.startswith("before")]
    axes = {
        "memory of a device, MB": lambda run: run.peak_bytes / 1e6,
        "GFLOP of a local step": lambda run: run.step_flops / 1e9,
        "upload of a device, MB": lambda run: run.device_upload_bytes / 1e6,
    }
    panels = []
    for label, cost in axes.items():
        clouds = {}
        for kind, prefixes in kinds.items():
            names = dict.fromkeys(run.variant for run in some if run.variant.startswith(prefixes))
            of = {name: [run for run in some if run.variant == name] for name in names}
            x = np.array([cost(each[0]) for each in of.values()])
            y = np.array([np.mean([run.test_bits for run in each]) for each in of.values()])
            short = [name.replace("whole net of ", "all of ").removeprefix("LoRA ") for name in names]
            if of:
                clouds[kind] = Cloud(x, y, short)
        panels.append(Scatter("", label, "test loss, bits a character", clouds))
    return panels


def _groups(runs: Sequence[Run]) -> list:
    """Mean accuracy against the gap between groups, and each group's own."""
    some = [run for run in runs if run.part == "unequal" and not run.variant.startswith("before")]
    mean, groups = {}, {}
    for name in dict.fromkeys(run.variant for run in some):
        own = [run for run in some if run.variant == name]
        by_group = np.mean([(run.weak_accuracy, run.medium_accuracy, run.strong_accuracy) for run in own], axis=0)
        accuracy, worst = (
            np.array([np.mean([getattr(run, f) for run in own])]) for f in ("accuracy", "worst_accuracy")
        )
        mean[name] = Cloud(100 * worst, 100 * accuracy)
        groups[name] = Cloud(np.arange(3.0), 100 * by_group)
    return [
        Scatter("upper right is better", "accuracy of the worst tenth of devices, %", "mean accuracy, %", mean),
        Scatter("", "weak (0), medium (1) and strong (2) devices", "accuracy of the group, %", groups),
    ]


def _gaps(runs: Sequence[Run]) -> list:
    """Gains of variants against how well the pre-trained net did before; text and images apart."""
    swept = {run.variant for run in runs if run.part == "gap"}
    some = [run for run in runs if run.part == "gap" or (run.part == "equal" and run.variant in swept)]
    panels = []
    for title, is_text in (("addresses", True), ("glyphs to digits", False)):
        own = [run for run in some if (run.data != "glyphs") == is_text]
        names = dict.fromkeys(run.variant for run in own if not run.variant.startswith("before"))
        before = {(r.data, r.seed, r.depth): r.test_bits for r in own if r.variant.startswith("before")}
        clouds = {}
        for name in names:
            of = [run for run in own if run.variant == name]
            x = np.array([before[run.data, run.seed, run.depth] for run in of])
            clouds[name] = Cloud(x, np.array([run.test_bits for run in of]), [run.data for run in of])
        panels.append(Scatter(title, "test loss before fine-tuning, bits", "after, bits", clouds))
    return panels
