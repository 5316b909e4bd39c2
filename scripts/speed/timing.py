"""What `edgelearn speed` measures with: a clock, and tables of one form."""

import time
from collections.abc import Callable
from typing import TypeVar

from rich.table import Table

T = TypeVar("T")


def seconds_of(work: Callable[[], T]) -> tuple[float, T]:
    """How long `work` takes, s, and its result."""
    start_s = time.perf_counter()
    result = work()
    return time.perf_counter() - start_s, result


def table_of(subject: str, *headings: str) -> Table:
    """An empty table of numbers about a subject."""
    table = Table(title_justify="left")
    table.add_column(subject)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table
