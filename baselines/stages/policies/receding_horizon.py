"""Model-predictive control: plan the rest of the episode on a forecast, play the first round, plan again."""

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
from joblib import delayed

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram, Solution
from edgelearn_env.baselines.stages.model.plan_from_times import nearest_batches, plan_from_times
from edgelearn_env.baselines.stages.model.planned_episode import PlanStart
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.baselines.stages.policies.block_episode import BlockEpisode, Blocks, first_block
from edgelearn_env.baselines.stages.policies.block_roles import LEAST_PRICE, PlanPrices, Roles, heaviest_roles
from edgelearn_env.baselines.stages.policies.forecast import expected_tape
from edgelearn_env.baselines.stages.policies.planned_system import PlannedSystem
from edgelearn_env.model import Allocation, Observed
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.tapes.tape import Tape

Counts = tuple[int, int]

# Shares of the rounds left from which the first search starts if need be, and that of its first step.
_STARTS, _FIRST_STEP = (0.1, 0.25, 0.45), 1 / 32

# A rival plan, looked at once in so many rounds, has this share more or fewer rounds in one stage.
_RIVAL_EVERY, _STRIDE = 3, 0.06

# Of what a round leaves, how much more it may take for batches that are rounded up.
_SAVED = 0.1

# From round to round the price of charge falls by this factor at most.
_MOST_FALL = 2.0

# Where a plan asks for more than this share of what a device will have, its charge becomes dearer by a factor, from a
# share of the dearest energy on.
_ENOUGH, _RISE, _CHEAPEST, _MOST_DEAR = 0.9, 2.0, 0.01, 1e6

# With levels, prices follow those of a new plan by this share of the way, and so often is the first plan searched for:
# which level is cheapest changes at some price for all rounds of a device at once, from one plan to the next and back.
_FOLLOWED, _SEARCHES = 0.3, 3


class Remembered(NamedTuple):
    """What is taken along from round to round: numbers of rounds to come and prices of the last plan.

    `is_design` says that they are the static design's, from which a first plan is searched for.
    """

    pair: Counts
    prices: PlanPrices
    is_design: bool = False


class _Outlook(NamedTuple):
    """A plan on a forecast: its numbers of rounds, what Phi it would end with, its rounds and what was decided."""

    pair: Counts
    value: float
    episode: BlockEpisode
    solution: Solution

    def prices(self, before: PlanPrices) -> PlanPrices:
        """What the plan's constraints are worth; charge as before the second block of rounds.

        The charge of a device that seldom takes part, or not at all, seems to be worth nothing, as there is more of it
        than the plan needs; but it would not do for all rounds. So its price falls slowly, or not at all.
        """
        unit, second_block = self.episode.total_weight, min(1, self.episode.num_finetune_rounds - 1)
        multipliers = self.solution.multipliers
        prices = (multipliers.time, multipliers.energy, multipliers.carry[second_block])
        second, joule, charge = (np.maximum(price * unit, LEAST_PRICE) for price in prices)
        silent = ~np.any(self.episode.participates, axis=0)
        charge = np.where(silent, before.charge, np.maximum(charge, before.charge / _MOST_FALL))
        return PlanPrices(float(second), float(joule), charge, self.value)


