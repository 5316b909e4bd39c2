"""Ray, as all that works on a cluster finds it; the cluster's machines need this package too."""

import contextlib
import os
import socket
from collections.abc import Iterator

from edgelearn_env.errors import InvalidInputError, MissingExtraError

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
try:
    import ray
except ImportError as error:
    raise MissingExtraError("work on a cluster needs Ray: pip install 'edgelearn-env[cluster]'") from error


@contextlib.contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Connected to a cluster, until this ends.

    Args:
        address: of the cluster, such as ray://HOST:10001 or auto; a new one on this machine if None.

    Raises:
        InvalidInputError: there is no cluster at that address, or it wants a token that RAY_AUTH_TOKEN does not hold.
    """
    _connect(address)
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None) -> None:
    if address is None:
        ray.init("local", include_dashboard=False, log_to_driver=False)
        return
    try:
        _require_reachable(address)
        ray.init(address, log_to_driver=False)
    except (OSError, ValueError) as error:
        sentence = (
            "address must be that of a running Ray cluster, whose token, if it asks for one, is in RAY_AUTH_TOKEN"
        )
        raise InvalidInputError(f"{sentence}, got {address!r}") from error


def _require_reachable(address: str) -> None:
    """Raise `OSError` if nothing listens there: Ray would try for ten minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=10).close()
