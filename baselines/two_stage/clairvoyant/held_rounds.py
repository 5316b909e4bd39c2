"""Plans at a fixed power, whose uploads cannot be slowed down to make a round last."""

import numpy as np

from edgelearn_env.baselines.two_stage.clairvoyant.replayed_plan import Replayed, replayed_plan
from edgelearn_env.baselines.two_stage.conic.program import EpisodeProgram

# Relative; what is shorter is a solver's rounding.
_SHORT = 1e-5


def held_plan(replayed: Replayed, solver: str) -> Replayed:
    """The plan itself, if it can be played; else one of a program in which rounds are made to last.

    The program of an episode takes for granted that a round may last longer than any device needs, to harvest. Where it
    chose to, the device that can compute for longest is asked to do so until the end of the round, which may take a
    larger batch than it would have chosen. Such a plan is feasible, not the best of its kind.

    Returns:
        A plan that succeeds, or the last one that was tried.
    """
    episode = replayed.episode
    devices, uplink = episode.devices, episode.uplink
    holds = np.zeros_like(uplink.noise_w, dtype=bool)
    for _ in range(episode.num_finetune_rounds):
        short = _short_rounds(replayed) & ~holds.any(axis=1)
        if replayed.succeeds or not short.any():
            break
        slowest_s = devices.cycles_per_sample * replayed.times.batch / devices.freq_min_hz + uplink.least_s
        holds[short, np.argmax(slowest_s, axis=1)[short]] = True
        solution = EpisodeProgram(episode, holds=holds).solve(solver)
        if solution is None:
            break
        replayed = replayed_plan(episode, solution.times)
    return replayed


def _short_rounds(replayed: Replayed) -> np.ndarray:
    """Which fine-tuning rounds were over too soon when the plan was played, (N,)."""
    episode = replayed.episode
    counted, duration_s = (
        array[0, episode.num_pretrain_rounds :][: episode.num_finetune_rounds]
        for array in (replayed.played.outcomes.counted, replayed.played.outcomes.duration_s)
    )
    planned_s = replayed.times.duration_s + episode.scenario.radio.downlink_s
    short = np.zeros(len(planned_s), dtype=bool)
    short[: len(counted)] = counted & (duration_s < planned_s[: len(counted)] * (1 - _SHORT))
    return short
