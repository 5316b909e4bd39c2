"""Plans for the rest of an episode on a forecast, by their numbers of rounds: searched for, compared, played."""

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram, Solution
from edgelearn_env.baselines.stages.model.plan_from_times import nearest_batches, plan_from_times
from edgelearn_env.baselines.stages.model.planned_episode import PlanStart
from edgelearn_env.baselines.stages.policies.block_episode import BlockEpisode, Blocks, first_block
from edgelearn_env.baselines.stages.policies.block_roles import LEAST_PRICE, PlanPrices, Roles, heaviest_roles
from edgelearn_env.baselines.stages.policies.forecast import expected_tape
from edgelearn_env.baselines.stages.policies.planned_system import PlannedSystem
from edgelearn_env.model import Allocation, Observed
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.tapes.tape import Tape

# Of pre-training and of fine-tuning.
Counts = tuple[int, int]

# Shares of the rounds left from which the first search starts if need be, and that of its first step.
_STARTS, _FIRST_STEP = (0.1, 0.25, 0.45), 1 / 32

# A rival plan, looked at once in so many rounds, has this share more or fewer rounds in one stage.
_RIVAL_EVERY, _STRIDE = 4, 0.06

# Of what a round leaves, how much more it may take for batches that are rounded up.
_SAVED = 0.1

# From round to round the price of charge falls by this factor at most.
_MOST_FALL = 2.0

# Where a plan asks for more than this share of what a device will have by then, its charge becomes dearer by a factor,
# from a share of the dearest energy on.
_ENOUGH, _RISE, _CHEAPEST, _MOST_DEAR = 0.9, 2.0, 0.01, 1e6


class Outlook(NamedTuple):
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
        unit, multipliers = self.episode.total_weight, self.solution.multipliers
        blocks = multipliers.carry[:2] if self.episode.num_finetune_rounds else np.zeros((1, len(before.charge)))
        prices = (multipliers.time, multipliers.energy, blocks[-1])
        second, joule, charge = (np.maximum(price * unit, LEAST_PRICE) for price in prices)
        silent = ~np.any(self.episode.participates, axis=0)
        charge = np.where(silent, before.charge, np.maximum(charge, before.charge / _MOST_FALL))
        return PlanPrices(float(second), float(joule), charge, self.value)


