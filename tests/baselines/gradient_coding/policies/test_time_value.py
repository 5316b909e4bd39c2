"""What a round's time is worth: that of the bound that the rounds to come end at."""

import numpy as np
import pytest
from random_codings import small_random_coding

from edgelearn_env import rollout, sample_tape
from edgelearn_env.baselines import ladder_of
from edgelearn_env.baselines.gradient_coding.policies.time_value import TimeValue


def test_where_no_time_is_left_a_round_costs_none():
    value = TimeValue(np.array([0.3]), np.zeros(1), np.zeros(1))
    assert value.cost(np.array([5.0])) == 0.0
    assert value.marginal(np.array([5.0])) == 0.3


def test_time_costs_what_its_loss_adds_to_the_bound():
    # So far 20 rounds of noise 0.1 in 60 s, and the same to come, after a start of 10.
    rate, per_s, past_s, left_s = 0.1 / 3, 1 / 3, 60.0, 90.0
    weight = per_s * (past_s + left_s)
    phi = (10.0 + rate * (past_s + left_s)) / weight
    value = TimeValue(np.array([phi * per_s - rate]), np.array([left_s]), np.array([past_s + left_s]))
    for lost_s in (0.0, 1.0, 30.0, 90.0):
        later = (phi * weight - rate * lost_s) / (weight - per_s * lost_s)
        assert value.cost(np.array([lost_s]))[0] == pytest.approx(weight * (later - phi), abs=1e-9)


def test_the_marginal_cost_is_the_slope_of_the_cost_and_rises():
    value = TimeValue(np.array([0.3]), np.array([50.0]), np.array([80.0]))
    duration_s = np.linspace(0.0, 49.0, 9)[:, None]
    slope = (value.cost(duration_s + 1e-5) - value.cost(duration_s)) / 1e-5
    np.testing.assert_allclose(value.marginal(duration_s), slope, rtol=1e-5)
    assert np.all(np.diff(slope, axis=0) > 0)
    assert slope[0, 0] == pytest.approx(0.3, rel=1e-5)


def test_a_round_that_does_not_fit_costs_all_that_is_left():
    value = TimeValue(np.array([0.3]), np.array([50.0]), np.array([80.0]))
    assert value.cost(np.array([500.0])) == value.cost(np.array([50.0]))


def test_a_course_is_found_where_no_round_of_devices_counts_anything():
    # Their batteries pay for nothing, and pre-training counts: the ratio to begin with was without measure.
    scenario = small_random_coding(np.random.default_rng(4), most_rounds=5)
    policy = ladder_of(scenario)["markov"](scenario)
    assert rollout(scenario, sample_tape(scenario, 4), policy).objective[0] > 0
