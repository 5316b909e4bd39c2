"""`edgelearn federate calibrate`: constants of the learning bound, measured, as a scenario file."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgelearn_env.agents.runs.torch_threads import torch_threads
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.calibrated_scenario import calibrated_layers, calibrated_scenario
from edgelearn_env.federated.calibration import Calibration, calibrated
from edgelearn_env.federated.layer_constants import measured_depths
from edgelearn_env.printing.output import Output
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scripts.federate.real_data import (
    Begun,
    Data,
    Depth,
    Device,
    General,
    Samples,
    Tokens,
    Width,
    chosen_data,
    chosen_net,
    chosen_weights,
)


def calibrate(
    out: Annotated[Path, typer.Option(help="Scenario file (.toml); one of layer tuning beside it, *-layers.toml.")],
    data: Data = "far",
    general: General = None,
    devices: Device = None,
    depth: Depth = 2,
    width: Width = 32,
    tokens: Tokens = 32,
    samples: Samples = 32,
    begun: Begun = 0,
    rounds: Annotated[int, typer.Option(min=2, help="Of the path that is measured.")] = 240,
    points: Annotated[int, typer.Option(min=2, help="Of the path, measured.")] = 7,
    step_size: Annotated[float, typer.Option(help="Of the path.")] = 0.05,
    floor_steps: Annotated[int, typer.Option(min=1, help="Of Adam, to find the least loss.")] = 400,
    layer_steps: Annotated[
        int, typer.Option(min=0, help="Of Adam, for nets of 2, 4 and 6 blocks; 0 leaves the second file out.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and draws.")] = 0,
) -> None:
    """Measure what the learning bounds assume, and write scenarios that load, solve and play."""
    if out.suffix != ".toml":
        raise InvalidInputError(f"--out must end in .toml, got {str(out)!r}")
    output = Output()
    with torch_threads(1), output.status("reading data") as status:
        known = chosen_data(data, general, devices, tokens, 10, samples)
        net = chosen_net(known, depth, width)
        found = calibrated(
            net,
            known,
            chosen_weights(known, net, begun, seed),
            rounds=rounds,
            num_points=points,
            step_size=step_size,
            floor_steps=floor_steps,
            seed=seed,
            told=status.update,
        )
        scenario = calibrated_scenario(found, net, out.stem, known.num_devices)
        scenario.to_toml(out)
        files = [out]
        if layer_steps:
            depths = measured_depths(
                net, known, (2, 4, 6), steps=layer_steps, floor_steps=floor_steps, seed=seed, told=status.update
            )
            files.append(out.with_name(f"{out.stem}-layers.toml"))
            calibrated_layers(found, depths, net, files[-1].stem).to_toml(files[-1])
    output.table(_table(known.name, found))
    output.say("Wrote " + ", ".join(map(str, files)))


def _table(name: str, found: Calibration) -> Table:
    table = table_of("constant", "mean", "least", "largest", title=f"Measured on {name}")
    quotients = found.pl_quotients
    table.add_row("G_0, nats", f"{found.initial_gap:.4g}", "", "")
    table.add_row("F*, nats", f"{found.floor:.4g}", "", "")
    table.add_row("mu", f"{found.pl_constant:.4g}", f"{quotients.min():.4g}", f"{quotients.max():.4g}")
    for symbol, field in (
        ("L, task", "smoothness"),
        ("L, general", "general_smoothness"),
        ("delta^2", "distribution_gap"),
        ("zeta^2", "dissimilarity"),
        ("sigma^2, task", "device_variance"),
        ("sigma_0^2, general", "server_variance"),
    ):
        values = [getattr(point, field) for point in found.points]
        table.add_row(symbol, f"{found.mean(field):.4g}", f"{min(values):.4g}", f"{max(values):.4g}")
    for unit in found.points[-1].shares:
        shares = [point.shares[unit] for point in found.points]
        mean = sum(shares) / len(shares)
        table.add_row(f"rho, {unit}", f"{mean:.3f}", f"{min(shares):.3f}", f"{max(shares):.3f}")
    return table
