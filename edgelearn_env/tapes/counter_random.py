"""Random numbers by counter: any number of any stream at once, without a generator that has to be kept and advanced.

The numbers of stream `key` are those that SplitMix64 (Steele, Lea, Flood, 2014) puts out from the state `key`. Whole
batches of streams are drawn by a handful of array operations, in any library, with the same bits.
"""

from edgelearn_env.arrays.namespaces import Array, namespace_of

# 2^64 divided by the golden ratio, and the multipliers of the mixing function, as signed 64-bit numbers.
STEP = 0x9E3779B97F4A7C15 - 2**64
FIRST, SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64


def stream_keys(seed: Array, episode: Array) -> Array:
    """The stream of each episode of each seed, (B,) 64-bit integers.

    Args:
        seed: (B,) 64-bit integers; episode: likewise.
    """
    return mixed(mixed(seed + STEP) + (episode + 1) * STEP)


def uniforms(key: Array, first_row: Array, num_rows: int, row_length: int) -> Array:
    """Numbers uniform in (0, 1), in rows: row i of a stream holds the same numbers whenever it is asked for.

    Args:
        key: stream of each episode, (B,).
        first_row: i of the first row that is wanted, (B,).
        num_rows: how many rows, R.
        row_length: how many numbers are in a row, L.

    Returns:
        (R, L, B), multiples of 2^-32 plus half of that.
    """
    xp = namespace_of(key)
    # One 64-bit number makes two: its halves.
    num_words = (row_length + 1) // 2
    counter = xp.arange(1, 1 + num_rows * num_words, dtype=xp.int64, device=key.device)
    words = mixed(key + first_row * num_words * STEP + (counter * STEP)[:, None])
    words = xp.reshape(words, (num_rows, num_words, key.shape[0]))
    halves = xp.concat([_shifted(words, 32), words & (2**32 - 1)], axis=1)[:, :row_length, :]
    return (xp.astype(halves, xp.float64) + 0.5) * 2.0**-32


def mixed(bits: Array) -> Array:
    """SplitMix64's mixing function of signed 64-bit integers, whose products wrap around."""
    bits = (bits ^ _shifted(bits, 30)) * FIRST
    bits = (bits ^ _shifted(bits, 27)) * SECOND
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Array, places: int) -> Array:
    """Shifted to the right, with zeros from the left as for unsigned integers."""
    return (bits >> places) & (2 ** (64 - places) - 1)
