"""`edgelearn federate run`: a policy's schedule, or one from a file, played in real training."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgelearn_env.agents.runs.torch_threads import torch_threads
from edgelearn_env.baselines.ladder import ladder_of
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.checkpoints import digest, resumed_rounds
from edgelearn_env.federated.evaluation import evaluated
from edgelearn_env.federated.networks import Weights, initial_weights
from edgelearn_env.federated.training import Training
from edgelearn_env.files import writable_folder
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.printing.tables import table_of
from edgelearn_env.schedule import Schedule
from edgelearn_env.scripts.federate.real_data import (
    Data,
    Depth,
    Device,
    General,
    Samples,
    Tokens,
    Width,
    chosen_data,
    chosen_net,
)
from edgelearn_env.scripts.options import Changes, ScenarioName, chosen_scenario
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario


def run(
    scenario_name: ScenarioName = "tiny",
    changes: Changes = None,
    policy: Annotated[str | None, typer.Option(help="Of the ladder; equal if left out.")] = None,
    schedule: Annotated[Path | None, typer.Option(help="A file that `Schedule.save` wrote, instead.")] = None,
    data: Data = "default",
    general: General = None,
    devices: Device = None,
    depth: Depth = 2,
    width: Width = 32,
    tokens: Tokens = 32,
    samples: Samples = 64,
    seed: Annotated[int, typer.Option(min=0, help="Of the tape, the first weights and all draws.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for schedule, log and checkpoint.")] = Path("results/federated"),
) -> None:
    """Play a policy, then do in real training what it decided; an interrupted run goes on where it stopped."""
    scenario = TwoStageScenario.load(chosen_scenario(scenario_name, changes))
    output, folder = Output(), writable_folder(out)
    if schedule and policy:
        raise InvalidInputError(f"--schedule stands instead of --policy: give one of them, got {policy!r} too")
    played = _loaded(schedule, scenario) if schedule else _schedule_of(scenario, policy or "equal", seed)
    with torch_threads(1):
        known = chosen_data(data, general, devices, tokens, scenario.num_devices, samples)
        training = Training.under_the_bound(scenario.learning, chosen_net(known, depth, width), known, played, seed)
        weights: Weights = initial_weights(training.net, seed)
        rows = {"test loss before, bits": f"{evaluated(weights, training.net, known).bits:.4f}"}
        rounds = resumed_rounds(training, weights, folder)
        played.save(folder / "schedule.json")
        with progress_on(output) as progress:
            bar = progress.add_task("training", total=len(played.rounds))
            for each in rounds:
                progress.update(bar, completed=each.log.round_index + 1)
                weights, log = each.weights, each.log
        after = evaluated(weights, training.net, known)
    rows |= {"test loss after, bits": f"{after.bits:.4f}", "accuracy": f"{after.accuracy.mean():.1%}"}
    rows |= {"simulator's clock": f"{log.elapsed_s:.1f} s", "simulator's meters": f"{log.spent_j:.2f} J"}
    output.table(_table(played, rows | {"digest of the weights": digest(weights)}))
    output.say(f"Wrote {folder / 'schedule.json'}, {folder / 'log.jsonl'}, {folder / 'checkpoint.npz'}")


def _loaded(file: Path, scenario: TwoStageScenario) -> Schedule:
    """The schedule in a file, once it is known that the scenario has its devices.

    Raises:
        InvalidInputError: it is no schedule, or asks for devices that the scenario does not have.
    """
    found = Schedule.load(file)
    last = max((turn.device for each in found.rounds for turn in each.turns), default=0)
    if last >= scenario.num_devices:
        sentence = f"schedule file {str(file)!r} must be of at most {scenario.num_devices} devices (--scenario)"
        raise InvalidInputError(f"{sentence}, got device {last}")
    return found


def _schedule_of(scenario: TwoStageScenario, policy: str, seed: int) -> Schedule:
    ladder = ladder_of(scenario)
    if policy not in ladder:
        raise InvalidInputError(f"--policy must be one of {', '.join(ladder)}, got {policy!r}")
    trajectory = rollout(scenario, sample_tape(scenario, seed), ladder[policy](scenario))
    return Schedule.of(trajectory, policy)


def _table(played: Schedule, rows: dict[str, str]) -> Table:
    rounds = f"{played.num_pretrain_rounds} + {played.num_finetune_rounds} rounds"
    table = table_of("real training", "", title=f"{played.name}: {rounds}, Φ = {played.predicted:.4g}", texts={""})
    for name, value in rows.items():
        table.add_row(name, value)
    return table
