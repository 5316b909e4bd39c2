"""Programs of traced array code, played for blocks of episodes; see `program.Program` and `operations`."""

import math

import numpy as np

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.arrays.numpy_loops import apply, loop_of
from edgelearn_env.arrays.traced.operations import (
    ABSOLUTE,
    ADD,
    CEIL,
    COPY,
    DIVIDE,
    EQUAL,
    FLOOR,
    GIVEN,
    INT_ADD,
    INT_AND,
    INT_LESS,
    INT_MAXIMUM,
    INT_MINIMUM,
    INT_MULTIPLY,
    INT_NEGATIVE,
    INT_OR,
    INT_SHIFT,
    INT_SUBTRACT,
    INT_XOR,
    LAST_COMPARISON,
    LAST_INT_COMPARISON,
    LAST_OF_FLOATS,
    LAST_OF_INTS,
    LESS,
    LESS_EQUAL,
    LOG,
    MAXIMUM,
    MINIMUM,
    MULTIPLY,
    NEGATIVE,
    NOT_EQUAL,
    ROUND,
    SELECT,
    SINGLE,
    SQRT,
    SUBTRACT,
    TAKE,
    TO_FLOAT,
    TO_INT,
)

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
            take_given(count, out, first, second, others, third, registers, given, rows)
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
def take_given(count, out, first, second, others, column, registers, given, rows):
    """Drawn rows, but for episodes on given tapes what those say of the round that the second operand names."""
    for index in range(count):
        for b in range(registers.shape[1]):
            registers[out + index, b] = registers[first + index, b]
            at = registers[second + index * others, b]
            if at >= 0 and given.shape[1] > 0:
                said = given[rows[b], min(at, given.shape[1] - 1), column + index]
                registers.view(np.float64)[out + index, b] = said


@compiled
def do(operation, n, o, p, q, q_is_number, r, r_is_number, i, f, tables, table, loops):
    """One operation on n numbers: those from p, q and r on, or the one there, make those from o on."""
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
        if operation != COPY:
            apply(loops[operation - LOG], number)


@compiled
def of_floats(operation, n, made, one, other, number, is_number):
    """Sums and the like of floating-point numbers; what is not a number stays that."""
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
            made[j] = x if x <= y or x != x else y
    elif operation == MAXIMUM:
        for j in range(n):
            x, y = one[j], number if is_number else other[j]
            made[j] = x if x >= y or x != x else y


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
