"""The bound on what a round's unlike data costs, against every set and every level tried one by one."""

import itertools

import numpy as np
import pytest

from edgelearn_env.baselines.stages.model.unlike_data import UnlikeData, least_cost, least_sum
from edgelearn_env.stages.bounds import dissimilarity_share


def true_cost(unlike: UnlikeData, by_level: np.ndarray, roles: tuple[int, ...]) -> float:
    """Of one round, (l, K), with these numbers of blocks."""
    costs = [by_level[role - 1, k] for k, role in enumerate(roles) if role]
    omega = [sum(unlike.weight[k] for k, role in enumerate(roles) if role > q) for q in range(len(by_level))]
    return sum(costs) + float(unlike.block_price @ dissimilarity_share(np.array(omega)))


def least_of_all(unlike: UnlikeData, must: np.ndarray, may: np.ndarray, by_level: np.ndarray) -> float:
    """Over all sets that may be, but none, and all levels."""
    num_levels, num_devices = by_level.shape
    choices = [[*([] if must[k] else [0]), *(range(1, num_levels + 1) if may[k] else [])] for k in range(num_devices)]
    return min(true_cost(unlike, by_level, roles) for roles in itertools.product(*choices) if any(roles))


def random_case(rng: np.random.Generator, num_levels: int, num_devices: int) -> tuple:
    """Weights, prices, sets and costs; costs of an order with prices, so that it is not plain who takes part."""
    weight = rng.dirichlet(np.full(num_devices, rng.choice([0.5, 5.0])))
    unlike = UnlikeData(weight, rng.exponential(1.0, num_levels))
    may = rng.random(num_devices) < 0.85
    may[rng.integers(num_devices)] = True
    must = may & (rng.random(num_devices) < 0.15)
    by_level = rng.normal(0.0, rng.choice([0.1, 0.5, 1.0]), (num_levels, num_devices))
    by_level[1:, rng.random(num_devices) < 0.2] = np.inf
    return unlike, must, may, by_level


@pytest.mark.parametrize("num_levels", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_no_set_costs_less_and_one_that_is_named_costs_little_more(num_levels, seed):
    rng = np.random.default_rng(seed)
    excess = []
    for _ in range(10):
        unlike, must, may, by_level = random_case(rng, num_levels, 4)
        found = least_cost(unlike, must[None], may[None], by_level[None])
        least = least_of_all(unlike, must, may, by_level)
        assert found.cost[0] <= least + 1e-12
        assert np.all(found.participates[0] >= must)
        assert np.all(found.participates[0] <= may)
        roles = np.where(found.participates[0], found.level[0] + 1, 0)
        excess.append(true_cost(unlike, by_level, tuple(roles)) - least)
    assert min(excess) >= -1e-12
    assert np.median(excess) <= 1e-9


def test_with_small_weights_the_bound_comes_near_the_least_cost():
    rng = np.random.default_rng(0)
    unlike = UnlikeData(np.full(12, 1 / 12), np.array([1.0]))
    must, may, lacks = np.zeros((1, 12), dtype=bool), np.ones((1, 12), dtype=bool), []
    for _ in range(50):
        cost = np.sort(rng.normal(0.0, 0.2, 12))
        numbers = np.arange(1, 13)
        least = np.min(np.cumsum(cost) + dissimilarity_share(numbers / 12))
        lacks.append(least - least_cost(unlike, must, may, cost[None, None]).cost[0])
    assert min(lacks) >= -1e-12
    # A tangent leaves open what lies between two numbers of participants.
    assert max(lacks) <= 0.05


def test_each_row_is_bounded_as_if_it_were_alone(rng):
    cases = [random_case(np.random.default_rng(seed), 2, 3) for seed in range(6)]
    unlike = cases[0][0]
    must, may, by_level = (np.stack(arrays) for arrays in list(zip(*cases, strict=True))[1:])
    together = least_cost(unlike, must, may, by_level)
    for row in range(6):
        alone = least_cost(unlike, must[row : row + 1], may[row : row + 1], by_level[row : row + 1])
        assert alone.cost[0] == together.cost[row]
        np.testing.assert_array_equal(alone.level[0], together.level[row])


def test_without_prices_it_is_the_least_sum(rng):
    cost = rng.normal(size=(20, 1, 5))
    must, may = rng.random((20, 5)) < 0.1, np.ones((20, 5), dtype=bool)
    nothing = UnlikeData(np.full(5, 0.2), np.zeros(1))
    np.testing.assert_allclose(least_cost(nothing, must, may, cost).cost, least_sum(must, may, cost[:, 0]))
