"""Mixtures of kinds of rounds: their value, and what their prices say."""

import numpy as np
import pytest

from edgelearn_env.baselines.gradient_coding.policies.mean_plan import MeanPrices, mean_plan
from edgelearn_env.baselines.priced.records import PretrainPlan, RoundPlans
from edgelearn_env.baselines.stages.model.planned_episode import PlanStart

START = PlanStart(100.0, 50.0, np.array([5.0, 5.0]), None)
NO_HARVEST = np.zeros(2)
SO_FAR = PretrainPlan(10.0, 1.0, 0.0, 0.0, NO_HARVEST)


def kinds(*rows: tuple[float, float, float, float]) -> RoundPlans:
    """Of noise, weight, seconds, and joules of either device."""
    noise, weight, seconds, joules = np.array(rows).T
    return RoundPlans(
        round_index=np.zeros(len(rows), dtype=int),
        numerator=noise,
        weight=weight,
        duration_s=seconds,
        shared_j=np.zeros(len(rows)),
        device_j=np.column_stack([joules, joules]),
        roles=np.ones((len(rows), 2), dtype=int),
    )


def test_one_kind_is_played_as_often_as_time_allows_and_time_is_worth_what_a_second_more_brings():
    found = mean_plan(START, NO_HARVEST, 1000, [SO_FAR], [0], kinds((0.2, 1.0, 4.0, 0.1)))
    assert found.rounds == pytest.approx([25.0])
    assert found.prices.phi == pytest.approx((10 + 25 * 0.2) / (1 + 25))
    assert found.prices.second == pytest.approx((found.prices.phi - 0.2) / 4, rel=1e-6)
    assert found.prices.joule < 1e-3 * found.prices.second


def test_a_mixture_uses_what_is_short_and_no_kind_in_it_gains_at_its_prices():
    fast, thrifty = (0.2, 1.0, 2.0, 0.4), (0.2, 1.0, 8.0, 0.05)
    both = kinds(fast, thrifty)
    found = mean_plan(START, NO_HARVEST, 1000, [SO_FAR], [0], both)
    assert np.all(found.rounds > 1)
    assert found.rounds @ both.duration_s == pytest.approx(100.0)
    assert found.rounds @ both.device_j[:, 0] == pytest.approx(5.0)
    second, joule, charge, phi = found.prices
    paid = both.numerator + second * both.duration_s + both.device_j @ (joule + charge)
    np.testing.assert_allclose(paid, phi * both.weight, rtol=1e-4)
    for alone in (fast, thrifty):
        assert mean_plan(START, NO_HARVEST, 1000, [SO_FAR], [0], kinds(alone)).prices.phi > phi


def test_harvest_and_rounds_count():
    kind = kinds((0.2, 1.0, 2.0, 0.4))
    few = mean_plan(START, NO_HARVEST, 1000, [SO_FAR], [0], kind).rounds
    assert few == pytest.approx([5.0 / 0.4])
    assert mean_plan(START, np.array([0.1, 0.1]), 1000, [SO_FAR], [0], kind).rounds == pytest.approx([5.0 / 0.2])
    assert mean_plan(START, NO_HARVEST, 3, [SO_FAR], [0], kind).rounds == pytest.approx([3.0])
    assert mean_plan(START, NO_HARVEST, 8, [SO_FAR], [6], kind).rounds == pytest.approx([2.0])


def test_the_better_way_to_pretrain_is_taken():
    dear, cheap = SO_FAR._replace(numerator=5.0, duration_s=96.0), SO_FAR._replace(numerator=6.0, duration_s=20.0)
    found = mean_plan(START, NO_HARVEST, 1000, [SO_FAR, dear, cheap], [0, 30, 20], kinds((0.2, 1.0, 4.0, 0.1)))
    assert found.pretraining == pytest.approx([0.0, 0.0, 1.0])
    assert found.rounds == pytest.approx([20.0])


def test_prices_move_no_further_than_they_may_but_phi_does():
    old = MeanPrices(1.0, 2.0, np.array([1.0, 4.0]), 3.0)
    moved = old.moved_to(MeanPrices(9.0, 2.1, np.array([0.0, 4.0]), 0.1), 1.5)
    assert (moved.second, moved.joule, moved.phi) == (1.5, 2.1, 0.1)
    np.testing.assert_allclose(moved.charge, [1 / 1.5, 4.0])
