"""Arrays of one episode that note what is done to them, in the place of arrays of many episodes.

Array code that treats episodes alike is called with these, whose episodes' axis has length 1, and leaves in a graph
what it does to the numbers of each. Only operations that make new numbers are noted: slices, reshapes, stacks and the
like are other arrangements of the same rows.
"""

import importlib
import operator
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from edgelearn_env.arrays.traced import compiled_interpreter as op
from edgelearn_env.arrays.traced.graph import Graph

_FLOAT, _INT, _FLAG = np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.bool_)

# By numpy's function: the operation for floating point, and for whole numbers and flags; None where there is none.
_OPERATIONS: dict[Callable[..., Any], tuple[int | None, int | None]] = {
    np.add: (op.ADD, op.INT_ADD),
    np.subtract: (op.SUBTRACT, op.INT_SUBTRACT),
    np.multiply: (op.MULTIPLY, op.INT_MULTIPLY),
    np.divide: (op.DIVIDE, None),
    np.minimum: (op.MINIMUM, op.INT_MINIMUM),
    np.maximum: (op.MAXIMUM, op.INT_MAXIMUM),
    np.less: (op.LESS, op.INT_LESS),
    np.less_equal: (op.LESS_EQUAL, op.INT_LESS_EQUAL),
    np.equal: (op.EQUAL, op.INT_EQUAL),
    np.not_equal: (op.NOT_EQUAL, op.INT_NOT_EQUAL),
    np.bitwise_and: (None, op.INT_AND),
    np.bitwise_or: (None, op.INT_OR),
    np.bitwise_xor: (None, op.INT_XOR),
    np.right_shift: (None, op.INT_SHIFT),
    np.negative: (op.NEGATIVE, op.INT_NEGATIVE),
    np.abs: (op.ABSOLUTE, None),
    np.sqrt: (op.SQRT, None),
    np.floor: (op.FLOOR, None),
    np.ceil: (op.CEIL, None),
    np.round: (op.ROUND, None),
    np.log: (op.LOG, None),
    np.tan: (op.TAN, None),
    np.exp: (op.EXP, None),
    np.log1p: (op.LOG1P, None),
}
_COMPARISONS = (np.less, np.less_equal, np.equal, np.not_equal)

# Of numbers in single precision the same in double precision.
_EXACT = (*_COMPARISONS, np.minimum, np.maximum)


