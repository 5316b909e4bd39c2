"""The search for a plan with a proof that none is better by more than a gap."""

import heapq
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.one_thread import one_thread
from edgelearn_env.baselines.priced.bounds import bounds_of_all_pairs
from edgelearn_env.baselines.priced.master import combined
from edgelearn_env.baselines.priced.records import AllowedSets, Planned, PretrainPlan, PricedSystem, Prices, RoundPlans

# Of a round's fair share of the gap, how much its bound may be loose.
_LOOSE = 0.1

# The first prices are tried in these proportions, so that pairs with few rounds have some of their own.
_SCALES = (0.0, 0.3, 0.6, 0.8, 0.9, 1.1, 1.25)

# Plans of one round that are kept, of the pre-training rounds, and price vectors with their bounds.
_PLANS_KEPT, _PRETRAINING_KEPT, _POINTS_KEPT = 10, 6, 16

# Budgets are worth at least this share of phi: the closed forms divide by prices.
_LEAST_WORTH = 1e-9

# Steps at one pair, each with programs, as many as gain, and a combination, before it is left for later; fewer in one
# part of what a pair leaves open. And halvings of what is proven for it in the end.
_MOST_STEPS, _FEW_STEPS, _NUM_HALVINGS = 40, 4, 3

# Steps after which a pair is left too: of so many not one has proven a tenth of what was to be proven. As much is asked
# of a program for one more to follow from its prices.
_PATIENCE, _PROGRESS = 8, 0.1

# Pairs whose numbers of rounds differ by no more than this share from the best plan's are raised first: a better plan
# is among them, if there is one, and with its phi all others are proven sooner.
_NEAR = 0.25

# The best plan's own pair is raised before them if its bound is at least this share as far below 0 as the least of
# theirs: then today's prices are wrong for all pairs, and those of the best plan are the first to have.
_AS_FAR = 0.5

# Pairs that are raised before what their prices come to beyond their own rounds is tried: most tapes need no more.
_FEW_PAIRS = 12

# Pairs that are left before the search is given up.
_MOST_LEFT = 24

# How far from a half the share of a device is that takes part wholly or not at all.
_WHOLLY = 0.499

# Splits of what was left, times the decisions about devices that an episode has, before the rest stays as it is.
_MOST_DECISIONS = 3000


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
    """Prices, what they prove of all pairs at a phi, and the roles in the cheapest plans of rounds, (T, K)."""

    prices: Prices
    phi: float
    bounds: np.ndarray
    roles: np.ndarray


class _Node(NamedTuple):
    """The plans of a pair (M, e) in which some devices' part is decided, and the prices that prove most for them.

    `shares` tells how much of each device takes part in each round in the best combination of known plans, (T, K), and
    `levels` the mean of its roles where these differ, else 0, (T, K).
    """

    first: int
    last: int
    sets: AllowedSets
    point: _Point
    shares: np.ndarray
    levels: np.ndarray

    @property
    def bound(self) -> float:
        """None of them has A - phi W below it."""
        return float(self.point.bounds[self.first, self.last])

    def at(self, point: _Point | None) -> "_Node":
        """The same with those prices, if they prove more."""
        if point is None or point.bounds[self.first, self.last] <= self.bound:
            return self
        return self._replace(point=point)


def proven(system: PricedSystem, gap: float, allowed: np.ndarray, *, below: float = np.inf) -> Proven:
    """The best plan of a system, and a bound that is no further from it than a gap, where that can be had.

    Args:
        system: the rounds and what couples them.
        gap: relative improvement not worth looking for.
        allowed: pairs (M, e) that may be played, (T + 1, T + 1).
        below: a value that is had anyway: once it is proven that nothing is below it, the search ends.
    """
    with one_thread:
        search = _Search(system, gap, allowed, below)
        search.begin()
        while (pair := search.next_pair()) is not None:
            search.raise_bound(*pair)
        search.branch()
        return Proven(search.best, search.bound(), search.num_solved)


