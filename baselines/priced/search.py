"""The search for a plan with a proof that none is better by more than a gap."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.priced.bounds import bounds_of_all_pairs
from edgelearn_env.baselines.priced.master import combined
from edgelearn_env.baselines.priced.records import Planned, PretrainPlan, PricedSystem, Prices, RoundPlans

# Of a round's fair share of the gap, how much its bound may be loose.
_LOOSE = 0.05

# The first prices are tried in these proportions, so that pairs with few rounds have some of their own.
_SCALES = (0.0, 0.3, 0.6, 0.8, 0.9, 1.1, 1.25)

# Plans of one round that are kept, of the pre-training rounds, and price vectors with their bounds.
_PLANS_KEPT, _PRETRAINING_KEPT, _POINTS_KEPT = 10, 6, 16

# Budgets are worth at least this share of phi: the closed forms divide by prices.
_LEAST_WORTH = 1e-9

# Steps at one pair, each with a program and a combination, before it is left as it is; fewer once one was left. And
# halvings of what is proven for it then.
_MOST_STEPS, _FEW_STEPS, _NUM_HALVINGS = 12, 4, 3


class Proven(NamedTuple):
    """What the search found.

    Attributes:
        best: the best plan.
        bound: no plan is below it.
        num_solved: plans that were solved for.
    """

    best: Planned
    bound: float
    num_solved: int


class _Point(NamedTuple):
    """Prices, the bounds of all pairs that they prove, and who takes part in the cheapest plan of each round, (T, K)."""

    prices: Prices
    bounds: np.ndarray
    participates: np.ndarray


def proven(system: PricedSystem, gap: float, allowed: np.ndarray, *, below: float = np.inf) -> Proven:
    """The best plan of a system, and a bound that is no further from it than a gap, where that can be had.

    Args:
        system: the rounds and what couples them.
        gap: relative improvement not worth looking for.
        allowed: pairs (M, e) that may be played, (T + 1, T + 1).
        below: a value that is had anyway: once it is proven that nothing is below it, the search ends.
    """
    search = _Search(system, gap, allowed, below)
    search.begin()
    while (pair := search.next_pair()) is not None:
        search.raise_bound(*pair)
    return Proven(search.best, search.bound(), search.num_solved)


class _Search:
    """Lower bounds of all pairs (M, e) at one phi, raised pair by pair until none is below 0.

    phi is the best value known over 1 + gap. The pair with the least bound gets plans and prices of its own: a program
    for the sets that are cheapest at the best prices so far, whose multipliers are prices too; then those of a linear
    program over all plans known for its rounds, half way from the best so far. Bounds stay valid when a better plan
    lowers phi, since A - phi W only rises. Where nothing proves phi for a pair, it is left; what its prices do prove is
    found in the end.
    """

    def __init__(self, system: PricedSystem, gap: float, allowed: np.ndarray, below: float) -> None:
        self._system, self._gap, self._below = system, gap, below
        self.best = system.nothing()
        self._bounds = np.where(allowed, -np.inf, np.inf)
        self._left: dict[tuple[int, int], Prices] = {}
        self._plans: list[list[RoundPlans]] = [[] for _ in range(system.setting.num_rounds)]
        self._points: list[_Point] = []
        idle = system.idle_rounds()
        self._num_idle = int(len(idle.round_index) > 0)
        self._keep(idle)
        self._pretraining: dict[int, list[PretrainPlan]] = {}
        self._tried: set[tuple[int, int, bytes]] = set()
        self.num_solved = 0

    @property
    def phi(self) -> float:
        """What is to be proven."""
        return min(self.best.value, self._below) / (1 + self._gap)

    def begin(self) -> None:
        """Bounds from prices that are known beforehand, and from those of the first plan that can be had."""
        guess = self._system.first_guess()
        point = self._priced(guess.prices, guess.phi)
        first, last = guess.num_pretrain, guess.num_pretrain + guess.num_finetune
        found = self._planned(point.participates, first, last)
        while found is None and first + last:
            first, last = first // 2, first // 2 + (last - first) // 2
            found = self._planned(point.participates, first, last)
        for scale in _SCALES:
            self._priced(Prices(*(scale * price for price in (found or point).prices)))

    def next_pair(self) -> tuple[int, int] | None:
        """The pair with the least bound, if that is below 0."""
        first, last = divmod(int(np.argmin(self._bounds)), self._bounds.shape[1])
        return (first, last) if self._bounds[first, last] < 0 else None

    def raise_bound(self, first: int, last: int) -> None:
        """Find prices that prove the pair (M, e), or a better plan; or leave it as it is."""
        point = max(self._points, key=lambda known: known.bounds[first, last])
        participates = [point.participates]
        for _ in range(_FEW_STEPS if self._left else _MOST_STEPS):
            tried = [self._planned(sets, first, last) for sets in participates]
            recombined, heaviest = self._recombined(point, first, last)
            for found in (*tried, recombined):
                if found is not None and found.bounds[first, last] > point.bounds[first, last]:
                    point = found
            if self._bounds[first, last] >= 0:
                return
            participates = [point.participates, heaviest]
        self._left[first, last] = point.prices
        self._bounds[first, last] = 0.0

    def bound(self) -> float:
        """What no plan is below: phi, or less where pairs were left."""
        proven = self.phi
        for (first, last), prices in self._left.items():
            proven = self._proven_phi(first, last, prices, proven)
        return proven

    def _proven_phi(self, first: int, last: int, prices: Prices, most: float) -> float:
        """About the largest value, `most` at most, that no plan of a pair is below, by these prices or less of them."""

        def proves(share: float) -> bool:
            phi = most * (1 - share)
            for scale in (1.0, 1 - share):
                at = Prices(*(scale * price for price in prices)).lifted(self._system.setting, phi * _LEAST_WORTH)
                least = self._system.rounds(at, phi, self._tolerance(phi)).least
                if bounds_of_all_pairs(self._system, at, phi, least)[first, last] >= 0:
                    return True
            return False

        if proves(0.0):
            return most
        low, high = 0.0, self._gap / 8
        while high < 1 and not proves(high):
            low, high = high, 2 * high
        for _ in range(_NUM_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if proves(middle) else (middle, high)
        return most * max(1 - high, 0.0)

    def _planned(self, participates: np.ndarray, first: int, last: int) -> _Point | None:
        """The best plan for these sets, (T, K), of which those of the pair count; what its multipliers prove."""
        played = np.flatnonzero(participates[first:last].any(axis=1))
        # Nobody has to be waited for after the last round with participants.
        last = first + (int(played[-1]) + 1 if len(played) else 0)
        participates = participates[first:last]
        if not last or self._bounds[first, last] == np.inf:
            return None
        key = (first, last, participates.tobytes())
        if key in self._tried:
            return None
        self._tried.add(key)
        found = self._system.planned(first, participates)
        self.num_solved += 1
        if found is None:
            return None
        self._keep(found.rounds)
        self._pretraining.setdefault(first, []).append(found.pretraining)
        if found.value < self.best.value:
            self.best = found
        return None if found.prices is None else self._priced(found.prices)

    def _recombined(self, point: _Point, first: int, last: int) -> tuple[_Point | None, np.ndarray]:
        """What prices prove that are half way to those of the best combination of all plans known for the pair.

        And the sets that have the largest shares in that combination, (T, K).
        """
        known = [plans for kept in self._plans[first:last] for plans in kept]
        plans = RoundPlans(*(np.concatenate(arrays) for arrays in zip(*known, strict=True))) if known else None
        made = [self._system.pretraining_plan(other.prices, first) for other in self._points[-_PRETRAINING_KEPT:]]
        pretraining = [*self._pretraining.get(first, [])[-_PRETRAINING_KEPT:], *made]
        found = combined(self._system.setting, self.phi, pretraining, plans, first, last)
        if found is None:
            return None, point.participates
        heaviest = point.participates.copy()
        if plans is not None:
            order = np.argsort(found.shares)
            heaviest[plans.round_index[order]] = plans.participates[order]
        return self._priced(point.prices.mixed(found.prices, 0.5)), heaviest

    def _priced(self, prices: Prices, phi: float | None = None) -> _Point:
        """Bounds and cheapest plans at some prices."""
        prices, phi = prices.lifted(self._system.setting, self.phi * _LEAST_WORTH), phi or self.phi
        rounds = self._system.rounds(prices, phi, self._tolerance(phi))
        self._keep(rounds.plans)
        bounds = bounds_of_all_pairs(self._system, prices, phi, rounds.least)
        participates = np.zeros(prices.pay.shape, dtype=bool)
        # The cheapest plan of a round comes first: written last.
        participates[rounds.plans.round_index[::-1]] = rounds.plans.participates[::-1]
        point = _Point(prices, bounds, participates)
        if phi >= self.phi:
            self._bounds = np.maximum(self._bounds, bounds)
            self._points = [*self._points[1 - _POINTS_KEPT :], point]
        return point

    def _tolerance(self, phi: float) -> float:
        """How loose the bound of a round may be."""
        return _LOOSE * self._gap * phi * self._system.round_weight

    def _keep(self, plans: RoundPlans) -> None:
        """Remember plans of rounds; idle ones for good, of the others the latest."""
        for row, index in enumerate(plans.round_index.tolist()):
            kept = self._plans[index]
            kept.append(RoundPlans(*(array[row : row + 1] for array in plans)))
            if len(kept) > _PLANS_KEPT:
                del kept[self._num_idle]
