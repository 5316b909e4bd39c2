"""Model-predictive control: plan the rest of the episode on a forecast, play the first round, plan again."""

import dataclasses
from functools import cached_property
from typing import NamedTuple

import numpy as np
from joblib import delayed

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.two_stage.conic.program import EpisodeProgram, Multipliers
from edgelearn_env.baselines.two_stage.model.cheapest_rounds import RoundCosts, cheapest_rounds, device_costs
from edgelearn_env.baselines.two_stage.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.two_stage.model.hardware import device_processors, least_dissimilarity, uplinks
from edgelearn_env.baselines.two_stage.model.plan import nearest_batches, plan_from_times
from edgelearn_env.baselines.two_stage.model.planned_episode import PlannedEpisode, PlanStart
from edgelearn_env.baselines.two_stage.model.round_times import RoundTimes
from edgelearn_env.baselines.two_stage.policies.forecast import expected_tape
from edgelearn_env.baselines.two_stage.static.rounds import StaticConstants
from edgelearn_env.baselines.two_stage.static.search import best_rounds
from edgelearn_env.model import Observed
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.two_stage.dynamics import planned_round as planned_round_of
from edgelearn_env.two_stage.scenario import TwoStageScenario

Counts = tuple[int, int]

# Shares of the rounds left from which the first search starts.
_STARTS = (0.1, 0.25, 0.45)

# A rival plan has this share more or fewer rounds in one stage.
_STRIDE = 0.06

# A block of alike rounds is this much longer than the one before it.
_GROWTH = 1.7

# How far from the best a round's participants may be, of what taking part is worth.
_TOLERANCE = 1e-3

# Rounds that cost so much more than the cheapest, in what the heaviest device is worth, are nearly as good.
_NEARLY = 1.5

# Of what a round leaves, how much more it may take for batches that are rounded up.
_SAVED = 0.1

# Of a round, for a single sample.
_COMPUTE_SHARE = 0.2

# Closed forms divide by prices.
_LEAST_PRICE = 1e-12


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockEpisode(PlannedEpisode):
    """A planned episode in blocks of alike rounds, each one row of the tape.

    Attributes:
        pretrain_blocks, finetune_blocks: rounds in each block.
    """

    pretrain_blocks: tuple[int, ...]
    finetune_blocks: tuple[int, ...]

    @cached_property
    def pretrain_repeats(self) -> np.ndarray:
        """Rounds in each pre-training block, (M,)."""
        return np.array(self.pretrain_blocks, dtype=float)

    @cached_property
    def finetune_repeats(self) -> np.ndarray:
        """Rounds in each fine-tuning block, (N,)."""
        return np.array(self.finetune_blocks, dtype=float)


class PlanPrices(NamedTuple):
    """What a plan's constraints are worth, in units of the bound's numerator: of a second, of a joule, of charge, (K,).

    `value` is its Phi, what participation is worth.
    """

    second: float
    joule: float
    charge: np.ndarray
    value: float


class Remembered(NamedTuple):
    """What is taken along from round to round: numbers of rounds to come, None at first; prices of the last plan."""

    pair: Counts | None
    prices: PlanPrices


class _Outlook(NamedTuple):
    """A plan on a forecast: its numbers of rounds, what Phi it would end with, its first round, and its prices."""

    pair: Counts
    value: float
    first_round: Allocation
    prices: PlanPrices


