"""Differences of results that share their seeds."""

import math

import pytest

from edgelearn_env.federated.paired import paired_mean


def test_an_interval_is_students():
    found = paired_mean([0.1, 0.2, 0.3])
    # The standard error is 0.1 / sqrt(3), and 4.303 the point of two degrees of freedom.
    assert found.value == pytest.approx(0.2)
    assert found.high - found.value == pytest.approx(4.303 * 0.1 / math.sqrt(3), rel=1e-3)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_one_seed_says_nothing_of_its_spread():
    assert paired_mean([0.5]) == (0.5, -math.inf, math.inf)
