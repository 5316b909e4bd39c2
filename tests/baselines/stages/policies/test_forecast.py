"""What coming rounds are expected to be like."""

import numpy as np
import pytest

from edgelearn_env import Scenario
from edgelearn_env.baselines.stages.policies.forecast import expected_tape
from edgelearn_env.tapes.tape import Conditions

SCENARIO = Scenario.preset("tiny")


def conditions_of(fade: float, harvest_share: float) -> Conditions:
    return Conditions(SCENARIO.mean_channel_gain * fade, SCENARIO.energy.harvest_mean_w * harvest_share)


@pytest.mark.parametrize("fade", [0.05, 1.0, 3.0])
def test_a_forecast_gain_is_the_exponential_of_the_mean_logarithm(fade):
    rng, num_samples, tau = np.random.default_rng(3), 200_000, 4
    # Gauss-Markov fading from a known start: a fixed part and a complex normal one.
    r = SCENARIO.radio.fading_correlation**tau
    unknown = np.sqrt((1 - r**2) / 2) * rng.standard_normal((num_samples, 2))
    log_fade = np.log((r * np.sqrt(fade) + unknown[:, 0]) ** 2 + unknown[:, 1] ** 2)
    gain = expected_tape(SCENARIO, conditions_of(fade, 1.0), np.array([tau])).channel_gain[0]
    error = 4 * np.std(log_fade) / np.sqrt(num_samples)
    assert np.log(gain / SCENARIO.mean_channel_gain) == pytest.approx(np.mean(log_fade), abs=error)


def test_a_forecast_harvest_is_the_mean_of_the_markov_chain():
    rng, tau = np.random.default_rng(4), 3
    flips = rng.random((tau, 100_000)) < SCENARIO.energy.harvest_flip_probability
    after_on = 2 * np.mean(np.sum(flips, axis=0) % 2 == 0)
    harvest = expected_tape(SCENARIO, conditions_of(1.0, 2.0), np.array([tau])).harvest_w[0]
    assert harvest / SCENARIO.energy.harvest_mean_w == pytest.approx(after_on, abs=0.02)


def test_a_forecast_of_this_round_is_what_is_observed_and_one_of_far_rounds_forgets_it():
    deep, high = (expected_tape(SCENARIO, conditions_of(fade, 2.0), np.array([0, 500])) for fade in (0.01, 4.0))
    assert deep.channel_gain[0] == pytest.approx(SCENARIO.mean_channel_gain * 0.01)
    assert deep.harvest_w[0] == pytest.approx(2 * SCENARIO.energy.harvest_mean_w)
    assert deep.channel_gain[1] == pytest.approx(high.channel_gain[1], rel=1e-6)
    typical = np.exp(np.mean(np.log(np.random.default_rng(0).exponential(size=200_000))))
    assert deep.channel_gain[1] == pytest.approx(SCENARIO.mean_channel_gain * typical, rel=0.02)