class MPC:
    """Receding-horizon control with certainty-equivalent forecasts.

    In every round the conic program of the rest of the episode is solved on expected channels and harvests, in blocks
    that grow with their distance, and the first round of its solution is played, in whole batches. Who takes part in
    each block is what costs least at the prices of the last plan, of time, energy and every battery's charge
    (`cheapest_rounds`). How many rounds to play in each stage is planned anew all the time: the last plan less the
    round played is compared with one neighbour, which takes its place if it is better. The switch is made when no
    pre-training round is left in the plan.

    Numbers of rounds and prices are remembered from round to round, for each episode of a batch by its place.
    """

    def __init__(self, scenario: TwoStageScenario) -> None:
        self._scenario = scenario
        self._remembered: dict[int, Remembered] = {}

    def __call__(self, observed: Observed) -> Allocation:
        """The first round of a fresh plan for every episode."""
        running = np.flatnonzero(~observed.state.ended).tolist()
        episodes = [mapped(lambda array, i=index: array[i], observed) for index in running]
        jobs = (
            delayed(planned_round)(self._scenario, episode, self._known(index, episode))
            for index, episode in zip(running, episodes, strict=True)
        )
        decided = shared_out(jobs, len(episodes))
        rows = [stopping_round(self._scenario)] * len(observed.state.ended)
        for index, (allocation, remembered) in zip(running, decided, strict=True):
            rows[index], self._remembered[index] = allocation, remembered
        return mapped(lambda *arrays: np.stack(arrays), *rows)

    def _known(self, index: int, episode: Observed) -> Remembered:
        known = self._remembered.get(index) if episode.state.round_index else None
        return known or self._at_first

    @cached_property
    def _at_first(self) -> Remembered:
        """The prices of the static design; charge is worth what other energy is."""
        best = best_rounds(StaticConstants.of(self._scenario), "both")
        unit = self._scenario.bound.quotient_form(0).finetune_weight
        joule = max(unit * best.prices.energy, _LEAST_PRICE)
        second = max(unit * float(np.sum(best.prices.finish)), _LEAST_PRICE)
        charge = np.full(self._scenario.num_devices, joule)
        return Remembered(None, PlanPrices(second, joule, charge, best.value))


def planned_round(scenario: TwoStageScenario, observed: Observed, known: Remembered) -> tuple[Allocation, Remembered]:
    """What to do in this round of one episode, and what to remember of its plan.

    Args:
        scenario: the system.
        observed: state and conditions, without the leading axis of episodes.
        known: of the round before.
    """
    outlooks = _Outlooks(scenario, observed, known.prices)
    best = outlooks.search() if known.pair is None else outlooks.compare(known.pair)
    now = float(scenario.bound.value(observed.state.bound_terms))
    if best is None or (observed.state.finetuning and best.value >= now):
        return stopping_round(scenario), Remembered((0, 0), known.prices)
    num_pretrain, num_finetune = best.pair
    pair = (num_pretrain - 1, num_finetune) if num_pretrain else (0, num_finetune - 1)
    return best.first_round, Remembered(pair, best.prices)


