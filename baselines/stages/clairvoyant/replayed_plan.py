"""From the times of a solved program to a plan that is known to be playable, since the dynamics have played it."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.stages.model.plan_from_times import plan_from_times
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.trajectory import Trajectory, rollout

MAX_RESIDUAL = 1e-6

# Shares by which batches are cut, one tried after the other, until the plan stays within all budgets.
SHRINKS = (0.0, 1e-6, 1e-5, 1e-4)


class Replayed(NamedTuple):
    """A plan and what became of it.

    Attributes:
        episode, times: what it was made from.
        plan: with real-valued batches.
        value: its learning bound, from its batch sizes.
        residual: how far it exceeds a budget or overdraws a battery, relative, and how far the bound that it reaches is
            from `value`.
        played: the episode.
        shrink: share by which its batches were cut.
    """

    episode: PlannedEpisode
    times: RoundTimes
    plan: Plan
    value: float
    residual: float
    played: Trajectory
    shrink: float

    @property
    def succeeds(self) -> bool:
        """Whether it keeps to everything and reaches its value."""
        return self.residual <= MAX_RESIDUAL


def replayed_plan(episode: PlannedEpisode, times: RoundTimes) -> Replayed:
    """The plan with the largest batches that can be played, or the last one that was tried."""
    for shrink in SHRINKS:
        plan = plan_from_times(episode, times, shrink=shrink)
        value = episode.learning_bound(plan.server_batch, plan.batch)
        played = rollout(episode.scenario, episode.tape, plan)
        replayed = Replayed(
            episode, times, plan, value, _residual(played, episode.reached(played) / value), played, shrink
        )
        if replayed.succeeds:
            break
    return replayed


def _residual(played: Trajectory, ratio: float) -> float:
    """How far an episode exceeds a budget or overdraws a battery, and its bound differs by a ratio."""
    budgets, end = played.scenario.budgets, played.final_state
    late, dear = end.elapsed_s[0] / budgets.delay_s - 1, end.spent_j[0] / budgets.energy_j - 1
    overdraft = np.max(-end.battery_j / played.scenario.energy.battery_capacity_j)
    return float(max(0.0, late, dear, overdraft, abs(ratio - 1)))
