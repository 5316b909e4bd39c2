"""What the unlike data of a round's participants costs, bounded from below by sums over them.

With blocks q = 1 to l, of which a device at level t trains the first t, and Omega_q the weight of those that train q,

    D = sum_q price_q beta(Omega_q),   beta(x) = min(x, h(x)),   h(x) = (1 - x)^2 / x.

No block is trained by more than the one before, and beta is x up to 1/2 and h from there. So D is the least, over i
from 0 to l, of what it is with h for the first i blocks and x for the others. h is convex, hence above each of its
tangents: then D is a sum over devices for each i and tangents at y_1 to y_i, and which are best is found step by step.
"""

from typing import NamedTuple

import numpy as np

from edgelearn_env.stages.scenario import StagedScenario

# Steps that choose tangents, each for the case that is cheapest so far, and how far each goes.
_NUM_STEPS, _STEP = 8, 0.5


class UnlikeData(NamedTuple):
    """What decides D.

    Attributes:
        weight: omega, of each device, (K,).
        block_price: of beta of each block, at least 0, (l,).
    """

    weight: np.ndarray
    block_price: np.ndarray

    @classmethod
    def of_unequal(cls, scenario: StagedScenario, price: float) -> "UnlikeData | None":
        """Of a round without levels; None where all weights are the same, so that D depends on a number alone."""
        weight = np.asarray(scenario.learning.device_weight)
        return None if np.all(weight == weight[0]) else cls(weight, np.array([price]))


class LeastCost(NamedTuple):
    """No set costs less, (n,); one that about does, and its levels from 0 on, (n, K)."""

    cost: np.ndarray
    participates: np.ndarray
    level: np.ndarray


def least_cost(unlike: UnlikeData, must: np.ndarray, may: np.ndarray, by_level: np.ndarray) -> LeastCost:
    """A bound on sum_{k in S} x_k[level_k] + D over nonempty sets S that may be, and all levels.

    Args:
        unlike: what decides D.
        must, may: who has to take part and who may, (n, K).
        by_level: x, what each device costs at each level, infinite at one that may not be, (n, l, K).
    """
    num_blocks, count = len(unlike.block_price), len(by_level)
    # Tangents at 1 leave h out.
    cases = [
        _at_tangents(unlike, must, may, by_level, np.full(count, case), np.ones((count, num_blocks)))
        for case in range(num_blocks + 1)
    ]
    bounds = np.stack([found.cost for found in cases], axis=1)
    tangents, every = np.ones((count, num_blocks + 1, num_blocks)), np.arange(count)
    participates = np.stack([found.participates for found in cases], axis=1)
    level = np.stack([found.level for found in cases], axis=1)
    for _ in range(_NUM_STEPS):
        case = np.argmin(bounds, axis=1)
        part, at = participates[every, case], level[every, case]
        trained = part[:, None, :] & (at[:, None, :] >= np.arange(num_blocks)[:, None])
        omega = np.clip(trained @ unlike.weight, 0.5, 1.0)
        tangents[every, case] += _STEP * (omega - tangents[every, case])
        found = _at_tangents(unlike, must, may, by_level, case, tangents[every, case])
        bounds[every, case] = np.maximum(bounds[every, case], found.cost)
        participates[every, case], level[every, case] = found.participates, found.level
    case = np.argmin(bounds, axis=1)
    return LeastCost(bounds[every, case], participates[every, case], level[every, case])


def _at_tangents(
    unlike: UnlikeData, must: np.ndarray, may: np.ndarray, by_level: np.ndarray, case: np.ndarray, y: np.ndarray
) -> LeastCost:
    """The bound with h for the first `case` blocks, (n,), by its tangents at y, (n, l)."""
    convex = np.arange(len(unlike.block_price)) < case[:, None]
    slope = np.where(convex, 1.0 - 1.0 / y**2, 1.0) * unlike.block_price
    constant = np.sum(np.where(convex, 2.0 / y - 2.0, 0.0) * unlike.block_price, axis=1)
    cost = by_level + np.cumsum(slope, axis=1)[:, :, None] * unlike.weight
    level = np.argmin(cost, axis=1)
    least = np.take_along_axis(cost, level[:, None, :], axis=1)[:, 0]
    return LeastCost(constant + least_sum(must, may, least), _best_set(must, may, least), level)


def least_sum(must: np.ndarray, may: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """min over sets S that may be, but none, of sum_{k in S} x_k, (n,)."""
    chosen = np.where(must, cost, np.where(may, np.minimum(cost, 0.0), 0.0))
    # If nobody is worth it and nobody has to, the one who costs least.
    dearest = np.where(may, np.where(np.any(must, axis=1, keepdims=True), 0.0, cost), np.inf)
    least: np.ndarray = np.sum(chosen, axis=1) + np.maximum(np.min(dearest, axis=1), 0.0)
    return least


def _best_set(must: np.ndarray, may: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """The set with that least sum, (n, K)."""
    chosen = must | (may & (cost < 0))
    cheapest = np.argmin(np.where(may, cost, np.inf), axis=1)[:, None] == np.arange(cost.shape[1])
    best: np.ndarray = np.where(np.any(chosen, axis=1, keepdims=True), chosen, cheapest & may)
    return best
