"""Operations on rows, in the order in which they were asked for; the same one on the same rows is asked for once."""

from collections.abc import Sequence

import numpy as np

from edgelearn_env.arrays.traced.compiled_interpreter import CONSTANT, INPUT


class Graph:
    """What was done to rows; a row is a number, and says which operation made it of which others.

    Attributes:
        operations: of each row: its operation, up to three operands, and the group of the array operation it came with.
        bits: of each constant row, by row: its number, as the int64 with its bits.
        tables: what `TAKE` looks up, one after another, likewise.
        num_inputs: rows that a program is started with, in the order in which they were asked for.
    """

    def __init__(self) -> None:
        self.operations: list[tuple[int, int, int, int, int]] = []
        self.bits: dict[int, int] = {}
        self.tables: list[int] = []
        self.num_inputs = 0
        self._known: dict[tuple[int, ...], int] = {}
        self._constants: dict[tuple[bytes, str], np.ndarray] = {}
        self._table_starts: dict[bytes, int] = {}
        self._num_groups = 0

    def inputs(self, shape: tuple[int, ...]) -> np.ndarray:
        """New rows that a program is started with, one for each entry of an array of one episode."""
        rows = [self._add(INPUT, self.num_inputs + index, 0, 0) for index in range(int(np.prod(shape)))]
        self.num_inputs += len(rows)
        self._num_groups += 1
        return np.array(rows, dtype=np.int64).reshape(shape)

    def constants(self, values: np.ndarray) -> np.ndarray:
        """Rows of numbers known beforehand, in the shape of their array; one for all where all are equal."""
        content = np.ascontiguousarray(values).tobytes(), values.dtype.str
        if content not in self._constants:
            bits = _bits_of(values).ravel()
            same = len(bits) > 0 and bool(np.all(bits == bits[0]))
            rows = [self._constant(number) for number in (bits[:1] if same else bits).tolist()]
            self._num_groups += 1
            self._constants[content] = np.array(rows * (len(bits) if same else 1), dtype=np.int64)
        return self._constants[content].reshape(values.shape)

    def table(self, values: np.ndarray) -> int:
        """Where a table of constants begins among `tables`."""
        bits = _bits_of(values).ravel()
        content = bits.tobytes()
        if content not in self._table_starts:
            self._table_starts[content] = len(self.tables)
            self.tables += bits.tolist()
        return self._table_starts[content]

    def apply(self, operation: int, *operands: np.ndarray) -> np.ndarray:
        """The rows that an operation makes of rows, entry by entry of arrays that broadcast."""
        arrays = np.broadcast_arrays(*operands)
        columns: Sequence[list[int]] = [array.ravel().tolist() for array in arrays]
        filled = [*columns, *([0] * len(columns[0]) for _ in range(3 - len(columns)))]
        made = [self._made(operation, *entry) for entry in zip(*filled, strict=True)]
        self._num_groups += 1
        return np.array(made, dtype=np.int64).reshape(arrays[0].shape)

    def _made(self, operation: int, first: int, second: int, third: int) -> int:
        key = (operation, first, second, third)
        if key not in self._known:
            self._known[key] = self._add(*key)
        return self._known[key]

    def _constant(self, bits: int) -> int:
        row = self._add(CONSTANT, 0, 0, 0)
        self.bits[row] = bits
        return row

    def _add(self, operation: int, first: int, second: int, third: int) -> int:
        self.operations.append((operation, first, second, third, self._num_groups))
        return len(self.operations) - 1


def _bits_of(values: np.ndarray) -> np.ndarray:
    """Numbers as the int64 with their bits; flags as 0 and 1, single precision as double."""
    if values.dtype.kind == "f":
        return np.ascontiguousarray(values, dtype=np.float64).view(np.int64)
    return values.astype(np.int64)
