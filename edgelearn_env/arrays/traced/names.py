"""Traced arrays by the array API standard's names, as far as models of this package use them."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgelearn_env.arrays.traced.array import TracedArray, apply, graph_of, in_common_type, select, taken, traced

bool, int64, float32, float64 = np.bool_, np.int64, np.float32, np.float64

Axis = int | None


def asarray(values: Any, dtype: Any = None, device: None = None) -> TracedArray:
    """Constants, or the array itself."""
    array = values if isinstance(values, TracedArray) else TracedArray.constant(np.array(values))
    return array if dtype is None else array.astype(dtype)


def zeros(shape: Any, dtype: Any = float64, device: None = None) -> TracedArray:
    """Zeros."""
    return TracedArray.constant(np.zeros(shape, dtype))


def zeros_like(array: TracedArray) -> TracedArray:
    """Zeros in the shape of an array."""
    return zeros(array.shape, array.dtype)


def arange(start: int, stop: int, dtype: Any = int64, device: None = None) -> TracedArray:
    """Whole numbers from one to before another."""
    return TracedArray.constant(np.arange(start, stop, dtype=dtype))


def astype(array: TracedArray, dtype: Any) -> TracedArray:
    """The same numbers as another type."""
    return array.astype(dtype)


def where(condition: Any, first: Any, second: Any) -> TracedArray:
    """`first` where the condition holds, else `second`."""
    return select(condition, first, second)


# What is done entry by entry.
minimum, maximum = (functools.partial(apply, function) for function in (np.minimum, np.maximum))
abs, sqrt, floor, ceil, round = (
    functools.partial(apply, function) for function in (np.abs, np.sqrt, np.floor, np.ceil, np.round)
)
log, log1p, exp, tan = (functools.partial(apply, function) for function in (np.log, np.log1p, np.exp, np.tan))


def isnan(array: TracedArray) -> TracedArray:
    """Whether it is not a number."""
    return array != array


def stack(arrays: Sequence[TracedArray], axis: int = 0) -> TracedArray:
    """Arrays along a new axis."""
    return _arranged(lambda rows: np.stack(rows, axis=axis), arrays)


def concat(arrays: Sequence[TracedArray], axis: int = 0) -> TracedArray:
    """Arrays along an axis."""
    return _arranged(lambda rows: np.concatenate(rows, axis=axis), arrays)


def reshape(array: TracedArray, shape: tuple[int, ...]) -> TracedArray:
    """In another shape."""
    return array.arranged(array.rows.reshape(shape))


def roll(array: TracedArray, shift: Any, axis: Any) -> TracedArray:
    """Along axes, what leaves at the end coming in at the beginning."""
    return array.arranged(np.roll(array.rows, shift, axis=axis))


def take(table: TracedArray, key: TracedArray, axis: int = 0) -> TracedArray:
    """Entries of a flat table of constants."""
    return taken(table, key)


def max(array: TracedArray, axis: Axis = None) -> TracedArray:
    """The largest along an axis."""
    return _folded(maximum, array, axis)


def min(array: TracedArray, axis: Axis = None) -> TracedArray:
    """The smallest along an axis."""
    return _folded(minimum, array, axis)


def any(array: TracedArray, axis: Axis = None) -> TracedArray:
    """Whether one holds along an axis."""
    return _folded(lambda first, second: first | second, array, axis)


def sum(array: TracedArray, axis: Axis = None) -> TracedArray:
    """The sum of whole numbers along an axis; of others it depends on their order, which is numpy's own."""
    if array.dtype.kind != "i":
        raise NotImplementedError(f"only whole numbers are summed, got {array.dtype}: see sum_over_last_axis")
    return _folded(lambda first, second: first + second, array, axis)


def argmin(array: TracedArray, axis: int) -> TracedArray:
    """Where the smallest is along an axis, the first of several; what is not a number counts as smaller."""
    each = np.moveaxis(array.rows, axis, 0)
    least, place = array.arranged(each[0]), zeros(each.shape[1:], int64)
    for index in range(1, len(each)):
        value = array.arranged(each[index])
        less = (value < least) | (isnan(value) & ~isnan(least))
        least, place = select(less, value, least), select(less, index, place)
    return place


def sort(array: TracedArray, axis: int) -> TracedArray:
    """In ascending order along an axis, by Batcher's network of exchanges; what is not a number comes last."""
    each = [array.arranged(rows) for rows in np.moveaxis(array.rows, axis, 0)]
    for low, high in _exchanges(len(each)):
        first, second = each[low], each[high]
        swapped = (second < first) | isnan(first)
        each[low], each[high] = select(swapped, second, first), select(swapped, first, second)
    return stack(each, axis=axis)


def _exchanges(count: int) -> list[tuple[int, int]]:
    """The pairs that Batcher's odd-even merge sort compares, in order."""
    pairs, size = [], 1
    while size < count:
        step = size
        while step >= 1:
            for start in range(step % size, count - step, 2 * step):
                for low in range(start, start + step):
                    if low + step < count and low // (2 * size) == (low + step) // (2 * size):
                        pairs.append((low, low + step))
            step //= 2
        size *= 2
    return pairs


def _folded(fold: Callable[[TracedArray, TracedArray], TracedArray], array: TracedArray, axis: Axis) -> TracedArray:
    """Along an axis, halves folded onto each other; the order of what is exact makes no difference."""
    rows = array.rows.ravel() if axis is None else np.moveaxis(array.rows, axis, 0)
    values = array.arranged(rows)
    while values.shape[0] > 1:
        half = values.shape[0] // 2
        rest = [values[2 * half :]] if values.shape[0] % 2 else []
        values = concat([fold(values[:half], values[half : 2 * half]), *rest])
    return values[0]


def _arranged(arrange: Callable[[list[np.ndarray]], np.ndarray], arrays: Sequence[TracedArray]) -> TracedArray:
    """Arrays made one."""
    alike = in_common_type(*map(traced, arrays))
    graph = graph_of(*alike)
    rows = [array.rows if graph is None else array.rows_in(graph) for array in alike]
    return TracedArray(arrange(rows), alike[0].dtype, graph)