class Outlooks:
    """Plans for the rest of one episode by their numbers of rounds, each solved once.

    Args:
        system: what is planned.
        observed: state and conditions, without the leading axis of episodes.
        prices: of the last plan; charge becomes dearer where a plan does not fit for want of it.
    """

    def __init__(self, system: PlannedSystem, observed: Observed, prices: PlanPrices) -> None:
        self._system, self._observed, self.prices = system, observed, prices
        self._scenario = system.nothing.scenario
        self._most = self._scenario.budgets.max_rounds - int(observed.state.round_index)
        self._found: dict[Counts, Outlook | None] = {}

    @property
    def value_now(self) -> float:
        """The bound if nothing more is done."""
        return float(self._scenario.bound.value(self._observed.state.bound_terms))

    def search(self, planned: Counts) -> Outlook | None:
        """The best plan on the forecast, by two pattern searches with ever smaller steps.

        One starts from these numbers of rounds, or where they do not fit or are without fine-tuning from the best of
        some that are spread out, the other looks among plans without fine-tuning: between the two there may be plans
        that are worse than either.
        """
        most = self._most
        spread = [(int(a * most), max(1, int(b * most))) for a in _STARTS for b in _STARTS]
        start = self._affordable([planned]) if planned[1] else None
        both = self._descended(start or self._best([(0, 1), *spread]), stages=(0, 1))
        alone = self._descended(self._best([(max(1, int(a * most)), 0) for a in _STARTS]), stages=(0,))
        return better(both, alone)

    def _descended(self, best: Outlook | None, stages: tuple[int, ...]) -> Outlook | None:
        """The best that is reached by steps in some of the stages."""
        step = max(round(_FIRST_STEP * self._most), 1)
        while best is not None and step:
            near = [self._moved(best.pair, stage, sign * step) for stage in stages for sign in (1, -1)]
            rival = self._best([best.pair, *near])
            best, step = (best, step // 2) if rival is best else (rival, step)
        return best

    def compare(self, planned: Counts) -> Outlook | None:
        """The plan of the last round, or at times a neighbour of it; shortened as long as none fits."""
        pair = planned if any(planned) else (0, 1)
        turn, rounds_since = divmod(int(self._observed.state.round_index), _RIVAL_EVERY)
        best = self._affordable([pair] if rounds_since else [pair, self._rival(turn, *pair)])
        return best or self._shortened(pair) or self._shortened((pair[0], 0))

    def _shortened(self, pair: Counts) -> Outlook | None:
        """This plan, or the first that fits of ever shorter ones."""
        best = self._best([pair])
        while best is None and sum(pair) > 1:
            pair = (int(0.8 * pair[0]), min(pair[1], max(1, int(0.8 * pair[1]))))
            best = self._best([pair, (pair[0] + 1, pair[1])])
        return best

    def _affordable(self, pairs: list[Counts]) -> Outlook | None:
        """The best of these plans; if none fits, with charge so dear that those who are asked for too much stay out."""
        best = self._best(pairs)
        while best is None and self._makes_charge_dearer(pairs[0]):
            best = self._best(pairs)
        return best

    def _makes_charge_dearer(self, pair: Counts) -> bool:
        """Raise the price of charge for all who cannot pay for a plan of so many rounds; whether there are any.

        By the last round of a block a device has harvested as in rounds that are all of one length.
        """
        if not self._may_be(pair):
            return False
        blocks = Blocks.of(*pair)
        (roles,) = self._roles([blocks])
        needed_j = np.cumsum(np.asarray(blocks.finetune)[:, None] * roles.least_j, axis=0)
        harvested_s = self._start.delay_s * (pair[0] + np.cumsum(blocks.finetune) - 1) / sum(pair)
        will_have_j = self._start.battery_j + self._scenario.energy.harvest_mean_w * harvested_s[:, None]
        dearest = max(self.prices.joule, float(np.max(self.prices.charge)))
        short = np.any(needed_j > _ENOUGH * will_have_j, axis=0) & (self.prices.charge < _MOST_DEAR)
        if not short.any():
            return False
        dearer = np.maximum(_RISE * self.prices.charge, _CHEAPEST * dearest)
        self.prices = self.prices._replace(charge=np.where(short, dearer, self.prices.charge))
        self._found.clear()
        return True

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

    def _best(self, pairs: list[Counts]) -> Outlook | None:
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._found]
        self._found |= dict.fromkeys(new)
        possible = [pair for pair in new if self._may_be(pair)]
        for pair, episode in zip(possible, self._rests(possible), strict=True):
            self._found[pair] = _outlook(pair, episode)
        return better(*(self._found[pair] for pair in pairs))

    def _may_be(self, pair: Counts) -> bool:
        """Whether so many rounds may be played from here."""
        fits = min(pair) >= 0 and 1 <= sum(pair) <= self._most and min(self._start[:2]) > 0
        return fits and not (pair[0] and self._observed.state.finetuning)

    def first_round(self, outlook: Outlook) -> Allocation:
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
        if not any(blocks.finetune for blocks in every):
            nobody = np.zeros((0, self._scenario.num_devices), dtype=int)
            return [Roles(nobody, np.zeros(nobody.shape))] * len(every)
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


def better(*outlooks: Outlook | None) -> Outlook | None:
    """The best of those there are; None where there is none."""
    there = [outlook for outlook in outlooks if outlook is not None]
    return min(there, key=lambda outlook: outlook.value, default=None)


def _outlook(pair: Counts, episode: BlockEpisode) -> Outlook | None:
    """The plan for one pair; None if it does not fit into what is left."""
    if min(episode.finetune_delay_s, episode.finetune_energy_j) <= 0:
        return None
    solution = EpisodeProgram(episode, recurring=True).solve(quick=True)
    if solution is None:
        return None
    times = solution.times
    return Outlook(pair, episode.learning_bound(times.server_batch, times.batch), episode, solution)
