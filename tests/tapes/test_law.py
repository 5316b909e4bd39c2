"""The random law of tapes: fading, shadowing, harvest, and that a round does not depend on how it is drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenarios import random_scenario, seeds

from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.law import TapeLaw, before_first_round, next_rounds
from edgelearn_env.tapes.tape import sample_tape

# Statistics are within this many standard errors of their formulas: a failure by chance is a matter of 1 in 16 000.
ERRORS = 4.0


def assert_mean(samples, expected):
    """Independent samples have the expected mean, as far as their number can tell."""
    samples = np.ravel(samples)
    error = np.std(samples, ddof=1) / np.sqrt(samples.size)
    assert abs(np.mean(samples) - expected) <= ERRORS * error
    assert ERRORS * error < 0.2 * max(abs(expected), 0.1), "too few samples to tell anything"


def crowd(num_devices: int, **radio) -> Scenario:
    """Many equal devices for a few rounds."""
    table = Scenario.preset("default").to_dict()
    table["devices"].update(
        num_devices=num_devices,
        flops_per_cycle=4.0,
        freq_min_hz=1e8,
        freq_max_hz=1e9,
        capacitance_j_s2=1e-27,
        batch_max=128,
        power_min_w=1e-4,
        power_max_w=0.2,
        distance_m=100.0,
    )
    table["radio"].update(bandwidth_hz=1e6, **radio)
    table["energy"].update(battery_initial_j=0.3, battery_capacity_j=0.6, harvest_mean_w=0.005)
    table["learning"].update(device_gradient_variance=50.0, device_weight=1 / num_devices)
    table["budgets"].update(max_rounds=4)
    return Scenario.from_dict(table)


def drawn(num_episodes, num_rounds, *, correlation=0.9, flip_probability=0.1):
    """Fading power and harvest, (T, B), of one device of unit mean gain and harvest in many episodes."""
    one = np.ones((1, 1))
    law = TapeLaw(one, one, correlation, 0.0, flip_probability)
    law_state = before_first_round(law, stream_keys(np.arange(num_episodes), np.zeros(num_episodes, dtype=np.int64)))
    _, drawn = next_rounds(law, law_state, num_rounds)
    return drawn.channel_gain[:, 0], drawn.harvest_w[:, 0]


@given(seeds, st.integers(1, 40), st.integers(1, 40))
def test_a_round_is_the_same_however_many_are_drawn_with_it_and_whatever_its_batch(seed, first, size):
    scenario = random_scenario(np.random.default_rng(seed))
    law, horizon = TapeLaw.of(scenario), scenario.budgets.max_rounds
    seeds_of_batch = np.arange(seed, seed + size)
    law_state = before_first_round(law, stream_keys(seeds_of_batch, np.full(size, 3)))
    first = min(first, horizon)
    law_state, early = next_rounds(law, law_state, first)
    parts = [early] if first == horizon else [early, next_rounds(law, law_state, horizon - first)[1]]
    gain, harvest_w = (np.concatenate(arrays) for arrays in zip(*(part[:2] for part in parts), strict=True))
    alone = sample_tape(scenario, seed + size - 1, 3)
    np.testing.assert_array_equal(gain[:, :, -1], alone.channel_gain)
    np.testing.assert_array_equal(harvest_w[:, :, -1], alone.harvest_w)


# Fading and shadowing.


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_fading_power_is_exponential_with_unit_mean_at_any_time(correlation):
    power, _ = drawn(40_000, 6, correlation=correlation)
    for t in (0, 5):
        assert_mean(power[t], 1.0)
        assert_mean(power[t] ** 2, 2.0)
        assert_mean(power[t] > 1.0, np.exp(-1.0))
        assert_mean(power[t] < 0.01, 1 - np.exp(-0.01))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("lag", [1, 3])
def test_fading_power_correlates_with_the_power_of_the_correlation_to_twice_the_lag(correlation, lag):
    power, _ = drawn(100_000, 5, correlation=correlation)
    # The variance of an exponential of unit mean is 1: this covariance is the correlation.
    assert_mean((power[1] - 1) * (power[1 + lag] - 1), correlation ** (2 * lag))


def test_fading_is_a_markov_chain_whose_next_step_forgets_the_phase_it_came_from():
    power, _ = drawn(200_000, 3, correlation=0.6)
    # Given the present of a complex Gauss-Markov process the mean of its next power is r^2 |c|^2 + 1 - r^2.
    assert_mean((power[2] - 0.36 * power[1] - 0.64) * (power[0] - 1), 0.0)
    assert_mean(power[2] - 0.36 * power[1], 0.64)


def test_fading_of_correlation_one_stands_still():
    power, _ = drawn(1000, 4, correlation=1.0)
    np.testing.assert_allclose(power, np.tile(power[0], (4, 1)), rtol=1e-12)


def test_devices_neighbouring_seeds_and_consecutive_episodes_are_independent():
    gain = [sample_tape(crowd(80_000), *which).channel_gain[0] * 1e9 for which in ((5, 0), (6, 0), (5, 1))]
    unit = [array / np.mean(array) - 1 for array in gain]
    for left, right in ((unit[0], unit[1]), (unit[0], unit[2]), (unit[0][:-1], unit[0][1:])):
        assert_mean(left * right, 0.0)


def test_the_mean_gain_falls_with_the_distance_to_the_power_of_the_path_loss_exponent(tiny):
    np.testing.assert_allclose(tiny.mean_channel_gain, [1e-3 * d**-3.0 for d in (112.0, 78.0, 122.0)], rtol=1e-13)
    tape = sample_tape(crowd(20_000), 3)
    assert_mean(tape.channel_gain[0] / (1e-3 * 100.0**-3), 1.0)


def test_shadowing_is_a_normal_number_of_decibels_that_stays_all_episode():
    plain, shadowed = (sample_tape(crowd(5_000, shadowing_std_db=std_db), 3) for std_db in (0.0, 6.0))
    shadowing_db = 10 * np.log10(shadowed.channel_gain / plain.channel_gain)
    np.testing.assert_allclose(shadowing_db, np.tile(shadowing_db[0], (4, 1)), atol=1e-9)
    assert abs(np.mean(shadowing_db[0])) <= ERRORS * 6.0 / np.sqrt(5_000)
    assert_mean(shadowing_db[0] ** 2, 36.0)
    np.testing.assert_array_equal(plain.harvest_w, shadowed.harvest_w)


# Harvest.


@pytest.mark.parametrize("flip_probability", [0.1, 0.5, 0.9])
def test_harvest_is_on_half_of_the_time_and_flips_with_its_probability(flip_probability):
    _, on = drawn(40_000, 6, flip_probability=flip_probability)
    assert set(np.unique(on)) == {0.0, 1.0}
    for t in (0, 5):
        assert_mean(on[t], 0.5)
    assert_mean(on[1] != on[0], flip_probability)
    # Flips of the chain are independent: two in a row happen with the product of the probabilities.
    assert_mean((on[2] != on[1]) & (on[3] != on[2]), flip_probability**2)


def test_harvest_does_not_depend_on_the_channel():
    power, on = drawn(100_000, 2)
    assert_mean((power[1] - 1) * (on[1] - 0.5), 0.0)
    assert_mean((power[1] - 1) * ((on[1] != on[0]) - 0.1), 0.0)


@pytest.mark.parametrize(("flip_probability", "flips"), [(0.0, 0), (1.0, 19)])
def test_harvest_never_flips_or_always_does_at_the_extremes(flip_probability, flips):
    _, on = drawn(50, 20, flip_probability=flip_probability)
    np.testing.assert_array_equal(np.sum(np.diff(on, axis=0) != 0, axis=0), flips)


def test_a_device_that_is_on_harvests_twice_its_mean(tiny):
    uneven = tiny.replace(energy={"harvest_mean_w": [0.005, 0.0, 0.02]})
    harvest_w = np.concatenate([sample_tape(uneven, seed).harvest_w for seed in range(5)])
    assert set(np.unique(harvest_w[:, 0])) == {0.0, 2 * 0.005}
    assert set(np.unique(harvest_w[:, 1])) == {0.0}
    assert set(np.unique(harvest_w[:, 2])) == {0.0, 2 * 0.02}
