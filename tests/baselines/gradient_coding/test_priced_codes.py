"""Rounds with codes as the engine of priced rounds is told of them."""

import numpy as np
import pytest
from random_codings import small_random_coding

from edgelearn_env import sample_tape
from edgelearn_env.baselines.gradient_coding.priced_codes import PricedCodes
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED

TOLERANCE = 1e-7


def test_plans_cost_at_their_prices_what_their_rounds_cost_at_least():
    coded_rounds = 0
    for seed in range(12):
        scenario = small_random_coding(np.random.default_rng(seed))
        system = PricedCodes(scenario, sample_tape(scenario, seed), UNRESTRICTED)
        prices, phi, *_ = system.first_guess()
        # Charges cost nothing here, so the costs of a round stand in its own plan.
        prices = prices._replace(carry=0 * prices.carry, pay=0 * prices.pay)
        found = system.rounds(prices, phi, TOLERANCE, system.sets)
        plans = found.plans
        joules = plans.shared_j + np.sum(plans.device_j, axis=1)
        cost = plans.numerator - phi * plans.weight + prices.time * plans.duration_s + prices.energy * joules
        least = np.full(len(found.least_active), np.inf)
        np.minimum.at(least, plans.round_index, cost)
        assert np.all(least >= found.least_active - 1e-9)
        # Of rounds without a code the bound may stay below.
        of_code = np.flatnonzero((cost == least[plans.round_index]) & np.any(plans.roles > 1, axis=1))
        coded = plans.round_index[of_code]
        np.testing.assert_allclose(least[coded], found.least_active[coded], rtol=1e-6, atol=1e-6)
        coded_rounds += len(coded)
    assert coded_rounds >= 15


@pytest.mark.parametrize("seed", range(3))
def test_a_round_that_may_have_a_code_costs_no_more_than_one_without(seed):
    scenario = small_random_coding(np.random.default_rng(seed))
    tape = sample_tape(scenario, seed)
    plain = scenario.replace(coding={"stored_edge_stragglers": 0, "stored_device_stragglers": 0})
    system = PricedCodes(scenario, tape, UNRESTRICTED)
    prices, phi, *_ = system.first_guess()
    least, without = (
        each.rounds(prices, phi, TOLERANCE, each.sets).least_active
        for each in (system, PricedCodes(plain, tape, UNRESTRICTED))
    )
    assert np.all(least <= without + 1e-6)
