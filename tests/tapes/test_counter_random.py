"""Random numbers by counter: the generator they are, their range and law, and that streams do not meet."""

import numpy as np
import pytest
from scipy import stats

from edgelearn_env.tapes.counter_random import mixed, stream_keys, uniforms

_STEP = np.int64(0x9E3779B97F4A7C15 - 2**64)


def test_words_are_those_of_splitmix64():
    state = np.int64(1234567) + np.arange(1, 6) * _STEP
    # Published with the generator's reference implementation.
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert mixed(state).view(np.uint64).tolist() == expected


@pytest.mark.parametrize("length", [1, 4, 7])
def test_rows_are_the_same_whichever_are_asked_for_together(length):
    key = stream_keys(np.arange(5), np.zeros(5, dtype=np.int64))
    together = uniforms(key, np.zeros(5, dtype=np.int64), 6, length)
    assert together.shape == (6, length, 5)
    np.testing.assert_array_equal(uniforms(key, np.full(5, 2), 3, length), together[2:5])
    np.testing.assert_array_equal(uniforms(key[3:4], np.full(1, 4), 1, length), together[4:5, :, 3:4])
    assert len(np.unique(together)) == together.size


def test_numbers_are_uniform_and_never_zero_or_one():
    key = stream_keys(np.arange(1000), np.full(1000, 7))
    numbers = uniforms(key, np.zeros(1000, dtype=np.int64), 10, 30)
    assert numbers.min() > 0.0
    assert numbers.max() < 1.0
    assert stats.kstest(numbers.ravel(), "uniform").pvalue > 1e-3
    # The two halves of a word, neighbours in a row, and rows that follow each other.
    for left, right in (
        (numbers[:, :15], numbers[:, 15:]),
        (numbers[:, :-1], numbers[:, 1:]),
        (numbers[:-1], numbers[1:]),
    ):
        assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 4 / np.sqrt(left.size)


def test_streams_of_many_seeds_and_episodes_differ():
    seed, episode = (array.ravel() for array in np.meshgrid(np.arange(1000), np.arange(1000)))
    assert len(np.unique(stream_keys(seed, episode))) == seed.size
