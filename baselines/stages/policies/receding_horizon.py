"""Model-predictive control: plan the rest of the episode on a forecast, play the first round, plan again."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from joblib import delayed

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.baselines.stages.model.plan_from_times import plan_from_times
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.baselines.stages.policies.block_episode import BlockEpisode
from edgelearn_env.baselines.stages.policies.block_roles import LEAST_PRICE, PlanPrices
from edgelearn_env.baselines.stages.policies.outlooks import Counts, Outlook, Outlooks, better
from edgelearn_env.baselines.stages.policies.planned_system import PlannedSystem
from edgelearn_env.model import Allocation, Observed

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


class RecedingHorizon:
    """Receding-horizon control with certainty-equivalent forecasts.

    In every round the conic program of the rest of the episode is solved on expected channels and harvests, in blocks
    that grow with their distance, and the first round of its solution is played, in whole batches. Who takes part in
    each block, and at which level, is what costs least at the prices of the last plan, of time, energy and every
    battery's charge (`cheapest_rounds`). How many rounds to play in each stage is first searched for from the static
    design on, and among plans without fine-tuning, and then planned anew all the time: in every fourth round the last
    plan less the round played is compared with one neighbour, which takes its place if it is better. The switch is made
    when no pre-training round is left in the plan; the episode is stopped where the plan ends no better than it stands.

    Numbers of rounds and prices are remembered from round to round, for each episode of a batch by its place. So one
    object plays one rollout at a time: threads need one each.

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
    outlooks = Outlooks(system, observed, known.prices)
    best = _searched(system, observed, known) if known.is_design else outlooks.compare(known.pair)
    if best is None or best.value >= outlooks.value_now:
        return stopping_round(system.nothing), Remembered((0, 0), known.prices)
    num_pretrain, num_finetune = best.pair
    pair = (num_pretrain - 1, num_finetune) if num_pretrain else (0, num_finetune - 1)
    follows = system.has_levels and not known.is_design
    planned = best.prices(outlooks.prices)
    prices = known.prices.towards(planned, _FOLLOWED) if follows else planned
    return outlooks.first_round(best), Remembered(pair, prices)


def _searched(system: PlannedSystem, observed: Observed, design: Remembered) -> Outlook | None:
    """The best plan that is found from a design; with levels, from what was found as well, again."""
    pair, prices, found = design.pair, design.prices, list[Outlook]()
    for _ in range(_SEARCHES if system.has_levels else 1):
        best = Outlooks(system, observed, prices).search(pair)
        if best is None:
            break
        found.append(best)
        pair, prices = best.pair, prices.towards(best.prices(prices), _FOLLOWED)
    return better(*found)


def stopping_round(nothing: BlockEpisode) -> Allocation:
    """A round that cannot be counted, for one episode: a plan of no rounds holds nothing else."""
    plan = plan_from_times(nothing, RoundTimes.none(nothing.scenario.num_devices))
    return mapped(lambda rows: rows[0], plan.allocations)
