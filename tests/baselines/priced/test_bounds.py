"""Priced rounds: bounds hold for everything that can be played, at any prices; plans and prices belong together."""

import numpy as np
import pytest
from hypothesis import given
from random_scenarios import seeds
from small_systems import copies, many_ways, random_system

from edgelearn_env.baselines.priced.bounds import bounds_of_all_pairs
from edgelearn_env.baselines.priced.master import combined
from edgelearn_env.baselines.priced.records import PricedSystem, Prices, RoundPlans
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout

ROUNDING = 1e-9
TOLERANCE = 1e-6


def random_prices(rng: np.random.Generator, system: PricedSystem, worth: float) -> Prices:
    """Prices at which everything that there is is worth about as much as a bound; some of them 0."""
    setting = system.setting

    def some(shape, limit):
        return rng.exponential(size=shape) * (rng.random(shape) < 0.7) * worth / limit

    time, energy = (float(some((), limit)) for limit in (setting.delay_s, setting.energy_j))
    num_rounds, num_devices = setting.harvest_w.shape
    capacity_j = 10 * setting.battery_capacity_j
    carry, pay = (some((length, num_devices), capacity_j) for length in (num_rounds + 1, num_rounds))
    return Prices(time, energy, time, energy, carry, pay).lifted(setting, 1e-9 * worth)


