"""Rounds designed for what they may hide: as cheap as the exact optimum where nothing is, cheaper than others else."""

import numpy as np
import pytest

from edgelearn_env.baselines.gradient_coding.model.cheapest_codes import cheapest_codes
from edgelearn_env.baselines.gradient_coding.model.choices import Choices, holders_of
from edgelearn_env.baselines.gradient_coding.model.hardware import straggling_hardware
from edgelearn_env.baselines.gradient_coding.policies.expected_round import ExpectedRounds
from edgelearn_env.baselines.gradient_coding.policies.forecast import StragglerForecast
from edgelearn_env.baselines.gradient_coding.policies.mean_plan import MeanPrices
from edgelearn_env.baselines.gradient_coding.policies.round_choice import RoundChoice, no_round
from edgelearn_env.baselines.gradient_coding.policies.time_value import TimeValue
from edgelearn_env.baselines.gradient_coding.policies.typical_rounds import TypicalRounds, round_prices
from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts
from edgelearn_env.baselines.stages.policies.largest_round import ServerRound
from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario

SCENARIO = GradientCodingScenario.load("coded-tiny")
CHOICE = RoundChoice(scenario=SCENARIO, codes=SCENARIO.codes)
OBSERVED = TypicalRounds(choice=CHOICE).situations
COUNT = len(OBSERVED.state.ended)
PRICES = round_prices(SCENARIO, [MeanPrices(0.3, 0.6, np.full(4, 0.2), 1.0)] * COUNT)
LINEAR = TimeValue(PRICES.second, np.full(COUNT, 1e9), np.full(COUNT, 1e15))
EVERYBODY = np.ones((COUNT, 4), dtype=bool)
PLAIN = no_round(SCENARIO, np.ones(COUNT) > 0, ServerRound(np.full(COUNT, 1e9), np.ones(COUNT)))
NOTHING = Hidden(np.ones((1, COUNT, 4)), np.zeros((1, COUNT, 4)), np.ones((1, COUNT, 4)), np.ones((1, COUNT, 2)))


def rounds(drawn: Hidden, time: TimeValue = LINEAR) -> ExpectedRounds:
    return ExpectedRounds(CodingConstants.of(SCENARIO), OBSERVED, PRICES, time, drawn)


def sampled(seed: int) -> Hidden:
    uniforms = np.random.default_rng(seed).uniform(size=(400, 1, 3 * 4 + 2))
    return StragglerForecast.of(SCENARIO, remembers=True).sampled(OBSERVED.state.seen.slowdown, uniforms)


def least_cost() -> np.ndarray:
    """A proven bound on rounds of everybody without a code, nothing being hidden; batteries apart."""
    hardware = straggling_hardware(SCENARIO, OBSERVED.conditions.channel_gain, Hidden(*(array[0] for array in NOTHING)))
    costs = RoundCosts(
        second=PRICES.second,
        joule=PRICES.joule,
        gain=PRICES.gain,
        noise=PRICES.noise,
        dissimilarity=np.zeros(4),
        devices=hardware.devices,
        uplink=hardware.uplink,
        longest_s=1e9,
        sets=AllowedSets.all_of(COUNT, 4),
    )
    everybody = Choices(np.ones(1, dtype=int), np.ones((1, 4), dtype=bool), holders_of(SCENARIO, (0, 0))[None])
    found = cheapest_codes(costs, everybody, np.zeros((COUNT, 4)), 0.0, 1e-4, np.full(COUNT, np.inf))
    return found.bound - np.sum(PRICES.gain, axis=1) + PRICES.second * SCENARIO.radio.downlink_s


def test_where_nothing_is_hidden_a_design_comes_near_to_the_least_cost():
    designed = rounds(NOTHING).designed(PLAIN, (0, 0), EVERYBODY)
    worth = np.sum(PRICES.gain, axis=1)
    assert np.all(designed.cost >= least_cost() - 1e-9)
    above = (designed.cost - least_cost()) / worth
    assert np.max(above) < 0.07
    assert np.mean(above) < 0.03


@pytest.mark.parametrize("code", SCENARIO.codes)
def test_a_design_for_samples_is_better_on_other_samples_than_one_for_the_likely_case(code):
    fresh = rounds(sampled(1))
    ours = fresh.given(rounds(sampled(0)).designed(PLAIN, code, EVERYBODY).allocation)
    theirs = fresh.given(rounds(NOTHING).designed(PLAIN, code, EVERYBODY).allocation)
    assert np.mean(ours.cost) < np.mean(theirs.cost)


def test_a_design_tells_what_the_dynamics_make_of_it():
    designed = rounds(sampled(0)).designed(PLAIN, (0, 1), EVERYBODY)
    again = rounds(sampled(0)).given(designed.allocation)
    for ours, theirs in zip(designed[1:], again[1:], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    paid = PRICES.second * designed.duration_s + np.sum(PRICES.joule * designed.device_j, axis=1)
    # Batteries are full: every round is decoded, and counts all data.
    np.testing.assert_allclose(designed.weight, 1.0)
    np.testing.assert_allclose(designed.cost, paid + designed.noise - np.sum(PRICES.gain, axis=1))


def test_the_dearer_time_is_the_shorter_rounds_are():
    short = rounds(sampled(0), LINEAR._replace(second=10 * LINEAR.second)).designed(PLAIN, (0, 1), EVERYBODY)
    long = rounds(sampled(0)).designed(PLAIN, (0, 1), EVERYBODY)
    assert np.all(short.duration_s < long.duration_s)
    assert np.all(short.noise > long.noise)


def test_nobody_works_in_a_round_of_nobody():
    idle = rounds(sampled(0)).nobody(PLAIN)
    np.testing.assert_array_equal(idle.weight, 0.0)
    np.testing.assert_allclose(idle.duration_s, SCENARIO.radio.idle_s)
    np.testing.assert_allclose(idle.cost, PRICES.second * SCENARIO.radio.idle_s)
