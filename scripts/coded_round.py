"""`edgelearn coded-round`: one gradient round for real, with a code and without, on processes or a Ray cluster."""

import contextlib
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.codes.layout import CodeLayout
from edgelearn_env.gradient_coding.execution.compared_rounds import ComparedRounds, compared_rounds
from edgelearn_env.gradient_coding.execution.delays import Delays
from edgelearn_env.gradient_coding.execution.process_engine import process_engine
from edgelearn_env.gradient_coding.execution.sites import Hub
from edgelearn_env.gradient_coding.execution.softmax_regression import SoftmaxRegression
from edgelearn_env.printing.output import Output
from edgelearn_env.printing.tables import table_of

ENGINES = ("processes", "ray")


def coded_round(
    engine: Annotated[str, typer.Option(help=f"What devices run on: {' or '.join(ENGINES)}.")] = "processes",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster whose machines have this package; a local one if left out.")
    ] = None,
    edges: Annotated[int, typer.Option(min=1, help="Edge nodes.")] = 2,
    devices: Annotated[int, typer.Option(min=1, help="Devices of each edge node.")] = 3,
    edge_stragglers: Annotated[int, typer.Option(help="Edge nodes that the code lets be late.")] = 1,
    device_stragglers: Annotated[
        int, typer.Option(help="Devices under each other edge node that it lets be late.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of delays, data and coefficients.")] = 0,
) -> None:
    """Play one gradient round on real workers, with injected delays: with a code, and without one, waiting for all."""
    layout = CodeLayout(
        group_sizes=(devices,) * edges, edge_stragglers=edge_stragglers, device_stragglers=device_stragglers
    )
    output, delays = Output(), Delays.drawn(layout, seed)
    with _engine(engine, layout.group_sizes, address) as master, output.status("playing"):
        rounds = compared_rounds(master, layout, delays, SoftmaxRegression(seed=seed), seed)
    output.table(_table(layout, rounds))


def _engine(name: str, group_sizes: tuple[int, ...], address: str | None) -> contextlib.AbstractContextManager[Hub]:
    if name not in ENGINES:
        raise InvalidInputError(f"--engine must be {' or '.join(ENGINES)}, got {name!r}")
    if name == "ray":
        from edgelearn_env.gradient_coding.execution.ray_engine import ray_engine

        return ray_engine(group_sizes, address)
    if address is not None:
        raise InvalidInputError(f"--address is that of a Ray cluster, for --engine ray, got {address!r}")
    return process_engine(group_sizes)


def _table(layout: CodeLayout, rounds: ComparedRounds) -> Table:
    """What was measured, beside what the model says."""
    coded, uncoded = rounds
    edges, devices = layout.edge_stragglers, layout.device_stragglers
    title = f"Code ({edges}, {devices}) on groups of {layout.group_sizes}: {(edges + 1) * (devices + 1)} parts a device"
    table = table_of("what", "measured", "predicted", title=title)
    table.add_row("seconds with the code", f"{coded.played.seconds:.3f}", f"{coded.predicted.seconds:.3f}")
    table.add_row(
        "seconds without, waiting for all", f"{uncoded.played.seconds:.3f}", f"{uncoded.predicted.seconds:.3f}"
    )
    table.add_row("devices left out", _late(coded.played.answered), _late(coded.predicted.answered))
    table.add_row("relative error, decoded", f"{coded.relative_error:.1e}", "0")
    table.add_row("relative error, without a code", f"{uncoded.relative_error:.1e}", "0")
    table.caption = "Predicted from the injected delays alone; computing and messages come on top."
    return table


def _late(answered: np.ndarray) -> str:
    return ", ".join(map(str, np.flatnonzero(~answered))) or "none"
