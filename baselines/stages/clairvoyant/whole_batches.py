"""Whole batches for a plan with real-valued ones: what the environment can play, nearly as good."""

import dataclasses

import numpy as np

from edgelearn_env.baselines.stages.clairvoyant.replayed_plan import Replayed
from edgelearn_env.baselines.stages.conic.program import SMALL, EpisodeProgram
from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.stages.model.plan_from_times import nearest_batches, plan_from_times
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.trajectory import rollout

# Batches are scaled by one number between these ends before they are rounded. It is near enough where so much of the
# budgets is used, or no other is left; of what is used it aims at a little less than all.
_LEAST_SCALE, _MOST_SCALE, _USED, _AIM, _NEAR = 0.9, 1.03, 0.9995, 0.9998, 1.001
_MOST_PROGRAMS = 8


def whole_plan(replayed: Replayed, solver: str) -> tuple[Plan, float]:
    """The plan in whole batches that reaches the least Phi of those tried, and what that is.

    Rounding down frees time and energy that no batch uses. So batches are rounded to the nearer whole number, in the
    sense of what 1/b costs (up from the geometric mean of both neighbours on), after all were scaled by one number:
    about the largest for which a conic program with the batches given finds times and powers within all budgets and
    batteries.

    Returns:
        Never worse than the plan with batches rounded down.
    """
    episode, times = replayed.episode, replayed.times
    plans = [plan_from_times(episode, times, shrink=replayed.shrink, whole_batches=True)]
    if episode.num_pretrain_rounds + episode.num_finetune_rounds:
        plans += _scaled_plans(episode, times, solver)
    promised = [episode.learning_bound(plan.server_batch, plan.batch) for plan in plans]
    best, achieved, least = plans[0], np.inf, np.inf
    for index in np.argsort(promised):
        if promised[index] > least:
            break  # So do all that are left, and none of them reaches less than it promises.
        played = rollout(episode.scenario, episode.tape, plans[index])
        if (reached := episode.reached(played)) < least:
            best, achieved, least = plans[index], float(played.objective[0]), reached
    return best, achieved


def _scaled_plans(episode: PlannedEpisode, times: RoundTimes, solver: str) -> list[Plan]:
    """Plans with all batches scaled and rounded; what they use of the budgets tells where to try next."""
    low, high, scale, plans = _LEAST_SCALE, _MOST_SCALE, 1.0, []
    for _ in range(_MOST_PROGRAMS):
        given = dataclasses.replace(episode, given_batches=nearest_batches(episode, times, scale))
        solution = EpisodeProgram(given, thrifty=True, recurring=given.participates.size <= SMALL).solve(solver)
        share = np.inf if solution is None else solution.share
        if solution is None or share > 1:
            high = scale
        else:
            low = scale
            plans.append(plan_from_times(given, solution.times, whole_batches=True))
        if _USED <= share <= 1 or high < low * _NEAR:
            break
        # Budgets are used about in proportion to batches; not those of batteries, nor where few batches are rounded.
        scale = scale * _AIM / share
        if not low < scale < high:
            scale = float(np.sqrt(low * high))
    return plans