class TracedArray:
    """An array of rows of a graph, or of constants.

    Attributes:
        dtype: float64, int64, bool, or float32, which lies in rows as float64.
        graph: where its rows are; None for constants.
        rows: one row for each entry, of the array's shape; for constants their values.
    """

    __slots__ = ("dtype", "graph", "rows")

    # Numpy's arrays leave operations with these to these.
    __array_ufunc__ = None

    def __init__(self, rows: np.ndarray, dtype: Any, graph: Graph | None = None) -> None:
        self.rows, self.dtype, self.graph = rows, np.dtype(dtype), graph

    @classmethod
    def constant(cls, values: Any) -> Self:
        """Constants with these values."""
        values = np.asarray(values)
        return cls(values, values.dtype)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return importlib.import_module("edgelearn_env.arrays.traced.names")

    @property
    def shape(self) -> tuple[int, ...]:
        """As of any array."""
        return self.rows.shape

    @property
    def ndim(self) -> int:
        """As of any array."""
        return self.rows.ndim

    @property
    def device(self) -> None:
        """Nowhere yet."""
        return None

    @property
    def T(self) -> Self:
        """As of any array."""
        return self.arranged(self.rows.T)

    def arranged(self, rows: np.ndarray) -> Self:
        """The same entries, or some of them, in another order."""
        return type(self)(rows, self.dtype, self.graph)

    def __getitem__(self, key: Any) -> Self:
        return self.arranged(np.asarray(self.rows[key]))

    def __bool__(self) -> bool:
        if self.graph is None:
            return bool(self.rows)
        raise TypeError("array code asked for the value of an array that differs from episode to episode")

    def astype(self, dtype: Any) -> "TracedArray":
        """The same numbers as another type, truncated where they become whole."""
        kind, dtype = self.dtype.kind, np.dtype(dtype)
        if self.graph is None:
            return type(self)(self.rows.astype(dtype), dtype)
        rows = self.rows
        if kind == "f" and dtype.kind != "f":
            if dtype == _FLAG:
                return apply(np.not_equal, self, 0.0)
            rows = self.graph.apply(op.TO_INT, rows)
        elif dtype.kind == "f":
            rows = rows if kind == "f" else self.graph.apply(op.TO_FLOAT, rows)
            if dtype.itemsize == 4 and self.dtype.itemsize == 8:
                rows = self.graph.apply(op.SINGLE, rows)
        elif kind == "i" and dtype == _FLAG:
            return apply(np.not_equal, self, 0)
        return type(self)(rows, dtype, self.graph)

    def rows_in(self, graph: Graph) -> np.ndarray:
        """Its rows in a graph, into which constants are put."""
        return graph.constants(self.rows) if self.graph is None else self.rows

    def __add__(self, other: Any) -> "TracedArray":
        return apply(np.add, self, other)

    def __radd__(self, other: Any) -> "TracedArray":
        return apply(np.add, other, self)

    def __sub__(self, other: Any) -> "TracedArray":
        return apply(np.subtract, self, other)

    def __rsub__(self, other: Any) -> "TracedArray":
        return apply(np.subtract, other, self)

    def __mul__(self, other: Any) -> "TracedArray":
        return apply(np.multiply, self, other)

    def __rmul__(self, other: Any) -> "TracedArray":
        return apply(np.multiply, other, self)

    def __truediv__(self, other: Any) -> "TracedArray":
        return apply(np.divide, self, other)

    def __rtruediv__(self, other: Any) -> "TracedArray":
        return apply(np.divide, other, self)

    def __pow__(self, exponent: int) -> "TracedArray":
        if operator.index(exponent) != 2:
            raise NotImplementedError(f"only squares are traced, got exponent {exponent}")
        return apply(np.multiply, self, self)

    def __neg__(self) -> "TracedArray":
        return apply(np.negative, self)

    def __abs__(self) -> "TracedArray":
        return apply(np.abs, self)

    def __invert__(self) -> "TracedArray":
        if self.dtype != _FLAG:
            raise NotImplementedError(f"only flags are inverted, got {self.dtype}")
        return apply(np.bitwise_xor, self, True)

    def __and__(self, other: Any) -> "TracedArray":
        return apply(np.bitwise_and, self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> "TracedArray":
        return apply(np.bitwise_or, self, other)

    __ror__ = __or__

    def __xor__(self, other: Any) -> "TracedArray":
        return apply(np.bitwise_xor, self, other)

    __rxor__ = __xor__

    def __rshift__(self, other: Any) -> "TracedArray":
        return apply(np.right_shift, self, other)

    def __lt__(self, other: Any) -> "TracedArray":
        return apply(np.less, self, other)

    def __le__(self, other: Any) -> "TracedArray":
        return apply(np.less_equal, self, other)

    def __gt__(self, other: Any) -> "TracedArray":
        return apply(np.less, other, self)

    def __ge__(self, other: Any) -> "TracedArray":
        return apply(np.less_equal, other, self)

    def __eq__(self, other: object) -> "TracedArray":  # type: ignore[override]
        return apply(np.equal, self, other)

    def __ne__(self, other: object) -> "TracedArray":  # type: ignore[override]
        return apply(np.not_equal, self, other)

    __hash__ = None  # type: ignore[assignment]


def apply(function: Callable[..., Any], *operands: Any) -> TracedArray:
    """One of numpy's functions of arrays or plain numbers, entry by entry.

    Raises:
        NotImplementedError: there is no such operation for the operands' type.
    """
    arrays = in_common_type(*operands)
    kind = arrays[0].dtype
    graph = graph_of(*arrays)
    if graph is None:
        return TracedArray.constant(function(*(array.rows for array in arrays)))
    single = kind.itemsize == 4 and kind.kind == "f"
    operation = _OPERATIONS[function][0 if kind.kind == "f" else 1]
    if operation is None or (single and function not in _EXACT):
        raise NotImplementedError(f"{function.__name__} of {kind} is not traced")
    if kind == _FLAG and function in (np.add, np.subtract, np.multiply, np.negative):
        raise NotImplementedError(f"{function.__name__} of flags is not traced")
    made = graph.apply(operation, *(array.rows_in(graph) for array in arrays))
    return TracedArray(made, _FLAG if function in _COMPARISONS else kind, graph)


def select(condition: Any, first: Any, second: Any) -> TracedArray:
    """`first` where the condition holds, else `second`."""
    first, second = in_common_type(first, second)
    condition = traced(condition)
    graph = graph_of(condition, first, second)
    if graph is None:
        return TracedArray.constant(np.where(condition.rows, first.rows, second.rows))
    made = graph.apply(op.SELECT, *(array.rows_in(graph) for array in (condition, first, second)))
    return TracedArray(made, first.dtype, graph)


def taken(table: TracedArray, key: TracedArray) -> TracedArray:
    """Entries of a flat table of constants at the places that `key` names."""
    if key.graph is None:
        return table[key.rows]
    if table.graph is not None:
        raise NotImplementedError("only tables of constants are looked up")
    start = np.full(key.shape, key.graph.table(table.rows))
    return TracedArray(key.graph.apply(op.TAKE, key.rows, start), table.dtype, key.graph)


def given(array: TracedArray, is_given: TracedArray, index: TracedArray, column: int) -> TracedArray:
    """An array, or what a tape of the caller's says in its place: its entries at a round, from a column on."""
    graph = array.graph
    if graph is None or array.dtype != _FLOAT:
        raise NotImplementedError(f"tapes hold float64 that differ from episode to episode, got {array.dtype}")
    columns = column + np.arange(array.rows.size).reshape(array.shape)
    where = select(is_given, index, -1)
    return TracedArray(graph.apply(op.GIVEN, array.rows, where.rows_in(graph), columns), array.dtype, graph)


def in_common_type(*operands: Any) -> list[TracedArray]:
    """Operands as arrays of one type; plain numbers take that of the arrays, or float64 if they are no integers."""
    arrays = [operand for operand in operands if isinstance(operand, TracedArray | np.ndarray | np.generic)]
    dtype = np.result_type(*(array.dtype for array in arrays)) if arrays else _FLAG
    for number in operands:
        if type(number) in (bool, int, float) and _rank(number) > _rank(dtype):
            dtype = (_FLAG, _INT, _FLOAT)[_rank(number)]
    return [traced(operand, dtype).astype(dtype) for operand in operands]


def traced(operand: Any, dtype: Any = None) -> TracedArray:
    """An operand as an array of this kind."""
    if isinstance(operand, TracedArray):
        return operand
    return TracedArray.constant(np.asarray(operand, dtype=dtype))


def graph_of(*arrays: TracedArray) -> Graph | None:
    """The graph of those that are no constants; None if all are."""
    return next((array.graph for array in arrays if array.graph is not None), None)


def _rank(number: bool | int | float | np.dtype) -> int:
    """0 for flags, 1 for whole numbers, 2 for others."""
    if isinstance(number, np.dtype):
        return "bif".index(number.kind)
    return 0 if isinstance(number, bool) else 1 if isinstance(number, int) else 2
