"""Linear algebra in one thread: the products here are so small that a second thread only waits for work, busily."""

import functools
import threading
from typing import Any

from threadpoolctl import ThreadpoolController


class _OneThread:
    """A context in which numpy's and scipy's linear algebra runs in one thread.

    On two cores an optimum takes as long as with two threads, for half of the processor time. Libraries keep the number
    for the whole process, so of Python's threads the first to enter sets it, and puts it back when it leaves; what
    others do meanwhile changes nothing. Of libraries that are loaded later nothing is known.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: threading.Thread | None = None
        self._limit: Any = None
        self._depth = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._owner is None:
                self._owner, self._limit = threading.current_thread(), _libraries().limit(limits=1, user_api="blas")
            self._depth += self._owner is threading.current_thread()

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._depth -= self._owner is threading.current_thread()
            if self._owner is not None and not self._depth:
                self._limit.__exit__(*error)
                self._owner = None


one_thread = _OneThread()


@functools.cache
def _libraries() -> ThreadpoolController:
    """Those of linear algebra that are loaded."""
    return ThreadpoolController()
