"""What array code comes down to, and what plays it: operations on rows of 64-bit numbers, one for each episode.

Rows hold float64 or int64; flags are int64, 0 and 1. Operations that begin with INT take whole numbers and flags, the
others floating-point ones; comparisons give flags. Each gives the bits of numpy's function.

Episodes lie side by side in blocks, each in a lane. Of every block the same rows are kept: those that a round begins
with, then others. All of this is one file: what is compiled is kept on disk for as long as its own file stays as it is.
"""

import math

import numpy as np

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.arrays.numpy_loops import apply, loop_of

(
    LOG,
    TAN,
    EXP,
    LOG1P,
    SELECT,
    TAKE,
    GIVEN,
    ADD,
    MULTIPLY,
    SUBTRACT,
    DIVIDE,
    MINIMUM,
    MAXIMUM,
    LESS,
    LESS_EQUAL,
    EQUAL,
    NOT_EQUAL,
    INT_ADD,
    INT_SUBTRACT,
    INT_MULTIPLY,
    INT_MINIMUM,
    INT_MAXIMUM,
    INT_AND,
    INT_OR,
    INT_XOR,
    INT_SHIFT,
    INT_LESS,
    INT_LESS_EQUAL,
    INT_EQUAL,
    INT_NOT_EQUAL,
    NEGATIVE,
    ABSOLUTE,
    SQRT,
    FLOOR,
    CEIL,
    ROUND,
    SINGLE,
    INT_NEGATIVE,
    TO_FLOAT,
    TO_INT,
) = range(40)

# The last of each kind: of float64 that make some, that make flags; of int64 that make some, that make flags.
LAST_OF_FLOATS, LAST_COMPARISON, LAST_OF_INTS, LAST_INT_COMPARISON = MAXIMUM, NOT_EQUAL, INT_SHIFT, INT_NOT_EQUAL

# What rows come from when no operation makes them: a number known beforehand, or what a program is started with.
CONSTANT, INPUT = -1, -2

# Numpy's loops, handed over by their address.
LOOPS = np.stack([loop_of(ufunc) for ufunc in (np.log, np.tan, np.exp, np.log1p)])


@compiled
def run(code, tables, loops, registers, num_constants, most_rows, given, rows):
    """Do what a program says.

    Args:
        code, tables: of the `Program`; loops: LOOPS.
        registers: constants and inputs in their places, int64 with the bits of what they hold, (registers, lanes);
            three times `most_rows` more than the program says.
        num_constants, most_rows: of the `Program`.
        given: what tapes of the caller's say, (B, T, columns); of no length where there is none.
        rows: of each lane's episode in `given`, (lanes,).
    """
    lanes, spare = registers.shape[1], len(registers) - 3 * most_rows
    i = registers.reshape(-1)
    f = i.view(np.float64)
    for step in range(len(code)):
        operation, count, out = code[step, 0], code[step, 1], code[step, 2]
        first, second, third = code[step, 3], code[step, 5], code[step, 7]
        moves, others, more = code[step, 4], code[step, 6], code[step, 8]
        if operation == GIVEN:
            take_given(count, out, first, moves, second, others, third, registers, given, rows)
            continue
        # One go over all rows. Of a row that is the same for all a number does if it is the same for all lanes too;
        # else it is written out as often as it is needed.
        table = second
        second_is_number = others == 0 and (lanes == 1 or second < num_constants)
        third_is_number = more == 0 and (lanes == 1 or third < num_constants)
        if moves == 0:
            first = spread(registers, first, spare, count)
        if others == 0 and not second_is_number:
            second = spread(registers, second, spare + most_rows, count)
        if more == 0 and not third_is_number:
            third = spread(registers, third, spare + 2 * most_rows, count)
        o, p, q, r = out * lanes, first * lanes, second * lanes, third * lanes
        do(operation, count * lanes, o, p, q, second_is_number, r, third_is_number, i, f, tables, table, loops)


@compiled
def spread(registers, row, to, count):
    """Write a row so often from another one on, and say from which."""
    if count == 1:
        return row
    for index in range(count):
        for b in range(registers.shape[1]):
            registers[to + index, b] = registers[row, b]
    return to


@compiled
def take_given(count, out, first, moves, second, others, column, registers, given, rows):
    """Drawn rows, but for episodes on given tapes what those say of the round that the second operand names."""
    for index in range(count):
        for b in range(registers.shape[1]):
            registers[out + index, b] = registers[first + index * moves, b]
            at = registers[second + index * others, b]
            if at >= 0 and given.shape[1] > 0:
                said = given[rows[b], min(at, given.shape[1] - 1), column + index]
                registers.view(np.float64)[out + index, b] = said


