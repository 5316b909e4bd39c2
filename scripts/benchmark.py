"""`edgelearn benchmark`: every policy on the same tapes, against the proven optimum of each."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from edgelearn_env.baselines.ablation_search import ablated_optimum
from edgelearn_env.baselines.ablations import ABLATIONS
from edgelearn_env.baselines.clairvoyant import Optimum
from edgelearn_env.baselines.clairvoyant_batch import clairvoyant_batch
from edgelearn_env.baselines.plan import Plan
from edgelearn_env.dynamics import Allocation
from edgelearn_env.files import written_atomically
from edgelearn_env.report import Report
from edgelearn_env.scenario import Scenario
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, chosen_scenario
from edgelearn_env.scripts.policies import NAMES, named_policies
from edgelearn_env.seeds import test_seeds
from edgelearn_env.tape import Tape, sample_tape
from edgelearn_env.trajectory import Observed, Policy, Trajectory, rollout

# Enough to tell what a freedom is worth; each ablation takes several optima a tape.
_ABLATION_GAP = 1e-4


def benchmark(
    scenario: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    policies: Annotated[
        str | None,
        typer.Option(help=f"Comma-separated: {', '.join(NAMES)}, or files that `train` wrote. All if left out."),
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Number of test tapes.")] = 20,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Show too what clairvoyant plans lose by each ablation; takes long.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that solve; all cores if left out.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for benchmark.json and the pictures.")] = Path("results"),
) -> None:
    """Compare policies with the proven optimum on test tapes; print a table, write JSON and pictures."""
    system = chosen_scenario(scenario, changes, objective)
    console = Console()
    with _progress(console) as progress:
        chosen = named_policies(system, policies, progress)
        seeds = test_seeds(episodes)
        tapes = Tape.stack([sample_tape(system, seed) for seed in seeds])
        found = clairvoyant_batch(system, tapes, num_workers=workers)
        optima = list(progress.track(found, total=episodes, description="proving the optimum of each tape"))
        playing = progress.track(list(chosen.items()), description="playing every policy")
        played = {name: rollout(system, tapes, policy) for name, policy in playing}
        ablated = _ablated(system, tapes, workers, progress) if ablations else {}
    plans = rollout(system, tapes, _each_its_own([optimum.whole_plan for optimum in optima]))
    report = Report.of(system, seeds, optima, plans, played | ablated)
    console.print(_table(report))
    for line in _footnotes(report, optima):
        console.print(line, highlight=False)
    files = _written(report, plans, played, out)
    console.print("Wrote " + ", ".join(str(file) for file in files), highlight=False, soft_wrap=True)


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)


def _ablated(scenario: Scenario, tapes: Tape, workers: int | None, progress: Progress) -> dict[str, Trajectory]:
    """The clairvoyant plan of every tape under each ablation, played in whole batches."""
    each = [Tape(*arrays) for arrays in zip(*tapes, strict=True)]
    jobs = (delayed(ablated_optimum)(name, scenario, tape, gap=_ABLATION_GAP) for name in ABLATIONS for tape in each)
    solved = Parallel(n_jobs=workers or os.cpu_count() or 1, return_as="generator")(jobs)
    total = len(ABLATIONS) * len(each)
    plans = [found.whole_plan for found in progress.track(solved, total=total, description="solving every ablation")]
    return {
        f"({name})": rollout(scenario, tapes, _each_its_own(plans[index * len(each) :][: len(each)]))
        for index, name in enumerate(ABLATIONS)
    }


def _each_its_own(plans: Sequence[Plan]) -> Policy:
    """A policy that plays plan i in episode i."""

    def policy(observed: Observed) -> Allocation:
        rows = [plan(observed) for plan in plans]
        return type(rows[0])(
            *(np.stack([array[i] for i, array in enumerate(arrays)]) for arrays in zip(*rows, strict=True))
        )

    return policy


def _table(report: Report) -> Table:
    budgets = report.scenario.budgets
    table = Table(
        title=f"{report.scenario.name}: {report.scenario.num_devices} devices, {budgets.delay_s:g} s, "
        f"{budgets.energy_j:g} J, {report.scenario.learning.objective} bound, {len(report.seeds)} tapes"
    )
    table.add_column("policy", no_wrap=True)
    for heading in ("mean Φ", "gap", "95 % interval", "M", "N"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ended by")
    table.add_row("(bound)", f"{np.mean(report.bound):.4f}", "", "", "", "", "")
    for played in report.played:
        gap = report.gap(played)
        table.add_row(
            played.name,
            f"{np.mean(played.objective):.4f}",
            _percent(gap.mean),
            f"{_percent(gap.low)} to {_percent(gap.high)}",
            f"{np.mean(played.num_pretrain_rounds):.0f}",
            f"{np.mean(played.num_finetune_rounds):.0f}",
            ", ".join(f"{name.removesuffix(' budget')} {share:.0%}" for name, share in played.end_shares.items()),
        )
    return table


def _percent(share: float) -> str:
    return f"{share:+.1%}" if share < 10 else f"x {1 + share:.1f}"


def _footnotes(report: Report, optima: Sequence[Optimum]) -> list[str]:
    certificates = [optimum.certificate for optimum in optima]
    largest = max(certificate.gap for certificate in certificates)
    relaxed = np.mean(np.log(report.relaxed / report.bound))
    meaning = (
        "Φ: bound on the mean squared gradient norm when the episode ends; lower is better. Gap: geometric mean over "
        "tapes of Φ / proven bound, less 1, bootstrapped over tapes. M, N: pre-training and fine-tuning rounds."
    )
    proof = (
        f"The bound is proven for all {certificates[0].num_pairs} pairs (M, N) of every tape: no policy can get below "
        f"it. With real-valued batches a plan comes within {np.expm1(relaxed):.1e} of it on average, {largest:.1e} at "
        "worst; the row clairvoyant is that plan in whole batches."
    )
    return [meaning, proof, *_price_of_not_knowing(report), *_brackets(report)]


def _brackets(report: Report) -> list[str]:
    """What the rows of ablations are, if there are any."""
    if not any(played.name == f"({name})" for played in report.played for name in ABLATIONS):
        return []
    meaning = (
        "In brackets: the clairvoyant plan without one freedom of the joint design, the best of the values that it "
        "could be fixed to. Such plans know the tape: they show what a freedom is worth, and are no online policies."
    )
    return [meaning]


def _price_of_not_knowing(report: Report) -> list[str]:
    """What planning on forecasts loses to knowing the future, if both were played."""
    by_name = {played.name: played for played in report.played}
    if "mpc" not in by_name:
        return []
    price = report.ratio(by_name["mpc"], by_name["clairvoyant"])
    interval = f"95 % interval {_percent(price.low)} to {_percent(price.high)}"
    return [
        f"Price of not knowing the future (mpc over clairvoyant, paired by tape): {_percent(price.mean)}, {interval}."
    ]


def _written(report: Report, plans: Trajectory, played: dict[str, Trajectory], out: Path) -> list[Path]:
    """Write the report and its pictures; the first tape is drawn as the clairvoyant and as the best policy play it."""
    from edgelearn_env.comparison_figure import comparison_figure
    from edgelearn_env.rendering import episode_figure

    report.save(out / "benchmark.json")
    figures = {"comparison.png": comparison_figure(report), "clairvoyant.png": episode_figure(plans, 0, "clairvoyant")}
    if played:
        best = min(played, key=lambda name: float(np.mean(np.log(played[name].objective))))
        figures[f"{Path(best).stem}.png"] = episode_figure(played[best], 0, best)
    for name, figure in figures.items():
        with written_atomically(out / name) as temporary:
            figure.savefig(temporary, dpi=110)
    return [out / name for name in ("benchmark.json", *figures)]
