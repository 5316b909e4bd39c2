"""Records: nested tuples of arrays that share their leading axes, such as State, Outcome, or a round of both."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

# A nested tuple of arrays, or an array by itself.
Record = TypeVar("Record")


def mapped(change: Callable[..., Any], *records: Record) -> Record:
    """A record whose every array is `change` of the arrays at its place in `records`, which are alike."""
    made: Record = _mapped(change, records)
    return made


def _mapped(change: Callable[..., Any], records: tuple[Any, ...]) -> Any:
    first = records[0]
    if not isinstance(first, tuple):
        return change(*records)
    fields = [_mapped(change, arrays) for arrays in zip(*records, strict=True)]
    return first._make(fields) if hasattr(first, "_make") else tuple(fields)


def arrays_of(record: tuple[Any, ...]) -> Iterator[Any]:
    """The arrays of a record, one after the other."""
    for field in record:
        if isinstance(field, tuple):
            yield from arrays_of(field)
        else:
            yield field


def write_rows(record: tuple[Any, ...], rows: Any, values: tuple[Any, ...]) -> None:
    """Overwrite in place those rows of every array with what `values` holds at its place."""
    for array, value in zip(record, values, strict=True):
        if isinstance(array, tuple):
            write_rows(array, rows, value)
        else:
            array[rows] = value
