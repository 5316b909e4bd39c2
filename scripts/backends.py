"""Who does the work that commands share out: processes of this machine, or a cluster."""

import contextlib
from collections.abc import Iterator
from typing import Annotated, Literal

import joblib
import typer

from edgelearn_env.errors import InvalidInputError

Backend = Annotated[
    Literal["processes", "ray"],
    typer.Option(help="Who shares the work: processes of this machine, or a Ray cluster (extra: cluster)."),
]
Address = Annotated[
    str | None,
    typer.Option(help="Of the Ray cluster, such as ray://HOST:10001 or auto; a new one on this machine if left out."),
]


@contextlib.contextmanager
def work_shared_by(backend: str, address: str | None) -> Iterator[None]:
    """Until this ends, what is shared out goes there.

    Raises:
        InvalidInputError: there is no cluster at that address, or none was asked for.
        MissingExtraError: Ray is not installed.
    """
    if backend == "processes":
        if address is not None:
            raise InvalidInputError(f"--address is that of a Ray cluster: add --backend ray, got {address!r}")
        yield
        return
    from edgelearn_env.ray_cluster import connected

    with connected(address):
        from ray.util.joblib import register_ray

        register_ray()
        with joblib.parallel_config(backend="ray"):
            yield
