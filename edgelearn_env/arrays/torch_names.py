"""torch by the array API standard's names: `array_api_compat`'s, but for plain numbers, for which a GPU would wait.

`array_api_compat` copies a plain number to the device of the array that it meets, and such a copy waits until the
device has done all work so far. Torch itself takes plain numbers along with a call.
"""

import functools
from typing import Any

import array_api_compat.torch
import torch

Array = Any


def __getattr__(name: str) -> Any:
    return getattr(array_api_compat.torch, name)


def where(condition: Array, x1: Array | float, x2: Array | float, /) -> Array:
    """x1 where the condition holds, else x2; at least one of them an array."""
    return torch.where(condition, x1, x2)


def maximum(x1: Array, x2: Array | float, /) -> Array:
    """The larger of two, element by element; where they are equal, each gets half of the gradient."""
    return torch.maximum(x1, _operand(x2, x1.dtype))


def minimum(x1: Array, x2: Array | float, /) -> Array:
    """The smaller of two, likewise."""
    return torch.minimum(x1, _operand(x2, x1.dtype))


def _operand(value: Array | float, dtype: torch.dtype) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else _number(value, dtype)


@functools.lru_cache(maxsize=64)
def _number(value: float, dtype: torch.dtype) -> torch.Tensor:
    """An array without axes in the host's memory, which operations on any device take along."""
    # One that was made in inference mode could not be used outside of it.
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype, device="cpu")