def lagrangian_parts(scenario: Scenario, trajectory) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A and W of played episodes, floors apart; M, and e: the first round after which nobody took part any more."""
    terms = trajectory.final_state.bound_terms
    done = scenario.bound.quotient_form(0, type(terms)(*(np.asarray(term) for term in terms)))
    return done.constant, done.total_weight(0.0), terms.num_pretrain_rounds, trajectory.final_state.round_index


@given(seeds)
def test_no_episode_is_below_the_bounds_at_any_prices(seed):
    rng = np.random.default_rng(seed)
    scenario, tape = random_system(seed, longest=8)
    played = rollout(scenario, copies(tape, 60), many_ways(rng, scenario, 60, whole=False))
    numerator, weight, num_pretrain, end = lagrangian_parts(scenario, played)
    system = PricedEpisode(scenario, tape, UNRESTRICTED)
    for _ in range(3):
        phi = float(np.median(played.objective) * rng.uniform(0.3, 1.5))
        prices = random_prices(rng, system, float(np.median(numerator)))
        bounds = bounds_of_all_pairs(system, prices, phi, system.rounds(prices, phi, TOLERANCE, system.sets))
        least = bounds[num_pretrain.astype(int), end]
        took_part = np.asarray(played.final_state.bound_terms.participation) > 0
        value = numerator - phi * weight
        assert np.all(value[took_part] >= (least - ROUNDING * np.abs(numerator))[took_part])
        alone = bounds[num_pretrain.astype(int), num_pretrain.astype(int)]
        assert np.all(value[~took_part] >= (alone - ROUNDING * np.abs(numerator))[~took_part])


def test_prices_that_are_no_number_count_as_none(tiny):
    system = PricedEpisode(tiny, sample_tape(tiny, seed=0), UNRESTRICTED)
    guess = system.first_guess()
    pay, nothing = guess.prices.pay.copy(), guess.prices.pay.copy()
    pay[3, 1], pay[4, 0], nothing[3:5, :2] = np.nan, np.inf, 0.0
    broken, mended = guess.prices._replace(time=float("nan"), pay=pay), guess.prices._replace(time=0.0, pay=nothing)
    for one, other in zip(broken.lifted(system.setting, 1e-9), mended.lifted(system.setting, 1e-9), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_a_full_battery_cannot_take_has_no_price(tiny):
    # Batteries that begin full hold the same however long pre-training takes: harvest before it ends proves nothing.
    full = tiny.replace(energy={"battery_initial_j": tiny.energy.battery_capacity_j})
    tape = sample_tape(full, seed=0)
    system = PricedEpisode(full, tape, UNRESTRICTED)
    guess = system.first_guess()
    prices = guess.prices._replace(carry=guess.prices.carry + 50 * guess.prices.energy)
    dark = PricedEpisode(full, tape._replace(harvest_w=0 * tape.harvest_w), UNRESTRICTED)
    np.testing.assert_allclose(system.pretraining(prices, guess.phi), dark.pretraining(prices, guess.phi), rtol=1e-12)
    half = PricedEpisode(tiny, tape, UNRESTRICTED).pretraining(prices, guess.phi)
    assert np.all(half[5:] > system.pretraining(prices, guess.phi)[5:])


def test_prices_beyond_their_rounds_keep_those_within(tiny):
    rng = np.random.default_rng(0)
    system = PricedEpisode(tiny, sample_tape(tiny, seed=0), UNRESTRICTED)
    prices = random_prices(rng, system, 1.0)
    beyond = prices.beyond(5, 12)
    np.testing.assert_array_equal(beyond.carry[6:12], prices.carry[6:12])
    np.testing.assert_array_equal(beyond.pay, prices.pay)
    np.testing.assert_array_equal(beyond.carry[:6], np.tile(np.maximum(*prices.carry[5:7]), (6, 1)))
    np.testing.assert_allclose(beyond.carry[12:], np.tile(beyond.carry[5:12].mean(axis=0), (len(beyond.carry) - 12, 1)))


@pytest.mark.parametrize("everyone", [True, False])
def test_a_plan_s_own_multipliers_prove_that_no_plan_with_its_participants_is_better(everyone):
    proven = 0
    for seed in range(12):
        scenario, tape = random_system(seed, longest=6, num_devices=2)
        if scenario.server.batch_max == 1 and np.all(scenario.devices.batch_max == 1):
            continue
        system = PricedEpisode(scenario, tape, Restriction(everyone=True))
        found = system.planned(1, np.ones((2, 2), dtype=bool)) if len(tape.harvest_w) >= 3 else None
        if found is None or found.prices is None:
            continue
        free = PricedEpisode(scenario, tape, Restriction(everyone=everyone))
        rounds = free.rounds(found.prices, found.value, 1e-9, free.sets)
        bounds = bounds_of_all_pairs(free, found.prices, found.value, rounds)
        size = found.value * found.pretraining.weight + found.value * float(np.sum(found.rounds.weight)) + 1e-12
        if everyone:
            assert bounds[1, 3] == pytest.approx(0.0, abs=2e-5 * size)
        else:
            assert bounds[1, 3] <= 2e-5 * size
        proven += 1
    assert proven >= 4


def test_what_a_plan_s_rounds_come_to_is_its_value():
    for seed in range(8):
        scenario, tape = random_system(seed, longest=6)
        system = PricedEpisode(scenario, tape, UNRESTRICTED)
        participates = np.random.default_rng(seed).random((2, scenario.num_devices)) < 0.7
        participates[-1, 0] = True
        found = system.planned(1, participates)
        if found is None:
            continue
        numerator = found.pretraining.numerator + np.sum(found.rounds.numerator)
        weight = found.pretraining.weight + np.sum(found.rounds.weight)
        assert numerator / weight == pytest.approx(found.value, rel=1e-9)
        assert found.pretraining.duration_s + np.sum(found.rounds.duration_s) <= scenario.budgets.delay_s * (1 + 1e-6)


def test_the_combination_of_one_plan_is_that_plan():
    compared = 0
    for seed in range(10):
        scenario, tape = random_system(seed, longest=6)
        system = PricedEpisode(scenario, tape, UNRESTRICTED)
        found = system.planned(0, np.ones((2, scenario.num_devices), dtype=bool)) if len(tape.harvest_w) > 1 else None
        if found is None:
            continue
        phi = 0.9 * found.value
        master = combined(system.setting, phi, [found.pretraining], found.rounds, 0, 2)
        weight = found.pretraining.weight + float(np.sum(found.rounds.weight))
        assert master is not None
        assert master.value == pytest.approx((found.value - phi) * weight, rel=1e-4)
        np.testing.assert_allclose(master.shares, 1.0, rtol=1e-9)
        compared += 1
    assert compared >= 3


def test_prices_of_a_combination_prove_no_more_than_its_value():
    compared = 0
    for seed in range(8):
        scenario, tape = random_system(seed, shortest=4, longest=6)
        system = PricedEpisode(scenario, tape, UNRESTRICTED)
        guess = system.first_guess()
        prices, phi, plans = guess.prices.lifted(system.setting, 1e-9), guess.phi, [system.idle_rounds()]
        for _ in range(4):
            plans.append(system.rounds(prices, phi, TOLERANCE, system.sets).plans)
            every = RoundPlans(*(np.concatenate(arrays) for arrays in zip(*plans, strict=True)))
            master = combined(system.setting, phi, [system.pretraining_plan(prices, 0)], every, 0, len(tape.harvest_w))
            assert master is not None
            prices = prices.mixed(master.prices, 0.5).lifted(system.setting, 1e-9)
            bounds = bounds_of_all_pairs(system, prices, phi, system.rounds(prices, phi, TOLERANCE, system.sets))
            assert bounds[0, -1] <= master.value + 1e-6 * (abs(master.value) + 1)
            compared += 1
    assert compared == 32
