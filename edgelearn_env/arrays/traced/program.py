"""From a graph of operations to a program: which are needed, where their rows lie, and which are done in one go."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from edgelearn_env.arrays.traced import compiled_interpreter as op
from edgelearn_env.arrays.traced.graph import Graph

# How many operands of an operation are rows, where it is not two. What follows them is a number.
_NUM_ROWS = {op.SELECT: 3, op.TAKE: 1, op.GIVEN: 2} | dict.fromkeys(
    (
        op.NEGATIVE,
        op.ABSOLUTE,
        op.SQRT,
        op.FLOOR,
        op.CEIL,
        op.ROUND,
        op.LOG,
        op.TAN,
        op.EXP,
        op.LOG1P,
        op.SINGLE,
        op.INT_NEGATIVE,
        op.TO_FLOAT,
        op.TO_INT,
    ),
    1,
)

_COMMUTATIVE = (op.ADD, op.MULTIPLY, op.INT_ADD, op.INT_MULTIPLY, op.INT_AND, op.INT_OR, op.INT_XOR)


class Program(NamedTuple):
    """Operations on registers, which hold a row each: first constants, then inputs, then whatever comes.

    Attributes:
        code: operation, how many rows, first register of the result, then first register of each of three operands, and
            whether the next row's is the next or the same, 1 or 0; (n, 9). `TAKE` has a place in `tables` for its
            second operand, `GIVEN` a column for its third.
        constants: what the first registers hold, as the int64 with its bits, (C,).
        tables: what `TAKE` looks up, likewise.
        results: registers of what was asked for, one after another.
        num_inputs: rows that have to be there at the beginning.
        num_registers: of all kinds.
    """

    code: np.ndarray
    constants: np.ndarray
    tables: np.ndarray
    results: np.ndarray
    num_inputs: int
    num_registers: int

    @property
    def most_rows(self) -> int:
        """Of any operation."""
        return int(np.max(self.code[:, 1], initial=1))

    @property
    def numbers(self) -> tuple[np.ndarray, ...]:
        """What compiled loops read of it: its arrays, then how many registers they need, and `most_rows`."""
        sizes = np.array([self.num_registers + 3 * self.most_rows, self.most_rows])
        return self.code, self.constants, self.tables, self.results, sizes


def program_of(graph: Graph, wanted: Sequence[np.ndarray]) -> Program:
    """What makes the rows that are wanted."""
    results = [int(row) for rows in wanted for row in rows.ravel()]
    last_use = _last_uses(graph, results)
    constants = [row for row in last_use if graph.operations[row][0] == op.CONSTANT]
    registers = _Registers(len(constants) + graph.num_inputs)
    place = {row: register for register, row in enumerate(sorted(constants))}
    for row in last_use:
        operation, number, *_ = graph.operations[row]
        if operation == op.INPUT:
            place[row] = len(constants) + number
    code = []
    for group, rows in _groups(graph, sorted(last_use)):
        first = registers.taken(len(rows))
        place |= {row: first + index for index, row in enumerate(rows)}
        code += list(_runs(graph, rows, place))
        operands = {row for made in rows for row in _operands(graph, made)}
        # Constants stay; all else makes room after its last use.
        registers.release([place[row] for row in operands if last_use[row] == group and row not in graph.bits])
    return Program(
        code=np.array(code, dtype=np.int64).reshape(-1, 9),
        constants=np.array([graph.bits[row] for row in sorted(constants)], dtype=np.int64),
        tables=np.array(graph.tables, dtype=np.int64),
        results=np.array([place[row] for row in results], dtype=np.int64),
        num_inputs=graph.num_inputs,
        num_registers=registers.count,
    )


class _Registers:
    """Which registers are taken."""

    def __init__(self, count: int) -> None:
        self._is_taken = bytearray(b"\1" * count)

    @property
    def count(self) -> int:
        """Of all that were ever taken."""
        return len(self._is_taken)

    def taken(self, count: int) -> int:
        """The first of so many that follow each other, taken now."""
        first = self._is_taken.find(bytes(count))
        if first < 0:
            first = len(self._is_taken.rstrip(b"\0"))
            self._is_taken.extend(bytes(first + count - len(self._is_taken)))
        self._is_taken[first : first + count] = b"\1" * count
        return first

    def release(self, registers: Sequence[int]) -> None:
        """Let others have them."""
        for register in registers:
            self._is_taken[register] = 0


def _operands(graph: Graph, row: int) -> tuple[int, ...]:
    """The rows that a row is made of."""
    operation, *operands, _ = graph.operations[row]
    return tuple(operands[: _NUM_ROWS.get(operation, 2)]) if operation >= 0 else ()


def _last_uses(graph: Graph, results: Sequence[int]) -> dict[int, float]:
    """Of each row that is needed, the last group that reads it; infinity for results."""
    uses: dict[int, float] = dict.fromkeys(results, np.inf)
    for row in range(len(graph.operations) - 1, -1, -1):
        if row in uses:
            for operand in _operands(graph, row):
                # From the last group to the first: what is there is later.
                uses.setdefault(operand, graph.operations[row][-1])
    return uses


def _groups(graph: Graph, rows: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """The rows that operations make, group by group."""
    groups: dict[int, list[int]] = {}
    for row in rows:
        if graph.operations[row][0] >= 0:
            groups.setdefault(graph.operations[row][-1], []).append(row)
    yield from groups.items()


def _runs(graph: Graph, rows: Sequence[int], place: dict[int, int]) -> Iterator[list[int]]:
    """The rows of a group, as few operations on registers that follow each other."""
    operation, *_ = graph.operations[rows[0]]
    num_rows = _NUM_ROWS.get(operation, 2)
    # Of each row: its register, and its operands' or the numbers that stand for them.
    table = np.array(
        [
            [place[row], *(place[each] if i < num_rows else each for i, each in enumerate(graph.operations[row][1:4]))]
            for row in rows
        ]
    )
    steps = np.diff(table, axis=0)
    start = 0
    while start < len(table):
        end, step = start + 1, np.ones(4, dtype=np.int64)
        if end < len(table) and np.isin(steps[start], (0, 1)).all():
            step = steps[start]
            others = np.flatnonzero(np.any(steps[start:] != step, axis=1))
            end = start + 1 + int(others[0]) if len(others) else len(table)
        out, *operands = table[start].tolist()
        if operation in _COMMUTATIVE and step[1] == 0:
            # A number does for the second operand only.
            operands[:2], step = operands[1::-1], step[[0, 2, 1, 3]]
        # What is no row is the same for all, but for columns.
        strides = [int(step[i + 1]) if i < num_rows or operation == op.GIVEN else 1 for i in range(3)]
        pairs = [number for pair in zip(operands, strides, strict=True) for number in pair]
        yield [operation, end - start, out, *pairs]
        start = end
