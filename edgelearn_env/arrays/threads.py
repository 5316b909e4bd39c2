"""Work on many episodes shared among threads, for loops that do without the interpreter meanwhile."""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba


def in_parts(work: Callable[[int, int], None], total: int, at_least: int) -> None:
    """Do `work(first, last)` for adjoining parts of `range(total)`, in as many threads as are worth it.

    Args:
        work: of the numbers from `first` to before `last`; whoever does it, the result is the same.
        total: how many there are.
        at_least: of how many a part has to be, to be worth a thread.
    """
    num_parts = max(min(_most_threads(), total // at_least), 1)
    ends = [total * part // num_parts for part in range(num_parts + 1)]
    mine, *rest = itertools.pairwise(ends)
    others = [_pool(os.getpid()).submit(work, *part) for part in rest]
    work(*mine)
    for other in others:
        other.result()


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of this process: one that was forked has none of its parent's."""
    return ThreadPoolExecutor(max_workers=_most_threads(), thread_name_prefix="edgelearn")


def _most_threads() -> int:
    """As many as numba would take: the cores of this process, or what NUMBA_NUM_THREADS says."""
    return int(vars(numba.config)["NUMBA_NUM_THREADS"])