class _Search:
    """Lower bounds of all pairs (M, e) at one phi, raised pair by pair until none is below 0.

    phi is the best value known over 1 + gap. The pair with the least bound, near the best plan first (`next_pair`),
    gets plans and prices of its own: a program for the sets that are cheapest at the best prices so far, whose
    multipliers are prices too, and so on from these as long as it gains. Where that ends without a proof, a linear
    program over all plans known for the pair's rounds gives other prices, which are tried half way from the best so
    far. Bounds stay valid when a better plan lowers phi, since A - phi W only rises; prices from before prove more
    then, and are tried again.

    A pair for which no prices prove phi is left at first, since that devices take part wholly or not at all leaves a
    gap. In the end it is split by branch and bound: a device takes part in a round, or it does not. What that leaves
    too is proven as far as its prices go, and so is everything once many pairs were left. Where devices take part at
    levels, and it is these that prices leave open, a level is at most a number, or above it.
    """

    def __init__(self, system: PricedSystem, gap: float, allowed: np.ndarray, below: float) -> None:
        self._system, self._gap, self._below = system, gap, below
        self.best, self._best_pair = system.nothing(), (0, 0)
        self._bounds = np.where(allowed, -np.inf, np.inf)
        self._left: list[_Node] = []
        self._given_up = np.zeros_like(self._bounds, dtype=bool)
        self._sets = system.sets
        self._plans: list[list[RoundPlans]] = [[] for _ in range(system.setting.num_rounds)]
        self._points: list[_Point] = []
        idle = system.idle_rounds()
        self._num_idle = int(len(idle.round_index) > 0)
        self._keep(idle)
        self._pretraining: dict[int, list[PretrainPlan]] = {}
        self._solved: dict[tuple[int, int, bytes], Prices | None] = {}
        self.num_solved = self._num_raised = 0

    @property
    def phi(self) -> float:
        """What is to be proven."""
        return min(self.best.value, self._below) / (1 + self._gap)

    def begin(self) -> None:
        """Bounds from prices that are known beforehand, and from those of the first plan that can be had."""
        guess = self._system.first_guess()
        point = self._priced(guess.prices, self._sets, guess.phi)
        first, last = guess.num_pretrain, guess.num_pretrain + guess.num_finetune
        found = self._planned(point.roles, first, last, self._sets)
        while found is None and first + last:
            first, last = first // 2, first // 2 + (last - first) // 2
            found = self._planned(point.roles, first, last, self._sets)
        for scale in _SCALES:
            self._priced((found or point).prices.scaled(scale), self._sets)

    def next_pair(self) -> tuple[int, int] | None:
        """The pair with the least bound, if that is below 0, of those near the best plan's, then of the others.

        The best plan's own comes first where its bound is nearly as bad. None of those that were left, and none at all
        once many were.
        """
        is_open = self._is_open()
        if len(self._left) >= _MOST_LEFT or not is_open.any():
            return None
        near = is_open & self._is_near_best()
        bounds = np.where(near if near.any() else is_open, self._bounds, np.inf)
        if is_open[self._best_pair] and self._bounds[self._best_pair] < _AS_FAR * np.min(bounds):
            return self._best_pair
        first, last = divmod(int(np.argmin(bounds)), bounds.shape[1])
        return first, last

    def _is_near_best(self) -> np.ndarray:
        """The pairs with about as many rounds of both stages as the best plan, (T + 1, T + 1)."""
        first, last = self._best_pair
        num_pretrain, end = np.ogrid[: len(self._bounds), : len(self._bounds)]
        excess: np.ndarray = np.maximum(
            np.abs(num_pretrain - first) - max(1.0, _NEAR * first),
            np.abs(end - num_pretrain - (last - first)) - max(1.0, _NEAR * (last - first)),
        )
        return excess <= 0

    def _is_open(self) -> np.ndarray:
        """The pairs for which nothing is proven yet and that were not left, (T + 1, T + 1)."""
        is_open: np.ndarray = self._bounds < 0
        for node in self._left:
            is_open[node.first, node.last] = False
        return is_open

    def raise_bound(self, first: int, last: int) -> None:
        """Find prices that prove the pair (M, e), or a better plan; or leave it."""
        point = max(self._points, key=lambda known: known.bounds[first, last])
        if point.phi > self.phi:
            # At the phi of today it proves more, and maybe enough.
            point = self._priced(point.prices, self._sets)
        node = _Node(first, last, self._sets, point, point.roles > 0, np.zeros(point.roles.shape))
        node = self._raised(node, _MOST_STEPS)
        self._num_raised += 1
        if not self._is_proven(node):
            self._left.append(node)
        elif self._num_raised > _FEW_PAIRS:
            self._priced(node.point.prices.beyond(first, last), self._sets)

    def branch(self) -> None:
        """Split what was left by who takes part, until phi is proven for all or it gets long."""
        self._given_up = self._is_open()
        if self._given_up.any():
            return
        count = 0
        most = _MOST_DECISIONS // self._sets.may.size
        heap = [(node.bound, count := count + 1, node) for node in self._left]
        heapq.heapify(heap)
        self._left = []
        while heap and count < most:
            *_, node = heapq.heappop(heap)
            if self._is_proven(node):
                continue
            parts = _parts_of(node)
            if not parts:
                node = node.at(self._planned(node.point.roles, node.first, node.last, node.sets))
                self._left += [] if self._is_proven(node) else [node]
                continue
            for sets in parts:
                part = node._replace(sets=sets, point=self._priced(node.point.prices, sets))
                part = self._raised(part, _FEW_STEPS)
                if not self._is_proven(part):
                    heapq.heappush(heap, (part.bound, count := count + 1, part))
        self._left += [node for *_, node in heap]

    def bound(self) -> float:
        """What no plan is below: phi, or less where something was left."""
        proven = self.phi
        for node in self._left:
            pair = np.zeros_like(self._bounds, dtype=bool)
            pair[node.first, node.last] = True
            proven = self._proven_phi([node.point.prices], node.sets, pair, proven)
        if self._given_up.any():
            proven = self._proven_phi([point.prices for point in self._points], self._sets, self._given_up, proven)
        return proven

    def _is_proven(self, node: _Node) -> bool:
        """Whether none of its plans is below phi."""
        return max(node.bound, float(self._bounds[node.first, node.last])) >= 0

    def _raised(self, node: _Node, most_steps: int) -> _Node:
        """The node with the best prices that so many steps find."""
        candidates, lacking, latest = [node.point.roles], -node.bound, 0
        for step in range(most_steps):
            if self._is_proven(node) or step - latest > _PATIENCE:
                break
            if -node.bound < (1 - _PROGRESS) * lacking:
                lacking, latest = -node.bound, step
            for roles in candidates:
                node = self._followed(node, roles)
                if self._is_proven(node):
                    return node
            node, heaviest = self._recombined(node)
            candidates = [node.point.roles, heaviest]
        return node

    def _followed(self, node: _Node, roles: np.ndarray) -> _Node:
        """The node at the prices of programs, as long as these gain: for some roles, then for the cheapest ones.

        Prices of a program that prove less than the best so far often err to the other side: devices are silent at them
        that take part at those. Then some in between are tried, nearer to those that lack less.
        """
        lacking = np.inf
        while 0 < -node.bound < (1 - _PROGRESS) * lacking:
            point = self._planned(roles, node.first, node.last, node.sets)
            lacking = -node.bound
            if point is not None and point.bounds[node.first, node.last] < node.bound:
                if node.point.phi > self.phi:
                    # The program's plan is the best one: what both prove is compared at its phi.
                    node = node.at(self._priced(node.point.prices, node.sets))
                lacks, others = max(-node.bound, 0.0), -point.bounds[node.first, node.last]
                point = self._priced(node.point.prices.mixed(point.prices, lacks / (lacks + others)), node.sets)
            node = node.at(point)
            roles = node.point.roles
        return node

    def _proven_phi(self, prices: list[Prices], sets: AllowedSets, pairs: np.ndarray, most: float) -> float:
        """About the largest value, `most` at most, that no plan of some pairs is below, by shares of such prices."""

        def proves(share: float) -> bool:
            phi, proven = most * (1 - share), ~pairs
            for scaled in (known.scaled(scale) for known in prices for scale in (1.0, 1 - share)):
                at = scaled.lifted(self._system.setting, phi * _LEAST_WORTH)
                rounds = self._system.rounds(at, phi, self._tolerance(phi), sets)
                proven |= bounds_of_all_pairs(self._system, at, phi, rounds) >= 0
                if proven.all():
                    return True
            return False

        return most * (1 - _least_share(proves, self._gap / 8))

    def _planned(self, roles: np.ndarray, first: int, last: int, sets: AllowedSets) -> _Point | None:
        """The best plan for these roles, (T, K), of which those of the pair count; what its multipliers prove."""
        played = np.flatnonzero(roles[first:last].any(axis=1))
        # Nobody has to be waited for after the last round with participants.
        last = first + (int(played[-1]) + 1 if len(played) else 0)
        roles = roles[first:last]
        if not last or self._bounds[first, last] == np.inf:
            return None
        key = (first, last, roles.tobytes())
        splits = sets is not self._sets or not np.any(sets.may & ~sets.must)
        if key not in self._solved:
            self._solved[key] = self._solved_for(first, roles)
        elif not splits:
            return None
        if splits and self._solved[key] is None:
            self._solved[key] = self._system.overdrawn(first, roles)
        prices = self._solved[key]
        return None if prices is None else self._priced(prices, sets)

    def _solved_for(self, first: int, roles: np.ndarray) -> Prices | None:
        """The prices of the best plan for these roles, which is remembered, if there is one."""
        found = self._system.planned(first, roles)
        self.num_solved += 1
        if found is None:
            return None
        self._keep(found.rounds)
        self._pretraining.setdefault(first, []).append(found.pretraining)
        if found.value < self.best.value:
            self.best, self._best_pair = found, (first, first + len(roles))
        return found.prices

    def _recombined(self, node: _Node) -> tuple[_Node, np.ndarray]:
        """The node at prices half way to those of the best combination of all plans known for it.

        And the roles that have the largest shares in that combination, (T, K).
        """
        first, last, heaviest = node.first, node.last, node.point.roles.copy()
        known = [plans for kept in self._plans[first:last] for plans in kept]
        plans = RoundPlans(*(np.concatenate(arrays) for arrays in zip(*known, strict=True))) if known else None
        if plans is not None:
            chosen = node.sets.allow(plans) & ((plans.round_index < last - 1) | plans.participates.any(axis=1))
            plans = RoundPlans(*(array[chosen] for array in plans))
        made = [self._system.pretraining_plan(other.prices, first) for other in self._points[-_PRETRAINING_KEPT:]]
        pretraining = [*self._pretraining.get(first, [])[-_PRETRAINING_KEPT:], *made]
        found = combined(self._system.setting, self.phi, pretraining, plans, first, last)
        if found is None:
            return node, heaviest
        if plans is not None:
            order = np.argsort(found.shares)
            heaviest[plans.round_index[order]] = plans.roles[order]
            shares = np.zeros(heaviest.shape)
            np.add.at(shares, plans.round_index, found.shares[:, None] * plans.participates)
            node = node._replace(shares=shares)
            if self._system.has_levels:
                node = node._replace(levels=_mean_levels(plans, found.shares, shares))
        return node.at(self._priced(node.point.prices.mixed(found.prices, 0.5), node.sets)), heaviest

    def _priced(self, prices: Prices, sets: AllowedSets, phi: float | None = None) -> _Point:
        """Bounds and cheapest plans at some prices."""
        prices, phi = prices.lifted(self._system.setting, self.phi * _LEAST_WORTH), phi or self.phi
        rounds = self._system.rounds(prices, phi, self._tolerance(phi), sets)
        self._keep(rounds.plans)
        bounds = bounds_of_all_pairs(self._system, prices, phi, rounds)
        roles = np.zeros(prices.pay.shape, dtype=int)
        # The cheapest plan of a round comes first: written last.
        roles[rounds.plans.round_index[::-1]] = rounds.plans.roles[::-1]
        roles[rounds.least < rounds.least_active] = 0
        point = _Point(prices, phi, bounds, roles)
        if sets is self._sets and phi >= self.phi:
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


