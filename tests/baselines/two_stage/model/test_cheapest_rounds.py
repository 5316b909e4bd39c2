"""The least cost of a round: below everything that can be played, and no lower than it has to be."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from random_scenarios import random_scenario, random_tape, seeds

from edgelearn_env.baselines.two_stage.model.cheapest_rounds import (
    CheapestRounds,
    RoundCosts,
    cheapest_rounds,
    device_costs,
)
from edgelearn_env.baselines.two_stage.model.hardware import device_processors, uplinks

TOLERANCE = 1e-6


def random_costs(rng: np.random.Generator, *, everyone: bool = False, dissimilar: bool = False) -> RoundCosts:
    """Prices of a kind at which some devices take part and some do not, on a random system with a failing channel."""
    scenario = random_scenario(rng, max_rounds=6)
    tape = random_tape(rng, scenario)
    shape = tape.channel_gain.shape
    gain = tape.channel_gain * np.where(rng.random(shape) < 0.1, 1e-4, 1.0)
    uplink = uplinks(scenario, gain)
    typical_s = np.median(uplink.least_s) * 3
    gains = rng.uniform(0.05, 1.0, shape)
    return RoundCosts(
        second=rng.uniform(0.1, 2.0, shape[0]) / typical_s,
        joule=np.exp(rng.uniform(-3, 3, shape)),
        gain=gains,
        noise=rng.uniform(0.01, 0.5, shape[1]),
        dissimilarity=rng.uniform(0, 0.2, shape[1]) if dissimilar else np.zeros(shape[1]),
        devices=device_processors(scenario),
        uplink=uplink,
        longest_s=50 * typical_s,
        everyone=everyone,
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
    total = total + costs.dissimilarity[np.sum(participates, axis=1) - 1]
    return np.where(duration_s <= costs.longest_s, total, np.inf)


@pytest.mark.parametrize("dissimilar", [False, True])
@given(seed=seeds)
def test_nothing_that_can_be_played_costs_less(dissimilar, seed):
    rng = np.random.default_rng(seed)
    costs = random_costs(rng, dissimilar=dissimilar)
    found, devices = cheapest_rounds(costs, TOLERANCE, 0.0), costs.devices
    num_ways, num_devices = 400, costs.joule.shape[1]
    for row in range(len(found.least)):
        shape = (num_ways, num_devices)
        participates = rng.random(shape) < rng.uniform(0.2, 1.0)
        participates[np.arange(num_ways), rng.integers(num_devices, size=num_ways)] = True
        freq_hz = devices.freq_min_hz * (devices.freq_max_hz / devices.freq_min_hz) ** rng.random(shape)
        batch, power_w = devices.batch_max ** rng.random(shape), costs.uplink.power_max_w * 10 ** rng.uniform(-6, 0, shape)
        assert np.all(cost_of(costs, row, batch, freq_hz, power_w, participates) >= found.least[row] - 1e-12)


def least_of_all_sets(costs: RoundCosts, row: int) -> float:
    """min over nonempty sets of the dual maximum over finish prices that sum to a second's, on a fine grid of times."""
    num_devices = costs.joule.shape[1]
    price = costs.second[row] * np.geomspace(1e-6, 1.0, 4000)
    rows = np.full(len(price), row)
    known = device_costs(costs, rows, np.repeat(price[:, None], num_devices, axis=1)).cost
    duration_s = np.geomspace(np.min(costs.uplink.least_s[row]), float(costs.longest_s), 3000)
    # cost_k(d) = max over p of C_k(p) - p d.
    own = np.stack([np.max(known[:, k] - duration_s[:, None] * price, axis=1) for k in range(num_devices)], axis=1)
    own -= costs.gain[row]
    sets = [list(chosen) for n in range(1, num_devices + 1) for chosen in itertools.combinations(range(num_devices), n)]
    if costs.everyone:
        sets = sets[-1:]
    return min(
        float(np.min(costs.second[row] * duration_s + own[:, chosen].sum(axis=1))) + costs.dissimilarity[len(chosen) - 1]
        for chosen in sets
    )


@pytest.mark.parametrize(("everyone", "dissimilar"), [(False, False), (False, True), (True, False)])
@settings(max_examples=15)
@given(seed=seeds)
def test_the_bound_is_the_least_over_all_sets_and_durations(everyone, dissimilar, seed):
    costs = random_costs(np.random.default_rng(seed), everyone=everyone, dissimilar=dissimilar)
    found = cheapest_rounds(costs, TOLERANCE, 0.0)
    for row in range(len(found.least)):
        expected = least_of_all_sets(costs, row)
        assert found.least[row] <= expected + 1e-9
        assert found.least[row] >= expected - 1e-3 * (abs(expected) + 0.1)


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
    assert len({(t, tuple(part)) for t, part in zip(rounds.tolist(), found.participates.tolist(), strict=True)}) == len(rounds)


def test_everyone_may_have_to_take_part(rng):
    costs = random_costs(rng, everyone=True)
    found = cheapest_rounds(costs, TOLERANCE, 0.0)
    assert found.participates.all()
    free = cheapest_rounds(costs._replace(everyone=False), TOLERANCE, 0.0)
    assert np.all(free.least <= found.least + TOLERANCE)
