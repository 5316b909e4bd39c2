"""The least cost of a round with a code, for each choice of whom to wait for.

At prices of a second c and of each device's joules, and for given S, a coded round costs

    min over beta, f, p, d of  c d + sum_p noise_p / beta_p + sum_{k in S} joule_k e_k,   F_k <= d for all k in S.

That is convex. With finish prices p_k >= 0 whose sum is max(c, 0) it is at least

    min(0, c) d_max + sum_p min over beta of (noise_p / beta + beta sum_{k in S holds p} q_k(p_k))
                                + sum_{k in S} u_k(p_k),

q_k being the least cost of a sample, u_k that of an upload, both in closed form. Any such prices prove a bound; the
best ones make everybody finish together, which a multiplicative ascent finds: each price times a power of its
device's finish over the latest.
"""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.gradient_coding.model.choices import Choices
from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts
from edgelearn_env.baselines.stages.model.closed_forms import cheapest_sample, cheapest_upload, in_rounds

# Finish times fall about with the third to second root of their prices: this power undoes that.
_POWER = 2.0

_MOST_STEPS = 60


class CodedRounds(NamedTuple):
    """Rounds with codes at some prices, one a row; n of them.

    Attributes:
        round_index, choice: t, and the index of whom is waited for, (n,).
        bound: no such round costs less, (n,).
        cost: what this one does, (n,).
        batch: beta of all parts, (n, K).
        device_j: what each device spends, J, (n, K).
        finish: finish prices at which it is cheapest, (n, K).
        finish_s: when each device is done, s, 0 for those who do not work, (n, K).
    """

    round_index: np.ndarray
    choice: np.ndarray
    bound: np.ndarray
    cost: np.ndarray
    batch: np.ndarray
    device_j: np.ndarray
    finish: np.ndarray
    finish_s: np.ndarray


def cheapest_codes(
    costs: RoundCosts, choices: Choices, released: np.ndarray, worth: float, tolerance: float, most: np.ndarray
) -> CodedRounds:
    """Bounds and plans of every choice in every round.

    Args:
        costs: prices and hardware; `gain` and `dissimilarity` are not looked at.
        choices: whom to wait for.
        released: what each device's taking part gives back, (T, K).
        worth: what a decoded round is worth.
        tolerance: by how much a bound may be below its cost.
        most: rounds that are known to cost more than this need no better bound, (T,).
    """
    rounds, choice = (index.ravel() for index in np.indices((len(costs.second), len(choices.role))))
    allowed = _allowed(costs, choices)[rounds, choice]
    rounds, choice = rounds[allowed], choice[allowed]
    rows = _Rows(
        costs, choices, rounds, choice, worth + np.sum(released[rounds] * choices.participates[choice], axis=1)
    )
    finish = rows.budget[:, None] * rows.part / np.sum(rows.part, axis=1, keepdims=True)
    best = latest = rows.at(finish)
    every = np.arange(len(rounds))
    for _ in range(_MOST_STEPS):
        least = most.copy()
        np.minimum.at(least, rounds, best.cost)
        wanting = every[(best.cost - best.bound > tolerance) & (best.bound < least[rounds])]
        if not wanting.size:
            break
        finish[wanting] = _moved(finish[wanting], latest.finish_s[wanting], rows.budget[wanting])
        found = rows.some(wanting).at(finish[wanting])
        latest = _with_rows(latest, wanting, found)
        cheaper = found.cost < best.cost[wanting]
        bound = best.bound.copy()
        bound[wanting] = np.maximum(bound[wanting], found.bound)
        best = _with_rows(best, wanting[cheaper], _Tried(*(array[cheaper] for array in found)))._replace(bound=bound)
    return CodedRounds(rounds, choice, *best)


class _Tried(NamedTuple):
    """What finish prices prove, and the rounds that are cheapest at them; arrays (n,) and (n, K)."""

    bound: np.ndarray
    cost: np.ndarray
    batch: np.ndarray
    device_j: np.ndarray
    finish: np.ndarray
    finish_s: np.ndarray


class _Rows:
    """Choices in rounds, one a row, ready to be priced."""

    def __init__(
        self, costs: RoundCosts, choices: Choices, rounds: np.ndarray, choice: np.ndarray, given_back: np.ndarray
    ) -> None:
        self._costs, self._choices, self._rounds, self._choice = costs, choices, rounds, choice
        self._given_back = given_back
        self.part = choices.participates[choice]
        self.budget = np.maximum(costs.second[rounds], 0.0)

    def some(self, rows: np.ndarray) -> "_Rows":
        """Those at some indices."""
        arrays = (array[rows] for array in (self._rounds, self._choice, self._given_back))
        return _Rows(self._costs, self._choices, *arrays)

    def at(self, finish: np.ndarray) -> _Tried:
        """All of them at finish prices, (n, K), that sum to a second's price."""
        costs, rounds, part = self._costs, self._rounds, self.part
        joule, devices, held = (
            costs.joule[rounds],
            in_rounds(costs.devices, rounds),
            self._choices.holders[self._choice],
        )
        sample = cheapest_sample(finish, joule, devices)
        upload = cheapest_upload(finish, joule, in_rounds(costs.uplink, rounds))
        of_part = np.einsum("nkp,nk->np", held, sample.cost)
        with np.errstate(divide="ignore", invalid="ignore"):
            batch = np.clip(np.sqrt(costs.noise / of_part), 1.0, costs.devices.batch_max)
        load = np.einsum("nkp,np->nk", held, batch)
        finish_s = np.where(part, sample.seconds * load + upload.seconds, 0.0)
        of_devices = np.where(part, sample.cost * load + upload.cost, 0.0)
        noise = np.sum(costs.noise / batch, axis=1)
        device_j = (of_devices - finish * finish_s) / joule
        second = costs.second[rounds]
        longest_s = np.broadcast_to(costs.longest_s, costs.second.shape)[rounds]
        proven = noise + np.sum(of_devices, axis=1) + np.minimum(second, 0.0) * longest_s
        lasts_s = np.where(second < 0, longest_s, np.max(finish_s, axis=1))
        cost = noise + np.sum(joule * device_j, axis=1) + second * lasts_s
        return _Tried(proven - self._given_back, cost - self._given_back, batch, device_j, finish, finish_s)


def _allowed(costs: RoundCosts, choices: Choices) -> np.ndarray:
    """Which choices hold all who must take part in a round and none who may not, (T, C)."""
    must, may, part = costs.sets.must[:, None], costs.sets.may[:, None], choices.participates
    allowed: np.ndarray = np.all((part | ~must) & (may | ~part), axis=2)
    return allowed


def _moved(finish: np.ndarray, finish_s: np.ndarray, budget: np.ndarray) -> np.ndarray:
    """Prices with which the late are done sooner, and with the same sum."""
    moved = finish * (finish_s / np.max(finish_s, axis=1, keepdims=True)) ** _POWER
    total = np.sum(moved, axis=1, keepdims=True)
    moved_to_sum: np.ndarray = np.where(total > 0, moved * budget[:, None] / np.where(total > 0, total, 1.0), finish)
    return moved_to_sum


def _with_rows(tried: _Tried, rows: np.ndarray, others: _Tried) -> _Tried:
    """The same with some rows replaced."""
    replaced = []
    for array, other in zip(tried, others, strict=True):
        changed = array.copy()
        changed[rows] = other
        replaced.append(changed)
    return _Tried(*replaced)
