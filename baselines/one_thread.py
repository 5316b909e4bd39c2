"""Linear algebra in one thread: the products here are so small that a second thread only waits for work, busily."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """While it lasts, numpy's and scipy's linear algebra runs in one thread.

    On two cores an optimum takes as long as with two threads, and half of their processor time.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _libraries() -> ThreadpoolController:
    """Those of linear algebra that are loaded."""
    return ThreadpoolController()
