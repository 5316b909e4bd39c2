"""Array libraries: the kernels run on numpy, torch, and whatever else follows the array API standard."""

import functools
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array

Array = Any


def namespace_of(array: Array) -> Any:
    """The library of an array, as the array API standard has its functions."""
    # Looking a library up takes longer than many an operation of a small batch.
    if type(array) is np.ndarray:
        return _numpy_names()
    if is_torch_array(array):
        from edgelearn_env.arrays import torch_names

        return torch_names
    return array_namespace(array)


def sum_over_last_axis(values: Array) -> Array:
    """Sum over the last axis; halves are added to each other until one column is left.

    Libraries add up in orders that depend on their memory layout; this order does not, so that a sum is the same, bit
    for bit, in a batch of any size and in any library.
    """
    while values.shape[-1] > 1:
        half = values.shape[-1] // 2
        folded = values[..., :half] + values[..., half : 2 * half]
        if values.shape[-1] % 2:
            folded = namespace_of(values).concat([folded, values[..., -1:]], axis=-1)
        values = folded
    return values[..., 0]


@functools.cache
def _numpy_names() -> Any:
    # It loads parts of numpy that take as long as all the rest of an import of this package.
    import array_api_compat.numpy

    return array_api_compat.numpy
