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

# Batches are scaled by one number before they are rounded; it is halved in on between these ends.
_LEAST_SCALE, _MOST_SCALE, _NUM_HALVINGS = 0.9, 1.03, 7


def whole_plan(replayed: Replayed, solver: str) -> Plan:
    """The plan in whole batches that reaches the least Phi of those tried.

    Rounding down frees time and energy that no batch uses. So batches are rounded to the nearer whole number, in the
    sense of what 1/b costs (up from the geometric mean of both neighbours on), after all were scaled by one number: the
    largest for which a conic program with the batches given finds times and powers within all budgets and batteries.

    Returns:
        Never worse than the plan with batches rounded down.
    """
    episode, times = replayed.episode, replayed.times
    best = plan_from_times(episode, times, shrink=replayed.shrink, whole_batches=True)
    least = _reached(episode, best)
    if not episode.num_pretrain_rounds + episode.num_finetune_rounds:
        return best
    low, high = _LEAST_SCALE, _MOST_SCALE
    for _ in range(_NUM_HALVINGS):
        scale = np.sqrt(low * high)
        played = _rounded(episode, times, scale, solver)
        if played is None:
            high = scale
            continue
        low, reached = scale, _reached(episode, played)
        if reached < least:
            best, least = played, reached
    return best


def _rounded(episode: PlannedEpisode, times: RoundTimes, scale: float, solver: str) -> Plan | None:
    """A plan with all batches scaled and rounded, if there is one within all budgets and batteries."""
    given = dataclasses.replace(episode, given_batches=nearest_batches(episode, times, scale))
    solution = EpisodeProgram(given, thrifty=True, recurring=given.participates.size <= SMALL).solve(solver)
    if solution is None or solution.share > 1:
        return None
    return plan_from_times(given, solution.times, whole_batches=True)


def _reached(episode: PlannedEpisode, plan: Plan) -> float:
    return float(rollout(episode.scenario, episode.tape, plan).objective[0])