class RecedingHorizon:
    """Receding-horizon control with certainty-equivalent forecasts.

    In every round the conic program of the rest of the episode is solved on expected channels and harvests, in blocks
    that grow with their distance, and the first round of its solution is played, in whole batches. Who takes part in
    each block, and at which level, is what costs least at the prices of the last plan, of time, energy and every
    battery's charge (`cheapest_rounds`). How many rounds to play in each stage is first searched for from the static
    design on, and then planned anew all the time: in every third round the last plan less the round played is compared
    with one neighbour, which takes its place if it is better. The switch is made when no pre-training round is left in
    the plan.

    Numbers of rounds and prices are remembered from round to round, for each episode of a batch by its place.

    Args:
        system: what is planned.
    """

    def __init__(self, system: PlannedSystem) -> None:
        self._system, self._stop = system, stopping_round(system.nothing)
        self._remembered: dict[int, Remembered] = {}

    def __call__(self, observed: Observed) -> Allocation:
        """The first round of a fresh plan for every episode."""
        running = np.flatnonzero(~observed.state.ended).tolist()
        episodes = [mapped(lambda array, i=index: array[i], observed) for index in running]
        jobs = (
            delayed(next_round)(self._system, episode, self._known(index, episode))
            for index, episode in zip(running, episodes, strict=True)
        )
        decided = shared_out(jobs, len(episodes))
        rows = [self._stop] * len(observed.state.ended)
        for index, (allocation, remembered) in zip(running, decided, strict=True):
            rows[index], self._remembered[index] = allocation, remembered
        return mapped(lambda *arrays: np.stack(arrays), *rows)

    def _known(self, index: int, episode: Observed) -> Remembered:
        known = self._remembered.get(index) if episode.state.round_index else None
        return known or self._at_first

    @cached_property
    def _at_first(self) -> Remembered:
        """Rounds and prices of the static design; charge is worth what other energy is."""
        best, unit = self._system.static_design()
        joule = max(unit * best.prices.energy, LEAST_PRICE)
        second = max(unit * float(np.sum(best.prices.finish)), LEAST_PRICE)
        charge = np.full(self._system.nothing.scenario.num_devices, joule)
        pair = (best.num_pretrain_rounds, best.num_finetune_rounds)
        return Remembered(pair, PlanPrices(second, joule, charge, best.value), is_design=True)


def next_round(system: PlannedSystem, observed: Observed, known: Remembered) -> tuple[Allocation, Remembered]:
    """What to do in this round of one episode, and what to remember of its plan.

    Args:
        system: what is planned.
        observed: state and conditions, without the leading axis of episodes.
        known: of the round before.
    """
    outlooks = _Outlooks(system, observed, known.prices)
    best = _searched(system, observed, known) if known.is_design else outlooks.compare(known.pair)
    if best is None or (observed.state.finetuning and best.value >= outlooks.value_now):
        return stopping_round(system.nothing), Remembered((0, 0), known.prices)
    num_pretrain, num_finetune = best.pair
    pair = (num_pretrain - 1, num_finetune) if num_pretrain else (0, num_finetune - 1)
    follows = system.has_levels and not known.is_design
    planned = best.prices(outlooks.prices)
    prices = known.prices.towards(planned, _FOLLOWED) if follows else planned
    return outlooks.first_round(best), Remembered(pair, prices)


def _searched(system: PlannedSystem, observed: Observed, design: Remembered) -> "_Outlook | None":
    """The best plan that is found from a design; with levels, from what was found as well, again."""
    pair, prices, found = design.pair, design.prices, list[_Outlook]()
    for _ in range(_SEARCHES if system.has_levels else 1):
        best = _Outlooks(system, observed, prices).search(pair)
        if best is None:
            break
        found.append(best)
        pair, prices = best.pair, prices.towards(best.prices(prices), _FOLLOWED)
    return min(found, key=lambda outlook: outlook.value, default=None)