class _Outlooks:
    """Plans for the rest of one episode by their numbers of rounds, each solved once."""

    def __init__(self, scenario: TwoStageScenario, observed: Observed, prices: PlanPrices) -> None:
        self._scenario, self._observed, self._prices = scenario, observed, prices
        self._most = scenario.budgets.max_rounds - int(observed.state.round_index)
        self._found: dict[Counts, _Outlook | None] = {}

    def search(self) -> _Outlook | None:
        """The best plan on the forecast, by a pattern search with ever smaller steps."""
        most, step = self._most, max(self._most // 8, 1)
        best = self._best([(0, 1), *((int(a * most), max(1, int(b * most))) for a in _STARTS for b in _STARTS)])
        while best is not None and step:
            num_pretrain, num_finetune = best.pair
            near = [(num_pretrain + a * step, num_finetune + b * step) for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))]
            rival = self._best([best.pair, *near])
            best, step = (best, step // 2) if rival is best else (rival, step)
        return best

    def compare(self, planned: Counts) -> _Outlook | None:
        """The plan of the last round or a neighbour of it, which take turns; shortened as long as neither fits."""
        turn, (num_pretrain, num_finetune) = int(self._observed.state.round_index), planned
        num_finetune, sign = max(num_finetune, 1), 1 if turn % 4 < 2 else -1
        if turn % 2 or self._observed.state.finetuning:
            rival = (num_pretrain, num_finetune + sign * max(1, round(_STRIDE * num_finetune)))
        else:
            rival = (num_pretrain + sign * max(1, round(_STRIDE * num_pretrain)), num_finetune)
        best = self._best([(num_pretrain, num_finetune), rival])
        while best is None and (num_pretrain, num_finetune) != (0, 1):
            num_pretrain, num_finetune = int(0.8 * num_pretrain), max(1, int(0.8 * num_finetune))
            best = self._best([(num_pretrain, num_finetune), (num_pretrain + 1, num_finetune)])
        return best

    def _best(self, pairs: list[Counts]) -> _Outlook | None:
        outlooks = [outlook for outlook in map(self._outlook, pairs) if outlook is not None]
        return min(outlooks, key=lambda outlook: outlook.value, default=None)

    def _outlook(self, pair: Counts) -> _Outlook | None:
        """The plan for one pair; None if it does not fit into what is left."""
        fits = pair[0] >= 0 and pair[1] >= 1 and sum(pair) <= self._most
        if not fits or (pair[0] and self._observed.state.finetuning):
            return None
        if pair not in self._found:
            self._found[pair] = self._solved(pair)
        return self._found[pair]

    def _solved(self, pair: Counts) -> _Outlook | None:
        episode = self._rest(*pair)
        if min(episode.finetune_delay_s, episode.finetune_energy_j) <= 0:
            return None
        solution = EpisodeProgram(episode, recurring=True).solve()
        if solution is None:
            return None
        value = episode.learning_bound(solution.times.server_batch, solution.times.batch)
        first_round = self._first_round(episode, solution.times)
        return _Outlook(pair, value, first_round, self._prices_of(episode, solution.multipliers, value))

    def _first_round(self, episode: BlockEpisode, times: RoundTimes) -> Allocation:
        """The first round in the nearest whole batches; rounded down where later rounds could not save what is more."""
        near = dataclasses.replace(episode, given_batches=nearest_batches(episode, times))
        rounds = [plan_from_times(planned, times, whole_batches=True).allocations for planned in (near, episode)]
        nearest, below = (mapped(lambda rows: rows[0], each) for each in rounds)
        used, least, left = self._used(nearest), self._used(below), np.array(episode.start[:2])
        return nearest if np.all(used - least <= _SAVED * (left - least)) else below

    def _used(self, allocation: Allocation) -> np.ndarray:
        """Seconds and joules that the round would take, (2,)."""
        state, conditions, batch_of_one = mapped(lambda array: np.asarray(array)[None], (*self._observed, allocation))
        used = planned_round_of(constants_of(self._scenario), state, conditions, batch_of_one)
        return np.array([used.duration_s[0], used.energy_j[0]])

    def _prices_of(self, episode: BlockEpisode, multipliers: Multipliers, value: float) -> PlanPrices:
        """What the plan's constraints are worth; charge as before the second block of rounds."""
        unit, second_block = episode.total_weight, min(1, episode.num_finetune_rounds - 1)
        prices = (multipliers.time, multipliers.energy, multipliers.carry[second_block])
        second, joule, charge = (np.maximum(price * unit, _LEAST_PRICE) for price in prices)
        return PlanPrices(float(second), float(joule), charge, value)

    def _participates(self, tape: Tape, num_pretrain: int) -> np.ndarray:
        """Who takes part in each block of fine-tuning rounds, (N, K).

        Of the sets whose round costs nearly as little as the cheapest one at the last plan's prices, the heaviest: at
        the best number of rounds one round more, or one with fewer devices, costs about as much as it brings.
        """
        scenario, prices, state = self._scenario, self._prices, self._observed.state
        form, weight = scenario.bound.quotient_form(0), np.asarray(scenario.learning.device_weight)
        harvest_w, uplink = tape.harvest_w[num_pretrain:], uplinks(scenario, tape.channel_gain[num_pretrain:])
        devices = device_processors(scenario)
        sets = AllowedSets.all_of(*harvest_w.shape)
        costs = RoundCosts(
            second=np.maximum(prices.second - harvest_w @ prices.charge, _LEAST_PRICE),
            joule=np.broadcast_to(prices.joule + prices.charge, harvest_w.shape),
            gain=np.broadcast_to(prices.value * form.participation_weight * weight, harvest_w.shape),
            noise=form.finetune_weight * scenario.gradient_noise_weight,
            dissimilarity=form.dissimilarity_weight * least_dissimilarity(scenario, sets),
            devices=devices,
            uplink=uplink,
            longest_s=float(scenario.budgets.delay_s - state.elapsed_s),
            sets=sets,
        )
        worth = float(np.max(costs.gain))
        found = cheapest_rounds(costs, _TOLERANCE * worth, _NEARLY * worth)
        heaviest = np.lexsort((found.participates @ weight, found.round_index))
        first = heaviest[np.searchsorted(found.round_index, np.arange(len(harvest_w)), side="right") - 1]
        participates = found.participates[first]
        if num_pretrain == 0:
            seconds = device_costs(costs, found.round_index[first[:1]], found.finish[first[:1]]).seconds[0]
            longest_s = np.max(seconds, where=participates[0], initial=0.0)
            covered = _single_sample_j(devices, uplink, longest_s) <= state.battery_j
            participates[0] &= covered
            participates[0, np.argmax(covered * uplink.least_s[0] ** -1.0)] |= ~participates[0].any()
        return participates

    def _rest(self, num_pretrain: int, num_finetune: int) -> BlockEpisode:
        """The rest of the episode in blocks, on the forecast."""
        state, budgets = self._observed.state, self._scenario.budgets
        pretrain = _blocks(num_pretrain, 1.0)
        # Far from now forecasts are alike: few blocks do.
        finetune = _blocks(num_finetune, max(1.0, num_finetune / 6) if num_pretrain else 1.0)
        sizes = np.array([*pretrain, *finetune])
        middle = np.cumsum(sizes) - (sizes + 1) / 2
        tape = expected_tape(self._scenario, self._observed.conditions, middle)
        return BlockEpisode(
            scenario=self._scenario,
            tape=tape,
            given_participates=self._participates(tape, len(pretrain)),
            num_pretrain_rounds=len(pretrain),
            num_finetune_rounds=len(finetune),
            given_start=PlanStart(
                delay_s=float(budgets.delay_s - state.elapsed_s),
                energy_j=float(budgets.energy_j - state.spent_j),
                battery_j=state.battery_j,
                bound_terms=BoundTerms(*(float(term) for term in state.bound_terms)),
            ),
            pretrain_blocks=pretrain,
            finetune_blocks=finetune,
        )


def _single_sample_j(devices: Processor, uplink: Uplink, seconds: float) -> np.ndarray:
    """Energy of one sample and an upload in the first round, most of which is left to the upload, J, (K,)."""
    compute_s = np.maximum(_COMPUTE_SHARE * seconds, devices.cycles_per_sample / devices.freq_max_hz)
    upload_s = np.maximum(seconds - compute_s, uplink.least_s[0])
    computed_j = devices.capacitance_j_s2 * devices.cycles_per_sample**3 / compute_s**2
    energy_j: np.ndarray = computed_j + uplink.noise_w[0] * np.expm1(uplink.nats_s / upload_s) * upload_s
    return energy_j


def _blocks(total: int, first: float) -> tuple[int, ...]:
    """Sizes of blocks that sum to `total`: one round, then from `first` on ever longer."""
    sizes, size = [1] if total else [], first
    while sum(sizes) < total:
        sizes.append(min(round(size), total - sum(sizes)))
        size *= _GROWTH
    return tuple(sizes)


def stopping_round(scenario: TwoStageScenario) -> Allocation:
    """A round that cannot be counted, for one episode: a plan of no rounds holds nothing else."""
    tape = Tape(*np.ones((2, 1, scenario.num_devices)))
    nothing = PlannedEpisode(scenario=scenario, tape=tape, num_pretrain_rounds=0, num_finetune_rounds=0)
    plan = plan_from_times(nothing, RoundTimes.none(scenario.num_devices))
    return mapped(lambda rows: rows[0], plan.allocations)
