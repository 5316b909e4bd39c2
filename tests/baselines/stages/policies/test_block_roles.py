"""What devices do in blocks of rounds, at the prices of a plan."""

import numpy as np
import pytest

from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts, cheapest_rounds
from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.policies.block_roles import PlanPrices, heaviest_roles

NOT_NEXT, NEXT, AMPLE = np.array([False]), np.array([True]), np.full(2, 1e3)


def costs_of(gains: list[list[float]], joule: float = 1e-3) -> RoundCosts:
    """A round of two devices; a level takes as much more as it is higher, and is worth `gains`, by level and device."""
    levels = len(gains)
    work, each = np.repeat(np.arange(1.0, levels + 1), 2), np.ones(2 * levels)
    return RoundCosts(
        second=np.array([0.1]),
        joule=joule * each[None],
        gain=np.ravel(gains)[None],
        noise=0.1 * each,
        dissimilarity=np.zeros((1, 2)),
        devices=Processor(
            1e7 * work, np.full(2 * levels, 1e-27), np.full(2 * levels, 1e8), np.full(2 * levels, 1e9), 64.0
        ),
        uplink=Uplink(0.3 * work, 1e-3 * each[None], 0.2 * each),
        longest_s=50.0,
        sets=AllowedSets.all_of(1, 2),
        num_levels=levels,
    )


@pytest.mark.parametrize("gains", [[[0.3, 0.3], [0.9, 0.3]], [[0.3, 0.3], [0.31, 0.9]], [[0.3, 0.3], [0.9, 0.9]]])
def test_levels_are_those_that_cost_least(gains):
    costs = costs_of(gains)
    found = cheapest_rounds(costs, 1e-6, 0.0)
    roles = heaviest_roles(costs, np.full(2, 0.5), AMPLE, NOT_NEXT).level
    np.testing.assert_array_equal(roles[0], 1 + found.level[0])


def test_who_is_nearly_worth_it_takes_part():
    costs = costs_of([[0.3, 1e-3], [0.9, 2e-3]])
    assert not cheapest_rounds(costs, 1e-6, 0.0).participates[0, 1]
    assert heaviest_roles(costs, np.full(2, 0.5), AMPLE, NOT_NEXT).level[0, 1] > 0


def test_a_level_that_is_out_of_reach_is_not_chosen():
    roles = heaviest_roles(costs_of([[0.3, 0.3], [-np.inf, 0.9]]), np.full(2, 0.5), AMPLE, NOT_NEXT).level
    np.testing.assert_array_equal(roles, [[1, 2]])


def test_in_the_next_round_nobody_does_more_than_a_battery_covers():
    costs = costs_of([[0.3, 0.3], [0.9, 0.9], [2.0, 2.0]])
    charges = np.geomspace(1e-6, 1.0, 60)
    roles = np.array(
        [heaviest_roles(costs, np.full(2, 0.5), np.array([charge, 1e3]), NEXT).level[0] for charge in charges]
    )
    assert np.all(np.diff(roles[:, 0]) >= 0)
    assert set(roles[:, 0]) == {0, 1, 2, 3}
    assert np.all(roles[:, 1] == 3)


def test_if_no_battery_covers_anything_one_device_takes_part_at_its_first_level():
    costs = costs_of([[-np.inf, 0.3], [-np.inf, 0.9]])
    costs = costs._replace(sets=costs.sets._replace(may=np.array([[False, True]])))
    np.testing.assert_array_equal(heaviest_roles(costs, np.full(2, 0.5), np.zeros(2), NEXT).level, [[0, 1]])


def test_prices_go_a_share_of_the_way_towards_others():
    here, there = (PlanPrices(s, s, np.array([s, 4 * s]), s) for s in (1.0, 4.0))
    halfway = here.towards(there, 0.5)
    np.testing.assert_allclose([halfway.second, halfway.joule, *halfway.charge], [2.0, 2.0, 2.0, 8.0])
    assert halfway.value == there.value
