"""Model-predictive control: plan the rest of the episode on a forecast, play the first round, plan again."""

import dataclasses
from functools import cached_property
from typing import NamedTuple

import numpy as np
from joblib import delayed

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.baselines.two_stage.conic.program import EpisodeProgram
from edgelearn_env.baselines.two_stage.model.plan import plan_from_times
from edgelearn_env.baselines.two_stage.model.planned_episode import PlannedEpisode, PlanStart
from edgelearn_env.baselines.two_stage.model.round_times import RoundTimes
from edgelearn_env.baselines.two_stage.policies.forecast import expected_tape
from edgelearn_env.model import Observed
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.two_stage.bounds import BoundTerms
from edgelearn_env.two_stage.records import Allocation
from edgelearn_env.two_stage.scenario import TwoStageScenario

Counts = tuple[int, int]

# Shares of the rounds left from which the first search starts.
_STARTS = (0.1, 0.25, 0.45)

# A rival plan has this share more or fewer rounds in one stage.
_STRIDE = 0.06

# A block of alike rounds is this much longer than the one before it.
_GROWTH = 1.7

# Batteries keep what an upload needs in a fade this deep, of the mean gain, which one in three thousand is deeper than.
# On tuning tapes of `default` that was best: a fade that a battery cannot pay for ends the episode.
_RESERVED_FADE = 3e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockEpisode(PlannedEpisode):
    """A planned episode in blocks of alike rounds, each one row of the tape, with a reserve in the batteries.

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

    @cached_property
    def reserve_j(self) -> np.ndarray:
        """Twice the least energy of an upload in a deep fade, at most half of what is there, J, (K,)."""
        radio = self.scenario.radio
        noise_w = radio.noise_w_per_hz * radio.bandwidth_hz / (_RESERVED_FADE * self.scenario.mean_channel_gain)
        reserve_j: np.ndarray = np.minimum(2 * noise_w * self.uplink.nats_s, 0.5 * self.start.battery_j)
        return reserve_j


class _Outlook(NamedTuple):
    """A plan on a forecast: its numbers of rounds, what Phi it would end with, and its first round."""

    pair: Counts
    value: float
    first_round: Allocation


class MPC:
    """Receding-horizon control with certainty-equivalent forecasts.

    In every round the conic program of the rest of the episode is solved on expected channels and harvests, in blocks
    that grow with their distance, and the first round of its solution is played, in whole batches. How many rounds to
    play in each stage is planned anew all the time: the last plan less the round played is compared with one neighbour,
    which takes its place if it is better. The switch is made when no pre-training round is left in the plan.

    The numbers of rounds planned are remembered from round to round, for each episode of a batch by its place.
    """

    def __init__(self, scenario: TwoStageScenario) -> None:
        self._scenario = scenario
        self._planned: dict[int, Counts] = {}

    def __call__(self, observed: Observed) -> Allocation:
        """The first round of a fresh plan for every episode."""
        running = np.flatnonzero(~observed.state.ended).tolist()
        episodes = [mapped(lambda array, i=index: array[i], observed) for index in running]
        jobs = (
            delayed(planned_round)(self._scenario, episode, self._remembered(index, episode))
            for index, episode in zip(running, episodes, strict=True)
        )
        decided = shared_out(jobs, len(episodes))
        rows = [stopping_round(self._scenario)] * len(observed.state.ended)
        for index, (allocation, pair) in zip(running, decided, strict=True):
            rows[index], self._planned[index] = allocation, pair
        return mapped(lambda *arrays: np.stack(arrays), *rows)

    def _remembered(self, index: int, episode: Observed) -> Counts | None:
        return self._planned.get(index) if episode.state.round_index else None


def planned_round(scenario: TwoStageScenario, observed: Observed, planned: Counts | None) -> tuple[Allocation, Counts]:
    """What to do in this round of one episode, and the numbers of rounds (M, N) planned after it.

    Args:
        scenario: the system.
        observed: state and conditions, without the leading axis of episodes.
        planned: rounds planned from this one on; searched for if None.
    """
    outlooks = _Outlooks(scenario, observed)
    best = outlooks.search() if planned is None else outlooks.compare(planned)
    now = float(scenario.bound.value(observed.state.bound_terms))
    if best is None or (observed.state.finetuning and best.value >= now):
        return stopping_round(scenario), (0, 0)
    num_pretrain, num_finetune = best.pair
    return best.first_round, (num_pretrain - 1, num_finetune) if num_pretrain else (0, num_finetune - 1)


class _Outlooks:
    """Plans for the rest of one episode by their numbers of rounds, each solved once."""

    def __init__(self, scenario: TwoStageScenario, observed: Observed) -> None:
        self._scenario, self._observed = scenario, observed
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
        """The plan of the last round or a neighbour of it, which take turns; shortened as long as neither fits.

        A switch into a round that no battery can pay for is put off.
        """
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
        plan = plan_from_times(episode, solution.times, whole_batches=True)
        value = episode.learning_bound(solution.times.server_batch, solution.times.batch)
        return _Outlook(pair, value, mapped(lambda rows: rows[0], plan.allocations))

    def _rest(self, num_pretrain: int, num_finetune: int) -> BlockEpisode:
        """The rest of the episode in blocks, on the forecast."""
        state, budgets = self._observed.state, self._scenario.budgets
        pretrain = _blocks(num_pretrain, 1.0)
        # Far from now forecasts are alike: few blocks do.
        finetune = _blocks(num_finetune, max(1.0, num_finetune / 6) if num_pretrain else 1.0)
        sizes = np.array([*pretrain, *finetune])
        middle = np.cumsum(sizes) - (sizes + 1) / 2
        return BlockEpisode(
            scenario=self._scenario,
            tape=expected_tape(self._scenario, self._observed.conditions, middle),
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
