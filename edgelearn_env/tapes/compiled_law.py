"""`law` compiled: the same numbers to the last bit, in a few passes over the batch.

Logarithms, tangents and exponentials stay numpy's, which are faster than compiled ones and differ in the last bit.
"""

import math

import numpy as np

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.tapes import counter_random
from edgelearn_env.tapes.law import ROWS_BEFORE, Conditions, LawState, TapeLaw

STEP, FIRST, SECOND = (
    np.uint64(number % 2**64) for number in (counter_random.STEP, counter_random.FIRST, counter_random.SECOND)
)


def before_first_round(law: TapeLaw, key: np.ndarray) -> LawState:
    """As `law.before_first_round`."""
    zero = np.zeros_like(key)
    (real, imaginary), uniform = _draws(law, key, zero, ROWS_BEFORE)
    shadowing_db = law.shadowing_std_db * math.sqrt(2) * real[1]
    return LawState(
        key=key,
        round_index=zero,
        fading=np.stack([real[0], imaginary[0]]),
        on=(uniform[0] < 0.5).astype(np.float64),
        gain=law.mean_gain * np.exp(shadowing_db * (math.log(10) / 10)),
    )


def next_rounds(law: TapeLaw, law_state: LawState, num_rounds: int) -> tuple[LawState, Conditions]:
    """As `law.next_rounds`."""
    (real, imaginary), uniform = _draws(law, law_state.key, law_state.round_index + ROWS_BEFORE, num_rounds)
    fading, on = np.empty_like(law_state.fading), np.empty_like(law_state.on)
    gain, harvest_w = np.empty_like(real), np.empty_like(real)
    correlation = law.fading_correlation
    before = (law_state.fading, law_state.on, law_state.gain)
    numbers = (correlation, math.sqrt(1 - correlation**2), law.flip_probability)
    write_rounds(numbers, law.on_w, before, (real, imaginary, uniform), (fading, on), (gain, harvest_w))
    after = law_state._replace(round_index=law_state.round_index + num_rounds, fading=fading, on=on)
    return after, Conditions(channel_gain=gain, harvest_w=harvest_w)


def _draws(law: TapeLaw, key: np.ndarray, first_row: np.ndarray, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard complex normal numbers, (2, R, K, B), and uniform ones, (R, K, B), of `counter_random`'s rows."""
    draws = np.empty((3, num_rows, len(law.mean_gain), len(key)))
    write_uniforms(key, first_row, draws)
    np.log(draws[0], out=draws[0])
    np.tan(draws[1], out=draws[1])
    make_normal(draws[0], draws[1])
    return draws[:2], draws[2]


@compiled
def write_uniforms(key, first_row, draws):
    """Write `counter_random.uniforms`: radius, pi times angle less a half, and a third number, each (R, K, B)."""
    _, num_rows, num_devices, batch_size = draws.shape
    num_words = (3 * num_devices + 1) // 2
    for row in range(num_rows):
        for j in range(3 * num_devices):
            # One 64-bit number makes two: its upper half here, its lower half further on.
            upper = j < num_words
            counter = STEP * np.uint64(1 + row * num_words + (j if upper else j - num_words))
            shift = np.uint64(32 if upper else 0)
            values = draws[j // num_devices, row, j % num_devices]
            turned = j // num_devices == 1
            for b in range(batch_size):
                state = np.uint64(key[b]) + np.uint64(first_row[b] * num_words) * STEP + counter
                half = (mixed(state) >> shift) & np.uint64(0xFFFFFFFF)
                uniform = (np.float64(half) + 0.5) * 2.0**-32
                values[b] = math.pi * (uniform - 0.5) if turned else uniform


@compiled
def mixed(bits):
    """`counter_random.mixed` of unsigned numbers."""
    bits = (bits ^ (bits >> np.uint64(30))) * FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * SECOND
    return bits ^ (bits >> np.uint64(31))


@compiled
def make_normal(log_radius, tangent):
    """Make real and imaginary parts of `law.complex_normal` in place."""
    for row in range(len(tangent)):
        for k in range(tangent.shape[1]):
            for b in range(tangent.shape[2]):
                square = tangent[row, k, b] * tangent[row, k, b]
                scale = math.sqrt(-log_radius[row, k, b]) / (1.0 + square)
                log_radius[row, k, b] = scale * (1.0 - square)
                tangent[row, k, b] = scale * (2.0 * tangent[row, k, b])


@compiled
def write_rounds(numbers, on_w, before, draws, after, conditions):
    """Write the law_state after some rounds, and what each of them brings."""
    correlation, innovation, flip_probability = numbers
    (fading, on, mean_gain), (real, imaginary, uniform) = before, draws
    (fading_after, on_after), (gain, harvest_w) = after, conditions
    fading_after[:], on_after[:] = fading, on
    for row in range(len(gain)):
        for k in range(len(on)):
            for b in range(on.shape[1]):
                x = correlation * fading_after[0, k, b] + innovation * real[row, k, b]
                y = correlation * fading_after[1, k, b] + innovation * imaginary[row, k, b]
                flip = 1.0 if uniform[row, k, b] < flip_probability else 0.0
                on_after[k, b] = abs(on_after[k, b] - flip)
                fading_after[0, k, b], fading_after[1, k, b] = x, y
                gain[row, k, b] = mean_gain[k, b] * (x * x + y * y)
                harvest_w[row, k, b] = on_w[k, 0] * on_after[k, b]
