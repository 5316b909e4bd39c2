"""The least cost of a round: below everything that can be played, and no lower than it has to be."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from random_scenarios import random_scenario, random_tape, seeds

from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import (
    CheapestRounds,
    RoundCosts,
    cheapest_rounds,
    device_costs,
)
from edgelearn_env.baselines.stages.model.hardware import device_processors, uplinks

TOLERANCE = 1e-6


def random_costs(rng: np.random.Generator, *, decided: float = 0.0, dissimilar: bool = False) -> RoundCosts:
    """Prices at which some devices take part and some do not, on a random system with a failing channel.

    `decided` is the chance of each device in each round that it has to take part, or else may not.
    """
    scenario = random_scenario(rng, max_rounds=6)
    tape = random_tape(rng, scenario)
    shape = tape.channel_gain.shape
    gain = tape.channel_gain * np.where(rng.random(shape) < 0.1, 1e-4, 1.0)
    uplink = uplinks(scenario, gain)
    typical_s = np.median(uplink.least_s) * 3
    gains = rng.uniform(0.05, 1.0, shape)
    draw = rng.random(shape)
    return RoundCosts(
        second=rng.uniform(0.1, 2.0, shape[0]) / typical_s,
        joule=np.exp(rng.uniform(-3, 3, shape)),
        gain=gains,
        noise=rng.uniform(0.01, 0.5, shape[1]),
        dissimilarity=rng.uniform(0, 0.2, shape) if dissimilar else np.zeros(shape),
        devices=device_processors(scenario),
        uplink=uplink,
        longest_s=50 * typical_s,
        sets=AllowedSets(must=draw < decided / 2, may=draw < 1 - decided / 2),
    )


def cost_of(costs: RoundCosts, row: int, batch, freq_hz, power_w, participates) -> np.ndarray:
    """What rounds cost in which devices do this, (n, K) each: the definition, without closed forms."""
    devices, uplink = costs.devices, costs.uplink
    upload_s = uplink.nats_s / np.log1p(power_w / uplink.noise_w[row])
    finish_s = devices.cycles_per_sample * batch / freq_hz + upload_s
    computed_j = devices.capacitance_j_s2 * devices.cycles_per_sample * batch * freq_hz**2
    own = costs.noise / batch + costs.joule[row] * (computed_j + power_w * upload_s) - costs.gain[row]
    duration_s = np.max(np.where(participates, finish_s, 0.0), axis=1)
    total = costs.second[row] * duration_s + np.sum(np.where(participates, own, 0.0), axis=1)
    total = total + costs.dissimilarity[row, np.sum(participates, axis=1) - 1]
    allowed = np.all((participates | ~costs.sets.must[row]) & (costs.sets.may[row] | ~participates), axis=1)
    return np.where(allowed & (duration_s <= costs.longest_s), total, np.inf)


@pytest.mark.parametrize(("decided", "dissimilar"), [(0.0, False), (0.3, False), (0.0, True), (0.3, True)])
@given(seed=seeds)
def test_nothing_that_can_be_played_costs_less(decided, dissimilar, seed):
    rng = np.random.default_rng(seed)
    costs = random_costs(rng, decided=decided, dissimilar=dissimilar)
    found, devices = cheapest_rounds(costs, TOLERANCE, 0.0), costs.devices
    num_ways, num_devices = 400, costs.joule.shape[1]
    for row in range(len(found.least)):
        shape = (num_ways, num_devices)
        participates = rng.random(shape) < rng.uniform(0.2, 1.0)
        participates[np.arange(num_ways), rng.integers(num_devices, size=num_ways)] = True
        freq_hz = devices.freq_min_hz * (devices.freq_max_hz / devices.freq_min_hz) ** rng.random(shape)
        batch = devices.batch_max ** rng.random(shape)
        power_w = costs.uplink.power_max_w * 10 ** rng.uniform(-6, 0, shape)
        assert np.all(cost_of(costs, row, batch, freq_hz, power_w, participates) >= found.least[row] - 1e-12)


NUM_DURATIONS, NUM_PRICES = 150, 2000


def least_of_all_sets(costs: RoundCosts, row: int) -> float:
    """min over nonempty sets and durations, each device at the best finish price for the duration, on grids."""
    num_devices = costs.joule.shape[1]
    price = costs.second[row] * np.geomspace(1e-6, 1.0, NUM_PRICES)
    known = device_costs(costs, np.full(NUM_PRICES, row), np.repeat(price[:, None], num_devices, axis=1)).cost

    def total(duration_s: np.ndarray, chosen: list[int]) -> np.ndarray:
        # cost_k(d) = max over p of C_k(p) - p d.
        own = [np.max(known[:, k] - duration_s[:, None] * price, axis=1) - costs.gain[row, k] for k in chosen]
        return costs.second[row] * duration_s + np.sum(own, axis=0) + costs.dissimilarity[row, len(chosen) - 1]

    def least(chosen: list[int]) -> float:
        """It is convex in the duration: what is least on a coarse grid is near what is least."""
        coarse_s = np.geomspace(np.min(costs.uplink.least_s[row]), float(costs.longest_s), NUM_DURATIONS)
        best = int(np.clip(np.argmin(total(coarse_s, chosen)), 1, NUM_DURATIONS - 2))
        fine_s = np.geomspace(coarse_s[best - 1], coarse_s[best + 1], NUM_DURATIONS)
        return float(np.min(total(fine_s, chosen)))

    sets = [list(chosen) for n in range(1, num_devices + 1) for chosen in itertools.combinations(range(num_devices), n)]
    must, may = (set(np.flatnonzero(those[row])) for those in (costs.sets.must, costs.sets.may))
    return min((least(chosen) for chosen in sets if must <= set(chosen) <= may), default=np.inf)


@pytest.mark.parametrize(("decided", "dissimilar"), [(0.0, False), (0.0, True), (0.4, False), (0.4, True)])
@settings(max_examples=8)
@given(seed=seeds)
def test_the_bound_is_the_least_over_all_sets_and_durations(decided, dissimilar, seed):
    costs = random_costs(np.random.default_rng(seed), decided=decided, dissimilar=dissimilar)
    found = cheapest_rounds(costs, TOLERANCE, 0.0)
    for row in range(len(found.least)):
        expected = least_of_all_sets(costs, row)
        if expected == np.inf:
            assert found.least[row] == np.inf
            continue
        # As far as grids can tell.
        size = costs.second[row] * float(np.max(costs.uplink.least_s[row])) + abs(expected) + 1
        assert found.least[row] == pytest.approx(expected, abs=TOLERANCE + 3e-4 * size)


def first_ways(found: CheapestRounds) -> np.ndarray:
    """The row of the first way of each round."""
    return np.searchsorted(found.round_index, np.arange(len(found.least)))


@given(seed=seeds)
def test_the_first_way_of_a_round_costs_about_the_least_and_others_no_more_than_was_asked_for(seed):
    costs = random_costs(np.random.default_rng(seed))
    spread = 0.1
    found = cheapest_rounds(costs, TOLERANCE, spread)
    rounds = found.round_index
    least = device_costs(costs, rounds, found.finish)
    own = np.where(found.participates, least.cost - found.finish * least.seconds - costs.gain[rounds], 0.0)
    duration_s = np.max(np.where(found.participates, least.seconds, 0.0), axis=1)
    total = costs.second[rounds] * duration_s + np.sum(own, axis=1)
    assert np.all(total >= found.least[rounds] - 1e-12)
    first = first_ways(found)
    np.testing.assert_array_equal(rounds[first], np.arange(len(found.least)))
    np.testing.assert_allclose(total[first], found.least, atol=2e-2 * (np.abs(found.least) + 0.1).max())
    assert len(np.unique(np.column_stack([rounds, found.participates]), axis=0)) == len(rounds)


def test_everyone_may_have_to_take_part(rng):
    free = random_costs(rng)
    everyone = free._replace(sets=AllowedSets(must=free.sets.may, may=free.sets.may))
    found = cheapest_rounds(everyone, TOLERANCE, 0.0)
    assert found.participates.all()
    assert np.all(cheapest_rounds(free, TOLERANCE, 0.0).least <= found.least + TOLERANCE)


def test_a_round_that_nobody_may_take_part_in_cannot_be_had(rng):
    free = random_costs(rng)
    may = free.sets.may.copy()
    may[1] = False
    found = cheapest_rounds(free._replace(sets=free.sets._replace(may=may)), TOLERANCE, 0.1)
    assert found.least[1] == np.inf
    assert not np.any(found.round_index == 1)
    others = np.arange(len(may)) != 1
    np.testing.assert_array_equal(found.least[others], cheapest_rounds(free, TOLERANCE, 0.1).least[others])
