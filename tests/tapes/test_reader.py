"""Tapes read in lockstep are those that are sampled whole, whatever the batch, its resets, and given tapes."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenarios import random_scenario, random_tape, seeds

from edgelearn_env.arrays.records import arrays_of
from edgelearn_env.tapes.reader import TapeReader
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.two_stage.array_kernel import ArrayModel


@pytest.mark.parametrize("batch_size", [1, 3, 130])
@settings(max_examples=10)
@given(seed=seeds, data=st.data())
def test_each_episode_meets_the_rounds_of_its_own_tape(batch_size, seed, data):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    reader = TapeReader(ArrayModel(scenario), batch_size)
    drawn = functools.cache(functools.partial(sample_tape, scenario))
    # How to get the tape of each, for the few that are looked at.
    played = [functools.partial(drawn, 0)] * batch_size
    position = np.zeros(batch_size, dtype=int)

    def begin(rows):
        if data.draw(st.booleans()):
            given = random_tape(rng, scenario)
            reader.begin_given(rows, given)
            tapes = [lambda: given] * len(rows)
        else:
            names = rng.integers(2**40, size=len(rows)), rng.integers(50, size=len(rows))
            reader.begin(rows, *names)
            tapes = [functools.partial(drawn, *which) for which in zip(*names, strict=True)]
        for row, tape in zip(rows, tapes, strict=True):
            played[row], position[row] = tape, 0

    def check():
        for row in rng.integers(batch_size, size=5):
            tape = played[row]()
            for read, array in zip(arrays_of(reader.conditions), arrays_of(tape), strict=True):
                np.testing.assert_array_equal(read[row], array[position[row]])

    begin(np.arange(batch_size))
    for _ in range(data.draw(st.integers(1, 40))):
        # An episode that stands still is over, at the latest with the last round of its tape.
        standing = (rng.random(batch_size) < 0.2) | (position == scenario.budgets.max_rounds - 1)
        reader.advance(standing)
        position += ~standing
        check()
        again = standing | (rng.random(batch_size) < data.draw(st.sampled_from([0.0, 0.1, 1.0])))
        if again.any():
            begin(np.flatnonzero(again))
        check()
