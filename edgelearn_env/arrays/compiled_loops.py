"""How loops over arrays are compiled: so that they give the numbers of numpy's array operations, bit for bit."""

from collections.abc import Callable
from typing import Any

import numba

if vars(numba.config)["DISABLE_JIT"]:
    # Python can read these loops but not run them: they call numpy's by their addresses.
    raise ImportError("unset NUMBA_DISABLE_JIT")


def compiled(loop: Callable[..., Any]) -> Any:
    """A function compiled at its first call, and kept on disk for later processes where there is a place for it.

    Nothing is reordered or fused, so that sums, products, quotients and roots are those of numpy; division by zero
    gives infinity, as in arrays. The interpreter's other threads go on meanwhile. What is kept is told apart by
    the time of the loop's own file: who changes what it takes from another file removes `__pycache__`.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # no folder that can be written to
        return numba.njit(**options)(loop)