@compiled
def do(operation, n, o, p, q, q_is_number, r, r_is_number, i, f, tables, table, loops):
    """One operation on n numbers: those from p, q and r on make those from o on.

    Args:
        operation: which.
        n: how many.
        o, p, q, r: where results and operands begin, in numbers, not rows; `q_is_number`, `r_is_number`: only the one
            number there is meant, for all n.
        i, f: all registers, one after another, as int64 and as float64: the same memory.
        tables, table: where `TAKE` looks, and from where on; loops: LOOPS.
    """
    if operation == SELECT:
        made, flag, one, other, number, rest = i[o : o + n], i[p : p + n], i[q : q + n], i[r : r + n], i[q], i[r]
        for j in range(n):
            first, second = number if q_is_number else one[j], rest if r_is_number else other[j]
            made[j] = first if flag[j] != 0 else second
    elif operation < ADD:
        copy(operation, n, i[o : o + n], i[p : p + n], f[o : o + n], tables, table, loops)
    elif operation <= LAST_OF_FLOATS:
        of_floats(operation, n, f[o : o + n], f[p : p + n], f[q : q + n], f[q], q_is_number)
    elif operation <= LAST_COMPARISON:
        compare(operation, n, i[o : o + n], f[p : p + n], f[q : q + n], f[q], q_is_number)
    elif operation <= LAST_OF_INTS:
        of_ints(operation, n, i[o : o + n], i[p : p + n], i[q : q + n], i[q], q_is_number)
    elif operation <= LAST_INT_COMPARISON:
        compare(operation - INT_LESS + LESS, n, i[o : o + n], i[p : p + n], i[q : q + n], i[q], q_is_number)
    else:
        change(operation, n, i[o : o + n], i[p : p + n], f[o : o + n], f[p : p + n])


@compiled
def copy(operation, n, made, one, number, tables, table, loops):
    """The same numbers, what a table says of them, or a function of theirs."""
    if operation == TAKE:
        for j in range(n):
            made[j] = tables[table + one[j]]
    else:
        for j in range(n):
            made[j] = one[j]
        apply(loops[operation - LOG], number)


@compiled
def of_floats(operation, n, made, one, other, number, is_number):
    """Sums and the like of floats; what is not a number stays that, and of equals comes the second."""
    if operation == ADD:
        for j in range(n):
            made[j] = one[j] + (number if is_number else other[j])
    elif operation == MULTIPLY:
        for j in range(n):
            made[j] = one[j] * (number if is_number else other[j])
    elif operation == SUBTRACT:
        for j in range(n):
            made[j] = one[j] - (number if is_number else other[j])
    elif operation == DIVIDE:
        for j in range(n):
            made[j] = one[j] / (number if is_number else other[j])
    elif operation == MINIMUM:
        for j in range(n):
            x, y = one[j], number if is_number else other[j]
            made[j] = x if x < y or x != x else y
    elif operation == MAXIMUM:
        for j in range(n):
            x, y = one[j], number if is_number else other[j]
            made[j] = x if x > y or x != x else y


@compiled
def compare(operation, n, made, one, other, number, is_number):
    """Flags, by the operations on floating-point numbers."""
    if operation == LESS:
        for j in range(n):
            made[j] = 1 if one[j] < (number if is_number else other[j]) else 0
    elif operation == LESS_EQUAL:
        for j in range(n):
            made[j] = 1 if one[j] <= (number if is_number else other[j]) else 0
    elif operation == EQUAL:
        for j in range(n):
            made[j] = 1 if one[j] == (number if is_number else other[j]) else 0
    elif operation == NOT_EQUAL:
        for j in range(n):
            made[j] = 1 if one[j] != (number if is_number else other[j]) else 0


@compiled
def of_ints(operation, n, made, one, other, number, is_number):
    """Sums and the like of whole numbers, which wrap around, and of flags."""
    if operation == INT_ADD:
        for j in range(n):
            made[j] = one[j] + (number if is_number else other[j])
    elif operation == INT_SUBTRACT:
        for j in range(n):
            made[j] = one[j] - (number if is_number else other[j])
    elif operation == INT_MULTIPLY:
        for j in range(n):
            made[j] = one[j] * (number if is_number else other[j])
    elif operation == INT_MINIMUM:
        for j in range(n):
            made[j] = min(one[j], (number if is_number else other[j]))
    elif operation == INT_MAXIMUM:
        for j in range(n):
            made[j] = max(one[j], (number if is_number else other[j]))
    elif operation == INT_AND:
        for j in range(n):
            made[j] = one[j] & (number if is_number else other[j])
    elif operation == INT_OR:
        for j in range(n):
            made[j] = one[j] | (number if is_number else other[j])
    elif operation == INT_XOR:
        for j in range(n):
            made[j] = one[j] ^ (number if is_number else other[j])
    elif operation == INT_SHIFT:
        for j in range(n):
            made[j] = one[j] >> (number if is_number else other[j])


