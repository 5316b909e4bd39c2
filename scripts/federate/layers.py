"""`edgelearn federate layers`: schedules of layer tuning in real training, beside the selection rule and LoRA."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from rich.table import Table

from edgelearn_env.agents.runs.checkpoint import load_policy
from edgelearn_env.agents.runs.torch_threads import torch_threads
from edgelearn_env.baselines.clairvoyance import clairvoyant
from edgelearn_env.baselines.ladder import ladder_of
from edgelearn_env.errors import InvalidInputError, SolverError
from edgelearn_env.federated.adapter_system import adapter_system
from edgelearn_env.federated.layer_results import LayerResult, layer_result
from edgelearn_env.federated.networks import Weights
from edgelearn_env.federated.paired import paired_mean
from edgelearn_env.federated.schemes import Adapters, Blocks, Scheme
from edgelearn_env.federated.training import Training
from edgelearn_env.federated.truth import rank_correlation
from edgelearn_env.files import existing_file, writable_folder
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.printing.tables import table_of
from edgelearn_env.schedule import DeviceTurn, Schedule
from edgelearn_env.scripts.federate.real_data import (
    Begun,
    Data,
    Samples,
    chosen_data,
    chosen_net,
    chosen_weights,
)
from edgelearn_env.scripts.federate.result_rows import known_rows, require_same_run, write_rows
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import Policy, rollout

_RULE, _OPTIMUM, _LORA = "rule", "optimum", "lora"


class Contestant(NamedTuple):
    """A schedule to be played, and how.

    Attributes:
        schedule: of the episode.
        scheme: what of the net devices train.
        step_size: eta of theirs.
    """

    schedule: Schedule
    scheme: Scheme
    step_size: float


def layers(
    scenario: Annotated[
        str,
        typer.Option("--scenario", "-s", help="Of layer tuning: a preset, or what `calibrate` wrote beside its own."),
    ] = "layers",
    data: Data = "default",
    samples: Samples = 32,
    begun: Begun = 600,
    policies: Annotated[
        str,
        typer.Option(help="Of the ladder, or checkpoint files, with commas between; all of the ladder if left out."),
    ] = "",
    rank: Annotated[int, typer.Option(min=1, help="Of LoRA's pairs, on the shallowest net.")] = 8,
    lora_step_size: Annotated[float, typer.Option(help="Of LoRA; layers are trained with the scenario's own.")] = 0.4,
    seeds: Annotated[int, typer.Option(min=1, help="How many: of tapes, of first weights and of all draws.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder for table and schedules.")] = Path("results/layers"),
) -> None:
    """Play policies of layer tuning, the optimum and LoRA in real training; an interrupted run goes on."""
    system, output, folder = LayerTuningScenario.load(scenario), Output(), writable_folder(out)
    made = _policies(system, policies)
    if lora_step_size <= 0:
        raise InvalidInputError(f"--lora-step-size must be above 0, got {lora_step_size}")
    choices = {"data": data, "samples": samples, "begun": begun, "rank": rank, "lora_step_size": lora_step_size}
    require_same_run(folder, choices | {"scenario": system.to_dict()})
    with torch_threads(1), progress_on(output) as progress:
        known = chosen_data(data, None, None, system.networks.tokens, system.num_devices, samples)
        rows = {(row.name, row.seed): row for row in known_rows(folder / "layers.csv", LayerResult)}
        names = [*made, _OPTIMUM, _LORA]
        wanted = [(name, seed) for seed in range(seeds) for name in names]

        @cache
        def weights_of(depth: int, seed: int) -> Weights:
            return chosen_weights(known, chosen_net(known, depth, system.networks.width), begun, seed)

        for name, seed in progress.track(wanted, description="training"):
            if (name, seed) in rows:
                continue
            playing = _contestant(system, made, name, seed, rank, lora_step_size)
            playing.schedule.save(folder / f"{Path(name).stem}-{seed}.json")
            depth = playing.schedule.depth or int(min(system.networks.depths))
            training = Training(
                net=chosen_net(known, depth, system.networks.width),
                samples=known,
                schedule=playing.schedule,
                scheme=playing.scheme,
                server_step_size=system.learning.server_step_size,
                device_step_size=playing.step_size,
                seed=seed,
            )
            rows[name, seed] = layer_result(training, weights_of(depth, seed))
            write_rows(folder / "layers.csv", list(rows.values()))
    output.table(_table([rows[each] for each in wanted], seeds))
    output.say(f"Wrote {folder / 'layers.csv'}")


def _policies(system: LayerTuningScenario, asked: str) -> dict[str, Callable[[], Policy]]:
    """What makes each policy, by name; the selection rule is always among them."""
    ladder, made = ladder_of(system), dict[str, Callable[[], Policy]]()
    for name in dict.fromkeys(
        [_RULE, *(part.strip() for part in asked.split(",") if part.strip())] if asked else ladder
    ):
        if name in ladder:
            made[name] = cache(partial(ladder[name], system))
        elif name.endswith(".zip"):
            existing_file(name, "checkpoint")
            made[name] = cache(partial(load_policy, name, system))
        else:
            known = ", ".join(ladder)
            raise InvalidInputError(f"--policies must name some of {known}, or files ending in .zip, got {name!r}")
    return made


def _contestant(
    system: LayerTuningScenario,
    made: dict[str, Callable[[], Policy]],
    name: str,
    seed: int,
    rank: int,
    lora_step_size: float,
) -> Contestant:
    """Who plays on the tape of that seed. LoRA is planned by MPC, for the devices that have the memory."""
    tape, eta = sample_tape(system, seed), system.learning.device_step_size
    if name != _LORA:
        policy = _optimum(system, seed) if name == _OPTIMUM else made[name]()
        return Contestant(Schedule.of(rollout(system, tape, policy), name), Blocks(aggregation="damped"), eta)
    depth = int(min(system.networks.depths))
    adapters = adapter_system(system, depth, rank)
    planned = ladder_of(adapters.scenario)["mpc"](adapters.scenario)
    schedule = Schedule.of(rollout(adapters.scenario, adapters.tape(tape), planned), name)
    devices = adapters.devices.tolist()
    rounds = tuple(
        each._replace(turns=tuple(DeviceTurn(devices[turn.device], turn.batch, turn.weight) for turn in each.turns))
        for each in schedule.rounds
    )
    schedule = Schedule(name=name, rounds=rounds, depth=depth)
    return Contestant(schedule, Adapters(ranks=(rank,)), lora_step_size)


def _optimum(system: LayerTuningScenario, seed: int) -> Policy:
    """The best plan in whole batches, whether its gap is reached or not."""
    try:
        found = clairvoyant(system, sample_tape(system, seed))
    except SolverError as error:
        if error.found is None:
            raise
        found = error.found
    plan: Policy = found.whole_plan
    return plan


def _table(rows: list[LayerResult], seeds: int) -> Table:
    """Means over seeds, best test loss first; differences to the rule paired by seed."""
    by_name = {name: [row for row in rows if row.name == name] for name in dict.fromkeys(row.name for row in rows)}
    headings = ("J", "depth", "M + N", "s", "J spent", "MB up", "bits", "accuracy", "bits beside rule, 95 %")
    table = table_of(
        "schedule", *headings, title=f"Real training, {seeds} seed{'s' if seeds > 1 else ''}", texts=("schedule",)
    )

    def mean(some: list[LayerResult], field: str) -> float:
        return float(np.mean([getattr(row, field) for row in some]))

    for name, some in sorted(by_name.items(), key=lambda item: mean(item[1], "test_bits")):
        behind = paired_mean([row.test_bits - rule.test_bits for row, rule in zip(some, by_name[_RULE], strict=True)])
        table.add_row(
            name,
            f"{mean(some, 'predicted'):.4f}",
            "/".join(map(str, sorted({row.depth for row in some}))),
            f"{mean(some, 'num_pretrain_rounds'):.0f} + {mean(some, 'num_finetune_rounds'):.0f}",
            f"{mean(some, 'elapsed_s'):.0f}",
            f"{mean(some, 'spent_j'):.1f}",
            f"{mean(some, 'uploaded_bytes') / 1e6:.1f}",
            f"{mean(some, 'test_bits'):.4f}",
            f"{mean(some, 'accuracy'):.2%}",
            "" if name == _RULE else f"{behind.value:+.4f} [{behind.low:+.4f}, {behind.high:+.4f}]",
        )
    bounded = {name: some for name, some in by_name.items() if np.isfinite(mean(some, "predicted"))}
    if len(bounded) > 2:
        ranks = []
        for field, label in (("train_loss", "task loss"), ("test_bits", "test loss")):
            pairs = np.array([(mean(some, "predicted"), mean(some, field)) for some in bounded.values()])
            found = rank_correlation(*pairs.T)
            ranks.append(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}] with the {label} at the end")
        table.caption = f"Spearman of J over {len(bounded)} schedules: " + ", ".join(ranks)
    return table
