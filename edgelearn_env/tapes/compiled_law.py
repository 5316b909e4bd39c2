"""`law` in compiled loops over a block of episodes: the same numbers to the last bit.

Arrays (K, B) hold a row a device and a column an episode.
"""

import math

import numpy as np

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.arrays.numpy_loops import apply, loop_of
from edgelearn_env.tapes import counter_random

LOG, TAN, EXP = (loop_of(ufunc) for ufunc in (np.log, np.tan, np.exp))

STEP, FIRST, SECOND = (
    np.uint64(number % 2**64) for number in (counter_random.STEP, counter_random.FIRST, counter_random.SECOND)
)


@compiled
def draw(loops, key, row, draws):
    """Draw a row of each stream: a standard complex normal number and a uniform one for each device.

    Args:
        loops: LOG and TAN, (2, 2).
        key: of each stream, (B,) integers.
        row: which row of it, (B,).
        draws: where to: real part, imaginary part, uniform number, (3, K, B).
    """
    write_uniforms(key, row, draws)
    apply(loops[0], draws[0])
    apply(loops[1], draws[1])
    for k in range(draws.shape[1]):
        log_radius, tangent = draws[0, k], draws[1, k]
        for b in range(len(tangent)):
            square = tangent[b] * tangent[b]
            scale = math.sqrt(-log_radius[b]) / (1.0 + square)
            log_radius[b] = scale * (1.0 - square)
            tangent[b] = scale * (2.0 * tangent[b])


@compiled
def write_uniforms(key, row, draws):
    """Write `counter_random.uniforms`: radius, pi times angle less a half, and a third number, each (K, B)."""
    _, num_devices, batch_size = draws.shape
    num_words = (3 * num_devices + 1) // 2
    for word in range(num_words):
        counter = STEP * np.uint64(1 + word)
        # One 64-bit number makes two: its upper half here, its lower half further on.
        upper, lower = word, num_words + word
        above = draws[upper // num_devices, upper % num_devices]
        # An odd one out is written where it is overwritten at once.
        below = draws[lower // num_devices, lower % num_devices] if lower < 3 * num_devices else above
        for b in range(batch_size):
            state = np.uint64(key[b]) + np.uint64(np.int64(row[b]) * num_words) * STEP + counter
            bits = mixed(state)
            below[b] = (np.float64(np.int64(bits & np.uint64(0xFFFFFFFF))) + 0.5) * 2.0**-32
            above[b] = (np.float64(np.int64(bits >> np.uint64(32))) + 0.5) * 2.0**-32
    for k in range(num_devices):
        angle = draws[1, k]
        for b in range(batch_size):
            angle[b] = math.pi * (angle[b] - 0.5)


@compiled
def mixed(bits):
    """`counter_random.mixed` of unsigned numbers."""
    bits = (bits ^ (bits >> np.uint64(30))) * FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * SECOND
    return bits ^ (bits >> np.uint64(31))