@compiled
def change(operation, n, whole, one_whole, made, one):
    """One number made another."""
    if operation == NEGATIVE:
        for j in range(n):
            made[j] = -one[j]
    elif operation == ABSOLUTE:
        for j in range(n):
            made[j] = abs(one[j])
    elif operation == SQRT:
        for j in range(n):
            made[j] = math.sqrt(one[j])
    elif operation == FLOOR:
        for j in range(n):
            made[j] = np.floor(one[j])
    elif operation == CEIL:
        for j in range(n):
            made[j] = np.ceil(one[j])
    elif operation == ROUND:
        for j in range(n):
            made[j] = np.rint(one[j])
    elif operation == SINGLE:
        for j in range(n):
            made[j] = np.float64(np.float32(one[j]))
    elif operation == INT_NEGATIVE:
        for j in range(n):
            whole[j] = -one_whole[j]
    elif operation == TO_FLOAT:
        for j in range(n):
            made[j] = np.float64(one_whole[j])
    elif operation == TO_INT:
        for j in range(n):
            whole[j] = np.int64(one[j])


@compiled
def play(
    first, last, code, constants, tables, results, sizes, loops, marks, kept, given, action, observed, reward, ended
):
    """Do one round in each episode of the blocks from `first` to before `last`, and write what is then observed.

    Args:
        first, last: blocks.
        code, constants, tables, results, sizes: `Program.numbers`.
        loops: LOOPS.
        marks: of the kept rows, how many a round begins with, and which are the reward and whether the episode is over.
        kept: what is kept of all blocks, (blocks, num_kept, lanes), int64 with the bits of what it is.
        given: what tapes of the caller's say, (B, T, columns); of no length where there is none.
        action: (B, action_size).
        observed, reward, ended: where to, (B, observation_size), and (B,).
    """
    num_kept, lanes = kept.shape[1:]
    registers = np.empty((sizes[0], lanes), dtype=np.int64)
    numbers, rows = registers.view(np.float64), np.empty(lanes, dtype=np.int64)
    fill(registers, constants)
    num_next, start = marks[0], len(constants)
    decided = start + num_next
    for block in range(first, last):
        for row in range(num_next):
            for b in range(lanes):
                registers[start + row, b] = kept[block, row, b]
        for b in range(lanes):
            rows[b] = min(block * lanes + b, len(action) - 1)
            for entry in range(action.shape[1]):
                numbers[decided + entry, b] = action[rows[b], entry]
        run(code, tables, loops, registers, len(constants), sizes[1], given, rows)
        for row in range(num_kept):
            for b in range(lanes):
                kept[block, row, b] = registers[results[row], b]
        for b in range(min(lanes, len(observed) - block * lanes)):
            row = block * lanes + b
            for entry in range(observed.shape[1]):
                observed[row, entry] = numbers[results[num_kept + entry], b]
            reward[row], ended[row] = kept.view(np.float64)[block, marks[1], b], kept[block, marks[2], b] != 0


@compiled
def begin(code, constants, tables, results, sizes, loops, kept, given, rows, keys, is_given, observed):
    """Begin an episode at each of `rows`, on the tape of stream `keys` or on the given one; as `play` otherwise."""
    num_kept, lanes = kept.shape[1:]
    registers = np.empty((sizes[0], lanes), dtype=np.int64)
    numbers, row_of = registers.view(np.float64), np.zeros(lanes, dtype=np.int64)
    fill(registers, constants)
    for start in range(0, len(rows), lanes):
        some = rows[start : start + lanes]
        for b in range(lanes):
            registers[len(constants), b] = keys[start + b] if b < len(some) else 0
            registers[len(constants) + 1, b] = 1 if is_given and b < len(some) else 0
            row_of[b] = some[b] if b < len(some) else 0
        run(code, tables, loops, registers, len(constants), sizes[1], given, row_of)
        for b in range(len(some)):
            block, lane = some[b] // lanes, some[b] % lanes
            for row in range(num_kept):
                kept[block, row, lane] = registers[results[row], b]
            # Lanes beyond the last episode are begun too, so that they hold sound numbers.
            if some[b] < len(observed):
                for entry in range(observed.shape[1]):
                    observed[some[b], entry] = numbers[results[num_kept + entry], b]


@compiled
def fill(registers, constants):
    """Write constants into the first registers."""
    for row in range(len(constants)):
        for b in range(registers.shape[1]):
            registers[row, b] = constants[row]