def _parts_of(node: _Node) -> list[AllowedSets]:
    """The node's plans in two parts: by a device's level where all take part wholly or not at all, else by its part."""
    cell = _least_decided(node)
    if node.levels.any() and (cell is None or abs(node.shares[cell] - 0.5) > _WHOLLY):
        between = np.where(node.levels > 0, np.abs(node.levels % 1.0 - 0.5), np.inf)
        round_index, device = divmod(int(np.argmin(between)), between.shape[1])
        return node.sets.divided(round_index, device, int(node.levels[round_index, device]))
    return [] if cell is None else [node.sets.decided(*cell, takes_part=takes_part) for takes_part in (True, False)]


def _mean_levels(plans: RoundPlans, shares: np.ndarray, taking: np.ndarray) -> np.ndarray:
    """The mean role of each device in a combination of plans where its roles differ, else 0, (T, K)."""
    used = np.flatnonzero(shares > 1e-6)
    rounds, roles, part = plans.round_index[used], plans.roles[used], plans.participates[used]
    total, low, high = np.zeros(taking.shape), np.full(taking.shape, np.inf), np.zeros(taking.shape)
    np.add.at(total, rounds, shares[used][:, None] * roles)
    np.minimum.at(low, rounds, np.where(part, roles, np.inf))
    np.maximum.at(high, rounds, roles.astype(float))
    mean = total / np.maximum(taking, 1e-9)
    # In between, whatever was rounded or left out.
    levels: np.ndarray = np.where(high > low, np.clip(mean, low, high - 1e-6), 0.0)
    return levels


def _least_decided(node: _Node) -> tuple[int, int] | None:
    """The round and device whose part a node's combination leaves most open; None if all are decided."""
    is_open = node.sets.may & ~node.sets.must
    is_open[: node.first], is_open[node.last :] = False, False
    if not is_open.any():
        return None
    distance = np.where(is_open, np.abs(node.shares - 0.5), np.inf)
    round_index, device = divmod(int(np.argmin(distance)), distance.shape[1])
    return round_index, device


def _least_share(proves: Callable[[float], bool], first: float) -> float:
    """About the least share, from 0 on, that proves something; 1 proves it anyway."""
    if proves(0.0):
        return 0.0
    low, high = 0.0, first
    while high < 1 and not proves(high):
        low, high = high, 2 * high
    high = min(high, 1.0)
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if proves(middle) else (middle, high)
    return high