class _Outlooks:
    """Plans for the rest of one episode by their numbers of rounds, each solved once."""

    def __init__(self, system: PlannedSystem, observed: Observed, prices: PlanPrices) -> None:
        self._system, self._observed, self.prices = system, observed, prices
        self._scenario = system.nothing.scenario
        self._most = self._scenario.budgets.max_rounds - int(observed.state.round_index)
        self._found: dict[Counts, _Outlook | None] = {}

    @property
    def value_now(self) -> float:
        """The bound if nothing more is done."""
        return float(self._scenario.bound.value(self._observed.state.bound_terms))

    def search(self, planned: Counts) -> _Outlook | None:
        """The best plan on the forecast, by a pattern search with ever smaller steps.

        It starts from these numbers of rounds, or where they do not fit from the best of some that are spread out.
        """
        most, step = self._most, max(round(_FIRST_STEP * self._most), 1)
        spread = [(int(a * most), max(1, int(b * most))) for a in _STARTS for b in _STARTS]
        best = self._affordable([planned]) or self._best([(0, 1), *spread])
        while best is not None and step:
            near = [self._moved(best.pair, stage, sign * step) for stage in (0, 1) for sign in (1, -1)]
            rival = self._best([best.pair, *near])
            best, step = (best, step // 2) if rival is best else (rival, step)
        return best

    def compare(self, planned: Counts) -> _Outlook | None:
        """The plan of the last round, or at times a neighbour of it; shortened as long as none fits."""
        num_pretrain, num_finetune = planned[0], max(planned[1], 1)
        turn, rounds_since = divmod(int(self._observed.state.round_index), _RIVAL_EVERY)
        pairs = [(num_pretrain, num_finetune)]
        best = self._affordable(pairs if rounds_since else [*pairs, self._rival(turn, num_pretrain, num_finetune)])
        while best is None and (num_pretrain, num_finetune) != (0, 1):
            num_pretrain, num_finetune = int(0.8 * num_pretrain), max(1, int(0.8 * num_finetune))
            best = self._best([(num_pretrain, num_finetune), (num_pretrain + 1, num_finetune)])
        return best

    def _affordable(self, pairs: list[Counts]) -> _Outlook | None:
        """The best of these plans; if none fits, with charge so dear that those who are asked for too much stay out."""
        best = self._best(pairs)
        while best is None and self._makes_charge_dearer(pairs[0]):
            best = self._best(pairs)
        return best

    def _makes_charge_dearer(self, pair: Counts) -> bool:
        """Raise the price of charge for all who cannot pay for a plan of so many rounds; whether there are any."""
        if not self._may_be(pair):
            return False
        blocks = Blocks.of(*pair)
        (roles,) = self._roles([blocks])
        needed_j = np.asarray(blocks.finetune) @ roles.least_j
        will_have_j = self._start.battery_j + self._scenario.energy.harvest_mean_w * self._start.delay_s
        dearest = max(self.prices.joule, float(np.max(self.prices.charge)))
        short = (needed_j > _ENOUGH * will_have_j) & (self.prices.charge < _MOST_DEAR)
        dearer = np.maximum(_RISE * self.prices.charge, _CHEAPEST * dearest)
        self.prices = self.prices._replace(charge=np.where(short, dearer, self.prices.charge))
        self._found.clear()
        return bool(short.any())

    def _rival(self, turn: int, num_pretrain: int, num_finetune: int) -> Counts:
        """A neighbour of these numbers of rounds: more and fewer of them in either stage take turns."""
        sign = 1 if turn % 4 < 2 else -1
        pair, stage = (num_pretrain, num_finetune), int(turn % 2 or self._observed.state.finetuning)
        return self._moved(pair, stage, sign * max(1, round(_STRIDE * pair[stage])))

    def _moved(self, pair: Counts, stage: int, more: int) -> Counts:
        """With so many rounds more in one stage; those for which the tape is too short are taken from the other."""
        moved = [*pair]
        moved[stage] += more
        moved[1 - stage] -= max(sum(moved) - self._most, 0)
        return moved[0], moved[1]

    def _best(self, pairs: list[Counts]) -> _Outlook | None:
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._found]
        self._found |= dict.fromkeys(new)
        possible = [pair for pair in new if self._may_be(pair)]
        for pair, episode in zip(possible, self._rests(possible), strict=True):
            self._found[pair] = _outlook(pair, episode)
        outlooks = [outlook for pair in pairs if (outlook := self._found[pair]) is not None]
        return min(outlooks, key=lambda outlook: outlook.value, default=None)

    def _may_be(self, pair: Counts) -> bool:
        """Whether so many rounds may be played from here."""
        fits = pair[0] >= 0 and pair[1] >= 1 and sum(pair) <= self._most
        return fits and not (pair[0] and self._observed.state.finetuning)

    def first_round(self, outlook: _Outlook) -> Allocation:
        """The first round in the nearest whole batches; rounded down where later rounds could not save what is more."""
        episode, times = first_block(outlook.episode, outlook.solution.times)
        near = dataclasses.replace(episode, given_batches=nearest_batches(episode, times))
        plans = [plan_from_times(planned, times, whole_batches=True) for planned in (near, episode)]
        nearest, below = (mapped(lambda rows: rows[0], plan.allocations) for plan in plans)
        used, least = self._used(nearest, below)
        left = np.array(episode.start[:2])
        return nearest if np.all(used - least <= _SAVED * (left - least)) else below

    def _used(self, *allocations: Allocation) -> np.ndarray:
        """Seconds and joules that each of these rounds would take, (n, 2)."""
        state, conditions = mapped(lambda array: np.stack([array] * len(allocations)), tuple(self._observed))
        rounds = mapped(lambda *arrays: np.stack(arrays), *allocations)
        used = self._system.planned_round(state, conditions, rounds)
        return np.column_stack([used.duration_s, used.energy_j])

    def _rests(self, pairs: list[Counts]) -> Iterator[BlockEpisode]:
        """The rest of the episode in blocks, on the forecast, with each of these numbers of rounds."""
        every = [Blocks.of(*pair) for pair in pairs]
        for blocks, roles in zip(every, self._roles(every), strict=True):
            tape = self._forecast(blocks.rounds_ahead)
            yield self._system.nothing.in_blocks(blocks, roles.level, tape=tape, given_start=self._start)

    def _roles(self, every: list[Blocks]) -> list[Roles]:
        """What devices do in each fine-tuning block of each of these plans; decided for all plans at once."""
        if not every:
            return []
        ahead = np.concatenate([blocks.rounds_ahead[len(blocks.pretrain) :] for blocks in every])
        costs = self._system.round_costs(self._forecast(ahead), self.prices, self._start.delay_s)
        weight = np.asarray(self._scenario.learning.device_weight)
        roles = heaviest_roles(costs, weight, self._start.battery_j, is_next=ahead == 0)
        ends = np.cumsum([len(blocks.finetune) for blocks in every])
        return [Roles(*(array[start:end] for array in roles)) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def _forecast(self, rounds_ahead: np.ndarray) -> Tape:
        return expected_tape(self._scenario, self._observed.conditions, rounds_ahead)

    @cached_property
    def _start(self) -> PlanStart:
        """Where the episode stands."""
        state, budgets = self._observed.state, self._scenario.budgets
        return PlanStart(
            delay_s=float(budgets.delay_s - state.elapsed_s),
            energy_j=float(budgets.energy_j - state.spent_j),
            battery_j=state.battery_j,
            bound_terms=BoundTerms(*(float(term) for term in state.bound_terms)),
        )


def _outlook(pair: Counts, episode: BlockEpisode) -> _Outlook | None:
    """The plan for one pair; None if it does not fit into what is left."""
    if min(episode.finetune_delay_s, episode.finetune_energy_j) <= 0:
        return None
    solution = EpisodeProgram(episode, recurring=True).solve(quick=True)
    if solution is None:
        return None
    times = solution.times
    return _Outlook(pair, episode.learning_bound(times.server_batch, times.batch), episode, solution)


def stopping_round(nothing: BlockEpisode) -> Allocation:
    """A round that cannot be counted, for one episode: a plan of no rounds holds nothing else."""
    plan = plan_from_times(nothing, RoundTimes.none(nothing.scenario.num_devices))
    return mapped(lambda rows: rows[0], plan.allocations)
