"""`edgelearn solve`: the proven optimum of one tape, as a table, JSON and a picture."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgelearn_env.baselines.clairvoyance import checked_gap, clairvoyant
from edgelearn_env.baselines.optimum import Optimum
from edgelearn_env.baselines.solvers import SOLVER_NAMES, STRUCTURED
from edgelearn_env.baselines.two_stage.static.design import require_one_round
from edgelearn_env.errors import InvalidInputError, SolverError
from edgelearn_env.evaluation.report import columns_of, objective_of, versions
from edgelearn_env.files import writable_folder, written_atomically
from edgelearn_env.model import model_of
from edgelearn_env.printing.output import Output
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, chosen_scenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Trajectory, rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario


def solve(
    scenario_name: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    seed: Annotated[int, typer.Option(help="Of the tape, if none is given.")] = 0,
    tape: Annotated[Path | None, typer.Option(help="A tape file (.npz) that `Tape.save` wrote.")] = None,
    gains: Annotated[Path | None, typer.Option(help="Channel gains as CSV: a line a round, a number a device.")] = None,
    harvest: Annotated[Path | None, typer.Option(help="Harvested powers in W, likewise.")] = None,
    gap: Annotated[float, typer.Option(help="Of plan and bound, relative: where the search ends.")] = 1e-3,
    solver: Annotated[str, typer.Option(help=f"Of the programs: {', '.join(SOLVER_NAMES)}.")] = STRUCTURED,
    out: Annotated[Path, typer.Option(help="Folder for optimum.json and optimum.png.")] = Path("results"),
) -> None:
    """Solve one tape to proven optimality over all numbers of rounds."""
    scenario = chosen_scenario(scenario_name, changes, objective)
    known = _tape(scenario, seed, tape, gains, harvest)
    checked_gap(gap, "--gap")
    output, folder = Output(), writable_folder(out)
    start_s = time.perf_counter()
    with output.status("solving"):
        optimum, missed = _solved(scenario, known, gap, solver)
        seconds, played = time.perf_counter() - start_s, rollout(scenario, known, optimum.whole_plan)
        about = {"scenario": scenario.to_dict(), "versions": versions()}
        figure = model_of(scenario).figure(played, 0, "optimum in whole batches")
        with written_atomically(folder / "optimum.json") as temporary:
            temporary.write_text(json.dumps(about | optimum.to_dict(), indent=1) + "\n", encoding="utf-8")
        with written_atomically(folder / "optimum.png") as temporary:
            figure.savefig(temporary)
    output.table(_table(optimum, played, seconds))
    if not played.num_finetune_rounds[0]:
        _say_if_no_round_fits(scenario, output)
    output.say(f"Wrote {folder / 'optimum.json'}, {folder / 'optimum.png'}")
    if missed is not None:
        raise missed


def _solved(scenario: Scenario, tape: Tape, gap: float, solver: str) -> tuple[Optimum, SolverError | None]:
    """The optimum; or the best that was had, and what was missed."""
    try:
        return clairvoyant(scenario, tape, gap=gap, solver=solver), None
    except SolverError as error:
        if error.found is None:
            raise
        found: Optimum = error.found
        return found, error


def _say_if_no_round_fits(scenario: Scenario, output: Output) -> None:
    """Which budget is too small for fine-tuning at all, if that is why there is none."""
    if not isinstance(scenario, TwoStageScenario):
        return
    try:
        require_one_round(scenario)
    except InvalidInputError as error:
        output.say(f"No fine-tuning: {error}")


def _tape(scenario: Scenario, seed: int, file: Path | None, gains: Path | None, harvest: Path | None) -> Tape:
    """The tape that the options name."""
    if (gains is None) != (harvest is None):
        raise InvalidInputError("--gains and --harvest belong together: give both or neither")
    if gains is not None and harvest is not None:
        if file is not None:
            raise InvalidInputError("give either --tape or --gains and --harvest")
        return Tape.from_csv(gains, harvest).checked(scenario)
    return sample_tape(scenario, seed) if file is None else Tape.load(file).checked(scenario)


def _table(optimum: Optimum, played: Trajectory, seconds: float) -> Table:
    certificate, scenario = optimum.certificate, played.scenario
    table = table_of("the optimum", "", title=f"{scenario.name}: {scenario.in_words}", texts={""})
    symbol = objective_of(scenario).symbol
    counts = {column: played.summary[column.name][0] for column in columns_of(scenario)}
    rows = {
        f"{symbol}, real-valued batches": f"{optimum.value:.6f}",
        "proven lower bound": f"{optimum.bound:.6f}",
        "gap": f"{certificate.gap:.1e} ({certificate.label})",
        f"{symbol}, whole batches": f"{optimum.achieved:.6f} ({optimum.achieved / optimum.bound - 1:+.2%})",
        **{f"{column.meaning} {column.symbol}": f"{count:.0f}" for column, count in counts.items()},
        "pairs (M, N) proven": f"{certificate.num_pairs}, of which {certificate.num_solved} solved",
        "residual of the replayed plan": f"{certificate.residual:.1e}",
        "time": f"{seconds:.1f} s",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
