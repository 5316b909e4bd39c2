"""The rest of an episode in the mean: how often each kind of round is played, and what time and energy are worth.

Rounds to come are alike in law. So a plan is a number y_i >= 0 of rounds of each of some kinds, with their mean noise,
weight, duration and energies, and a mixture z_j of ways to pre-train before them:

    minimise   A / W,   A = sum_j z_j A_j + sum_i y_i A_i,   W = sum_j z_j W_j + sum_i y_i W_i,
    subject to what is left of time, energy, rounds and the charge of all batteries together, in the mean.

That is a linear program for each value of phi = A / W. Its multipliers are the prices at which no kind of round that is
known would be of use; one that is cheaper still at these prices is a kind worth knowing. Charge is dearer in a battery
that the plan strains more than others: with a constraint for each, multipliers of so few kinds would put all of its
worth on one or two of them, and leave the others to be drained.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog

from edgelearn_env.baselines.priced.records import PretrainPlan, RoundPlans
from edgelearn_env.baselines.stages.model.planned_episode import PlanStart

# What is left of time, energy and each battery is worth at least this share of A: the closed forms divide by prices.
_LEAST_WORTH = 1e-6

# Times that phi is lowered, and by how much it has to be to go on.
_MOST_RATIOS, _LOWERED = 20, 1e-9

# A battery's charge is worth so many times that of all together at most, or at least its inverse.
_MOST_STRAIN = 4.0

# Nothing left is still a number to divide by; what is beyond all that is left so many times makes no difference.
_NOTHING, _IMPOSSIBLE = 1e-9, 1e4


class MeanPrices(NamedTuple):
    """What is left is worth, in units of the bound's numerator: a second, a joule, charge, (K,); and phi = A / W."""

    second: float
    joule: float
    charge: np.ndarray
    phi: float

    def moved_to(self, others: "MeanPrices", most: float) -> "MeanPrices":
        """Others, none but phi further from these than a factor: mixtures of few kinds of rounds leave them loose."""
        pair: list[Any] = [self, others]
        moved: list[Any] = [np.clip(new, price / most, price * most) for price, new in zip(*pair, strict=True)]
        return MeanPrices(*moved)._replace(phi=others.phi)


class MeanPlan(NamedTuple):
    """The best mixture.

    Attributes:
        prices: at which nothing is gained by more or less of any of its parts.
        rounds: how often each kind of round is played, (n,).
        pretraining: share of each way to pre-train, (m,).
    """

    prices: MeanPrices
    rounds: np.ndarray
    pretraining: np.ndarray


def mean_plan(
    start: PlanStart,
    harvest_w: np.ndarray,
    most_rounds: int,
    pretraining: list[PretrainPlan],
    num_pretrain: Sequence[int] | np.ndarray,
    kinds: RoundPlans,
) -> MeanPlan:
    """The mixture of least A / W, by Dinkelbach's method.

    Args:
        start: what is left; `bound_terms` are not looked at.
        harvest_w: mean of every device, W, (K,).
        most_rounds: of both stages that there may be.
        pretraining: ways to pre-train, of which just one is played; what was before counts as part of each.
        num_pretrain: rounds of each of these ways, (m,).
        kinds: of fine-tuning rounds, one a row; `round_index` and `roles` are not looked at.
    """
    left = np.maximum([start.delay_s, start.energy_j, np.sum(start.battery_j), most_rounds], _NOTHING)
    use = (
        np.concatenate([_of_rounds(kinds, harvest_w), _of_pretraining(pretraining, num_pretrain)], axis=1)
        / left[:, None]
    )
    use = np.clip(use, -_IMPOSSIBLE, _IMPOSSIBLE)
    numerator, weight = (
        np.concatenate([getattr(kinds, name), [getattr(way, name) for way in pretraining]])
        for name in ("numerator", "weight")
    )
    count = len(kinds.weight)
    is_way = (np.arange(len(weight)) >= count)[None].astype(float)
    alone = np.where(
        np.all(use[:, count:] <= 1, axis=0), numerator[count:] / np.maximum(weight[count:], _NOTHING), np.inf
    )
    # Where no round of devices counts anything, what pre-training alone comes to.
    phi = min(_value_of_one_kind(use[:, :count], numerator, weight), float(np.min(alone)))
    for _ in range(_MOST_RATIOS):
        found = linprog(numerator - phi * weight, A_ub=use, b_ub=np.ones(len(use)), A_eq=is_way, b_eq=[1.0])
        before, phi = phi, float(numerator @ found.x / max(weight @ found.x, _NOTHING))
        if phi >= before * (1 - _LOWERED):
            break
    worth = np.maximum(-found.ineqlin.marginals, _LEAST_WORTH * float(numerator @ found.x)) / left
    rounds, ways = found.x[:count], found.x[count:]
    spent_j = rounds @ (kinds.device_j - kinds.duration_s[:, None] * harvest_w)
    spent_j = spent_j - ways @ [way.harvested_j for way in pretraining]
    charge = worth[2] * _strain(spent_j, start.battery_j)
    return MeanPlan(MeanPrices(worth[0], worth[1], charge, phi), rounds, ways)


def _strain(spent_j: np.ndarray, battery_j: np.ndarray) -> np.ndarray:
    """How much more each battery is strained than all of them together, within limits, (K,)."""
    together = np.sum(np.maximum(spent_j, 0.0)) / max(float(np.sum(battery_j)), _NOTHING)
    strain = spent_j / np.maximum(battery_j, _NOTHING) / max(together, _NOTHING)
    within: np.ndarray = np.clip(strain, 1 / _MOST_STRAIN, _MOST_STRAIN)
    return within


def _value_of_one_kind(use: np.ndarray, numerator: np.ndarray, weight: np.ndarray) -> float:
    """The best that one kind of rounds alone reaches after the first way to pre-train, whatever that takes."""
    count = use.shape[1]
    rounds = 1 / np.max(use, axis=0)
    total, weights = (first[count] + rounds * first[:count] for first in (numerator, weight))
    return float(np.min(total / np.maximum(weights, _NOTHING)))


def _of_rounds(kinds: RoundPlans, harvest_w: np.ndarray) -> np.ndarray:
    """What each kind takes of time, energy, all batteries and rounds, (4, n)."""
    device_j = np.sum(kinds.device_j, axis=1)
    charge_j = device_j - kinds.duration_s * np.sum(harvest_w)
    used: np.ndarray = np.stack([kinds.duration_s, device_j + kinds.shared_j, charge_j, np.ones(len(device_j))])
    return used


def _of_pretraining(pretraining: list[PretrainPlan], num_pretrain: Sequence[int] | np.ndarray) -> np.ndarray:
    """What each way to pre-train takes of them, (4, m)."""
    used = [[way.duration_s, way.energy_j, -np.sum(way.harvested_j)] for way in pretraining]
    return np.column_stack([used, np.asarray(num_pretrain, dtype=float)]).T
