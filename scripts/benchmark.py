"""`edgelearn benchmark`: every policy on the same tapes, against the proven optimum of each."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from joblib import delayed
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.baselines.optimum_cache import cached_optima
from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.baselines.two_stage.ablations.problems import ABLATIONS
from edgelearn_env.baselines.two_stage.ablations.search import ablated_optimum
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.leaderboard import chance, interval, percent
from edgelearn_env.evaluation.report import Played, Report, columns_of, objective_of
from edgelearn_env.files import writable_folder, written_atomically
from edgelearn_env.model import model_of
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.printing.tables import NO_BREAK, table_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.backends import Address, Backend, work_shared_by
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, Workers, chosen_scenario
from edgelearn_env.scripts.play import each_its_own, play
from edgelearn_env.scripts.policies import NAMES, NamedPolicy, named_policies
from edgelearn_env.scripts.proofs.proven_tapes import ProvenTapes, file_of
from edgelearn_env.tapes.seeds import test_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Trajectory, rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario

# Enough to tell what a freedom is worth; each ablation takes several optima a tape.
_ABLATION_GAP = 1e-4

# Heading of the column that says how episodes ended.
_ENDS = "ended by"

# Folder of the proven optima within that of the results.
_OPTIMA = "optima"


def benchmark(
    scenario_name: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    policies: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Repeatable, comma-separated: {', '.join(NAMES)}, files that `train` wrote, or NAME=FILE+FILE+... "
            "for several runs of one recipe. Files with a comma in their names need a --policies of their own. All if "
            "left out."
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
    workers: Workers = None,
    backend: Backend = "processes",
    address: Address = None,
    out: Annotated[Path, typer.Option(help="Folder for benchmark.json, the pictures and the proven optima.")] = Path(
        "results"
    ),
) -> None:
    """Compare policies with the proven optimum on test tapes; print tables, write JSON and pictures."""
    scenario = chosen_scenario(scenario_name, changes, objective)
    if ablations:
        TwoStageScenario.load(scenario)  # another system is refused before anything is begun
    seeds = test_seeds(episodes)
    output, folder = Output(), writable_folder(out)
    with work_shared_by(backend, address), progress_on(output) as progress:
        chosen = named_policies(scenario, policies, progress, transfer=transfer)
        _require_played(against, chosen)
        each = [sample_tape(scenario, seed) for seed in seeds]
        tapes = Tape.stack(each)
        proven = ProvenTapes.that_come_with(scenario, seeds, each)
        # The first plan is drawn.
        needed = episodes if proven is None else 1
        if proven is None and file_of(scenario.name).is_file():
            output.say("The proofs that come with the package are not of these tapes or sources: proving anew.")
        found = cached_optima(scenario, seeds[:needed], folder / _OPTIMA, tapes=each[:needed], num_workers=workers)
        optima = list(progress.track(found, total=needed, description="proving the optimum of each tape"))
        if proven is None:
            proven = ProvenTapes.of(scenario, seeds, each, optima)
        played = {policy.name: _played(scenario, tapes, policy, workers, progress) for policy in chosen}
        ablated = list(_ablated(scenario, tapes, workers, progress)) if ablations else []
        plan = rollout(scenario, Tape.stack(each[:1]), each_its_own([optima[0].whole_plan]))
        rows = [Played.of(policy.name, policy.kind, played[policy.name], policy.trained) for policy in chosen]
        report = dataclasses.replace(proven.report, scenario=scenario, played=[proven.clairvoyant, *rows, *ablated])
        files = _written(report, plan, played, folder)
    for table in (_table(report), *_paired_table(report, against)):
        output.table(table)
        output.say("")
    for line in _footnotes(report, proven.num_pairs):
        output.print(line)
    output.say("Wrote " + ", ".join(str(file) for file in files))


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
    each, two_stage = tapes.each(), TwoStageScenario.load(scenario)
    jobs = (delayed(ablated_optimum)(name, two_stage, tape, gap=_ABLATION_GAP) for name in ABLATIONS for tape in each)
    total = len(ABLATIONS) * len(each)
    solved = shared_out(jobs, total, workers)
    plans = [found.whole_plan for found in progress.track(solved, total=total, description="solving every ablation")]
    for index, name in enumerate(ABLATIONS):
        trajectory = rollout(scenario, tapes, each_its_own(plans[index * len(each) :][: len(each)]))
        yield Played.of(f"({name})", "clairvoyant", [[trajectory]])


def _table(report: Report) -> Table:
    title = f"{report.scenario.name}: {report.scenario.in_words}, {len(report.seeds)} tapes"
    columns = columns_of(report.scenario)
    symbols = [column.symbol for column in columns]
    mean = f"mean {objective_of(report.scenario).symbol}"
    table = table_of("policy", mean, "gap", "95 % interval", "IQM", *symbols, _ENDS, title=title, texts={_ENDS})
    table.add_row("(bound)", f"{np.mean(report.bound):.4f}", *[""] * (len(columns) + 4))
    for played in report.played:
        gap = report.gap(played)
        table.add_row(
            played.label,
            f"{np.mean(played.objective):.4f}",
            percent(gap.estimate),
            _in_two_lines(interval(gap)),
            percent(report.interquartile_gap(played).estimate),
            *(f"{np.mean(played.columns[column.name]):.0f}" for column in columns),
            _ends(played),
        )
    return table


def _ends(played: Played) -> str:
    shares = played.end_shares.items()
    return ", ".join(f"{name.removesuffix(' budget')}{NO_BREAK}{share:.0%}" for name, share in shares)


def _paired_table(report: Report, against: str | None) -> list[Table]:
    """All policies beside the one that they are paired with, tape by tape; nothing if there is none."""
    other = report.best_online if against is None else report.named(against)
    rest = [played for played in report.played if played is not other]
    if other is None or not rest:
        return []
    symbol = objective_of(report.scenario).symbol
    headings = ("policy", f"{symbol} / its {symbol}, less 1", "95 % interval", "P(better), 95 % interval")
    table = table_of(*headings, title=f"against {other.label}, paired by tape")
    for played in rest:
        ratio, better = report.ratio(played, other), report.improvement(played, other)
        table.add_row(played.label, percent(ratio.estimate), _in_two_lines(interval(ratio)), chance(better))
    return [table]


def _in_two_lines(of: str) -> str:
    """An interval that is broken after its "to" where it has to be."""
    return of.replace("x ", f"x{NO_BREAK}").replace(" to", f"{NO_BREAK}to")


def _footnotes(report: Report, num_pairs: int) -> list[str]:
    gap = report.relaxed / report.bound
    largest, relaxed = np.max(gap) - 1, np.mean(np.log(gap))
    columns = ", ".join(f"{column.symbol}: {column.meaning}" for column in columns_of(report.scenario))
    objective = objective_of(report.scenario)
    symbol = objective.symbol
    meaning = (
        f"{symbol}: {objective.meaning}; lower is better. Gap: geometric mean over tapes of {symbol} / proven bound, "
        "less 1, bootstrapped over tapes and training runs. IQM: the same without the best and the worst quarter. "
        f"{columns}. P(better): how often {symbol} is lower on the same tape; a tie counts half."
    )
    proof = (
        f"The bound is proven for all {num_pairs} pairs (M, N) and all participants of every tape: no policy can get "
        f"below it. With real-valued batches a plan comes within {np.expm1(relaxed):.1e} of it on average, "
        f"{largest:.1e} at worst; the row clairvoyant is that plan in whole batches."
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


def _written(report: Report, plan: Trajectory, played: dict[str, list[list[Trajectory]]], out: Path) -> list[Path]:
    """Write the report and its pictures; the first tape is drawn as the clairvoyant and as the best policy play it."""
    from edgelearn_env.drawing.comparison_figure import comparison_figure

    report.save(out / "benchmark.json")
    drawn = model_of(report.scenario).figure
    figures = {"comparison.png": comparison_figure(report), "clairvoyant.png": drawn(plan, 0, "clairvoyant")}
    if played:
        best = min(played, key=lambda name: report.gap(report.named(name)).estimate)
        figures["best.png"] = drawn(played[best][0][0], 0, best)
    for name, figure in figures.items():
        with written_atomically(out / name) as temporary:
            figure.savefig(temporary, dpi=110)
    return [out / name for name in ("benchmark.json", *figures)]
