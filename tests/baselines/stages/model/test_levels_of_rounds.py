"""The least cost of a round in which devices take part at one of several levels."""

import itertools

import numpy as np
import pytest

from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import (
    RoundCosts,
    at_levels,
    cheapest_rounds,
    device_costs,
    device_parts,
)
from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink

T, K, LEVELS, TOLERANCE = 3, 2, 3, 1e-7


def random_levels(rng: np.random.Generator, *, dissimilar: bool = False) -> RoundCosts:
    """Three levels of two devices; a higher one takes more and is worth more. One level is out of reach for one."""
    work, worth = np.array([1.0, 1.5, 2.0])[:, None], np.array([0.5, 0.8, 1.0])[:, None]
    each, both = np.ones((LEVELS, K)), (T, LEVELS * K)
    joule = np.exp(rng.uniform(-1, 2, (T, K)))
    noise_w = np.exp(rng.uniform(-8, -3, (T, K)))
    gain = rng.uniform(0.1, 0.6, (T, 1, K)) * worth
    gain[:, 2, 1] = -np.inf
    return RoundCosts(
        second=rng.uniform(0.05, 0.5, T),
        joule=np.tile(joule, (1, LEVELS)),
        gain=gain.reshape(both),
        noise=(worth * rng.uniform(0.1, 0.5, K)).ravel(),
        dissimilarity=rng.uniform(0, 0.1, (T, K)) if dissimilar else np.zeros((T, K)),
        devices=Processor(*(np.ravel(each * field) for field in (7.5e6 * work, 1e-27, 1e8, 1e9, 64))),
        uplink=Uplink(np.ravel(each * 0.5 * work), np.tile(noise_w, (1, LEVELS)), np.ravel(each * 0.2)),
        longest_s=50.0,
        sets=AllowedSets.all_of(T, K),
        num_levels=LEVELS,
    )


def every_choice() -> list[np.ndarray]:
    """Levels of both devices, from 0 on."""
    return [np.array(levels) for levels in itertools.product(range(LEVELS), repeat=K)]


@pytest.mark.parametrize("dissimilar", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_envelope_is_the_least_over_all_levels_tried_one_by_one(seed, dissimilar):
    costs = random_levels(np.random.default_rng(seed), dissimilar=dissimilar)
    found, rounds = cheapest_rounds(costs, TOLERANCE, 0.0), np.arange(T)
    single = [at_levels(costs, rounds, np.tile(level, (T, 1))) for level in every_choice()]
    least = np.min([cheapest_rounds(each, TOLERANCE, 0.0).least for each in single], axis=0)
    np.testing.assert_allclose(found.least, least, rtol=0, atol=1e-4)
    assert np.all(found.least <= least + 2 * TOLERANCE)


@pytest.mark.parametrize("seed", range(4))
def test_ways_tell_the_levels_with_which_they_cost_so_little(seed):
    costs = random_levels(np.random.default_rng(seed))
    found = cheapest_rounds(costs, TOLERANCE, 0.3)
    assert len(np.unique(np.column_stack([found.round_index, found.participates * (1 + found.level)]), axis=0)) == len(
        found.round_index
    )
    assert not np.any(found.participates[:, 1] & (found.level[:, 1] == 2))
    at, every = at_levels(costs, found.round_index, found.level), np.arange(len(found.round_index))
    finish = np.take_along_axis(found.finish, found.level * K + np.arange(K), axis=1)
    parts = device_parts(at, every, finish)
    seconds = np.max(np.where(found.participates, parts.finish_s, 0.0), axis=1)
    own = at.noise / parts.batch + at.joule * parts.energy_j - at.gain
    cost = at.second * seconds + np.sum(np.where(found.participates, own, 0.0), axis=1)
    first = np.searchsorted(found.round_index, np.arange(T))
    np.testing.assert_allclose(cost[first], found.least, atol=2e-2)
    assert np.all(cost >= found.least[found.round_index] - 1e-6)


def test_what_devices_do_is_what_their_least_cost_is_made_of():
    costs = random_levels(np.random.default_rng(0))._replace(num_levels=1)
    finish, rounds = np.full((T, LEVELS * K), 0.05), np.arange(T)
    parts, least = device_parts(costs, rounds, finish), device_costs(costs, rounds, finish)
    total = costs.noise / parts.batch + costs.joule * parts.energy_j + finish * parts.finish_s
    np.testing.assert_allclose(total, least.cost, rtol=1e-12)
    by_round = costs._replace(noise=np.tile(costs.noise, (T, 1)))
    np.testing.assert_array_equal(device_costs(by_round, rounds, finish).cost, least.cost)


def test_where_nobody_may_take_part_there_is_no_way():
    costs = random_levels(np.random.default_rng(0))
    nobody = AllowedSets(costs.sets.must, costs.sets.must)
    found = cheapest_rounds(costs._replace(gain=np.full_like(costs.gain, -np.inf), sets=nobody), TOLERANCE, 0.0)
    assert np.all(found.least == np.inf)
    assert not len(found.round_index)
