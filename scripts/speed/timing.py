"""What `edgelearn speed` measures with, a clock, and how it prints shares of time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def seconds_of(work: Callable[[], T]) -> tuple[float, T]:
    """How long `work` takes, s, and its result."""
    start_s = time.perf_counter()
    result = work()
    return time.perf_counter() - start_s, result


def percent(share: float) -> str:
    """A share in two significant digits, so that a small one is not printed as none: `12%`, `0.034%`."""
    return f"{float(f'{100 * share:.2g}'):g}%"
