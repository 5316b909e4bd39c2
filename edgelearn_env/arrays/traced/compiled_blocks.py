"""Episodes side by side in memory, in blocks, and what programs do to them.

Each lane of a block is an episode. Of every block the same rows are kept: those that a round begins with, then others.
"""

import numpy as np

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.arrays.traced.compiled_interpreter import run


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
