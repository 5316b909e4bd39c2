"""`edgelearn benchmark`: every policy on the same tapes, against the proven optimum of each."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.baselines.optimum import Optimum
from edgelearn_env.baselines.optimum_cache import cached_optima
from edgelearn_env.baselines.two_stage.ablations.problems import ABLATIONS
from edgelearn_env.baselines.two_stage.ablations.search import ablated_optimum
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.leaderboard import chance, interval, percent
from edgelearn_env.evaluation.report import Played, Report
from edgelearn_env.files import written_atomically
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, chosen_scenario
from edgelearn_env.scripts.play import each_its_own, episode_progress, play
from edgelearn_env.scripts.policies import NAMES, NamedPolicy, named_policies
from edgelearn_env.tapes.seeds import test_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Trajectory, rollout

# Enough to tell what a freedom is worth; each ablation takes several optima a tape.
_ABLATION_GAP = 1e-4

# Folder of the proven optima within that of the results.
_OPTIMA = "optima"


def benchmark(
    scenario_name: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    policies: Annotated[
        str | None,
        typer.Option(
            help=f"Comma-separated: {', '.join(NAMES)}, files that `train` wrote, or NAME=FILE+FILE+... for several "
            "runs of one recipe. All if left out."
        ),
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Number of test tapes.")] = 20,
    against: Annotated[
        str | None,
        typer.Option(help="Policy to pair all others with; the best online one that does not learn if left out."),
    ] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Show too what clairvoyant plans lose by each ablation; takes long.")
    ] = False,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Let agents play a scenario that they were not trained on.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that solve and play; all cores if left out.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for benchmark.json, the pictures and the proven optima.")] = Path(
        "results"
    ),
) -> None:
    """Compare policies with the proven optimum on test tapes; print tables, write JSON and pictures."""
    scenario = chosen_scenario(scenario_name, changes, objective)
    seeds = test_seeds(episodes)
    console = Console()
    with episode_progress(console) as progress:
        chosen = named_policies(scenario, policies, progress, transfer=transfer)
        _require_played(against, chosen)
        tapes = Tape.stack([sample_tape(scenario, seed) for seed in seeds])
        found = cached_optima(scenario, seeds, out / _OPTIMA, num_workers=workers)
        optima = list(progress.track(found, total=episodes, description="proving the optimum of each tape"))
        played = {policy.name: _played(scenario, tapes, policy, workers, progress) for policy in chosen}
        ablated = list(_ablated(scenario, tapes, workers, progress)) if ablations else []
    plans = rollout(scenario, tapes, each_its_own([optimum.whole_plan for optimum in optima]))
    rows = [Played.of(policy.name, policy.kind, played[policy.name], policy.trained) for policy in chosen]
    report = Report.of(scenario, seeds, optima, [Played.of("clairvoyant", "clairvoyant", [[plans]]), *rows, *ablated])
    for part in (_table(report), *_paired_table(report, against)):
        console.print(part)
    for line in _footnotes(report, optima):
        console.print(line, highlight=False)
    files = _written(report, plans, played, out)
    console.print("Wrote " + ", ".join(str(file) for file in files), highlight=False, soft_wrap=True)


def _played(
    scenario: Scenario, tapes: Tape, policy: NamedPolicy, workers: int | None, progress: Progress
) -> list[list[Trajectory]]:
    """What each run of a policy did, in one batch of episodes or in several."""
    found = []
    for run in policy.runs:
        batches, total = play(rollout, scenario, tapes, run, workers)
        found.append(list(progress.track(batches, total=total, description=f"playing {policy.name}")))
    return found


def _require_played(against: str | None, chosen: Sequence[NamedPolicy]) -> None:
    names = ["clairvoyant", *(policy.name for policy in chosen)]
    if against is not None and against not in names:
        raise InvalidInputError(f"--against must name a policy that is played, {', '.join(names)}, got {against!r}")


def _ablated(scenario: Scenario, tapes: Tape, workers: int | None, progress: Progress) -> Iterator[Played]:
    """The clairvoyant plan of every tape under each ablation, played in whole batches."""
    each = [Tape(*arrays) for arrays in zip(*tapes, strict=True)]
    jobs = (delayed(ablated_optimum)(name, scenario, tape, gap=_ABLATION_GAP) for name in ABLATIONS for tape in each)
    solved = Parallel(n_jobs=workers or os.cpu_count() or 1, return_as="generator")(jobs)
    total = len(ABLATIONS) * len(each)
    plans = [found.whole_plan for found in progress.track(solved, total=total, description="solving every ablation")]
    for index, name in enumerate(ABLATIONS):
        trajectory = rollout(scenario, tapes, each_its_own(plans[index * len(each) :][: len(each)]))
        yield Played.of(f"({name})", "clairvoyant", [[trajectory]])


def _table(report: Report) -> Table:
    budgets = report.scenario.budgets
    title = (
        f"{report.scenario.name}: {report.scenario.num_devices} devices, {budgets.delay_s:g} s, "
        f"{budgets.energy_j:g} J, {report.scenario.learning.objective} bound, {len(report.seeds)} tapes"
    )
    table = Table(title=title, pad_edge=False, collapse_padding=True)
    table.add_column("policy", no_wrap=True)
    for heading in ("mean Φ", "gap", "95 % interval", "IQM", "M", "N"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ended by")
    table.add_row("(bound)", f"{np.mean(report.bound):.4f}", "", "", "", "", "", "")
    for played in report.played:
        gap = report.gap(played)
        table.add_row(
            played.label,
            f"{np.mean(played.objective):.4f}",
            percent(gap.estimate),
            interval(gap),
            percent(report.interquartile_gap(played).estimate),
            f"{np.mean(played.num_pretrain_rounds):.0f}",
            f"{np.mean(played.num_finetune_rounds):.0f}",
            ", ".join(f"{name.removesuffix(' budget')} {share:.0%}" for name, share in played.end_shares.items()),
        )
    return table


def _paired_table(report: Report, against: str | None) -> list[Table]:
    """All policies beside the one that they are paired with, tape by tape; nothing if there is none."""
    other = report.best_online if against is None else report.named(against)
    rest = [played for played in report.played if played is not other]
    if other is None or not rest:
        return []
    table = Table(title=f"against {other.label}, paired by tape", pad_edge=False, collapse_padding=True)
    table.add_column("policy", no_wrap=True)
    for heading in ("Φ / its Φ, less 1", "95 % interval", "P(better), 95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for played in rest:
        ratio, better = report.ratio(played, other), report.improvement(played, other)
        table.add_row(played.label, percent(ratio.estimate), interval(ratio), chance(better))
    return [table]


def _footnotes(report: Report, optima: Sequence[Optimum]) -> list[str]:
    certificates = [optimum.certificate for optimum in optima]
    largest = max(certificate.gap for certificate in certificates)
    relaxed = np.mean(np.log(report.relaxed / report.bound))
    meaning = (
        "Φ: bound on the mean squared gradient norm when the episode ends; lower is better. Gap: geometric mean over "
        "tapes of Φ / proven bound, less 1, bootstrapped over tapes and training runs. IQM: the same without the best "
        "and the worst quarter. M, N: pre-training and fine-tuning rounds. P(better): how often Φ is lower on the same "
        "tape; a tie counts half."
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
    if not any(played.name == "mpc" for played in report.played):
        return []
    price = report.ratio(report.named("mpc"), report.named("clairvoyant"))
    value = f"{percent(price.estimate)}, 95 % interval {interval(price)}"
    return [f"Price of not knowing the future (mpc over clairvoyant, paired by tape): {value}."]


def _written(report: Report, plans: Trajectory, played: dict[str, list[list[Trajectory]]], out: Path) -> list[Path]:
    """Write the report and its pictures; the first tape is drawn as the clairvoyant and as the best policy play it."""
    from edgelearn_env.drawing.comparison_figure import comparison_figure
    from edgelearn_env.two_stage.rendering import episode_figure

    report.save(out / "benchmark.json")
    figures = {"comparison.png": comparison_figure(report), "clairvoyant.png": episode_figure(plans, 0, "clairvoyant")}
    if played:
        best = min(played, key=lambda name: report.gap(report.named(name)).estimate)
        figures[f"{Path(best).stem}.png"] = episode_figure(played[best][0][0], 0, best)
    for name, figure in figures.items():
        with written_atomically(out / name) as temporary:
            figure.savefig(temporary, dpi=110)
    return [out / name for name in ("benchmark.json", *figures)]
