"""What `edgelearn speed` measures with: a clock."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def seconds_of(work: Callable[[], T]) -> tuple[float, T]:
    """How long `work` takes, s, and its result."""
    start_s = time.perf_counter()
    result = work()
    return time.perf_counter() - start_s, result
