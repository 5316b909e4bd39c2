"""Which numbers of rounds a tape allows at all: conditions that need no solver, and rule out what would trouble one."""

import numpy as np

from edgelearn_env.baselines.two_stage.model.planned_episode import PlannedEpisode
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s

# A pair is ruled out only where it misses by more than rounding.
_SLACK = 1 + 1e-9


def within_reach(episode: PlannedEpisode) -> np.ndarray:
    """Pairs (M, N) that no budget and no battery rules out by itself, when every batch is a single sample.

    Args:
        episode: all rounds of the tape as fine-tuning rounds.

    Returns:
        (T + 1, T + 1) booleans, M by N; False where no plan has so many rounds.
    """
    scenario, budgets, num_rounds = episode.scenario, episode.scenario.budgets, episode.num_finetune_rounds
    rounds = np.arange(num_rounds + 1)
    first, last = rounds[:, None], np.minimum(rounds[:, None] + rounds, num_rounds)
    server, energy = episode.server, scenario.energy
    server_s = compute_time_s(server.cycles_per_sample, 1, server.freq_max_hz)
    server_j = compute_energy_j(server.capacitance_j_s2, server.cycles_per_sample, 1, server.freq_min_hz)
    device_j = _least_energy_j(episode)

    # What no budget or battery allows need not be told from what is much more; in a sum over rounds that would drown
    # all others.
    device_j = np.minimum(device_j, 2 * np.minimum(energy.battery_capacity_j, budgets.energy_j))
    duration_s = np.minimum(_least_duration_s(episode), 2 * budgets.delay_s)

    def between(per_round: np.ndarray) -> np.ndarray:
        """Sums over rounds first .. last - 1, for every pair."""
        sums = np.concatenate([np.zeros_like(per_round[:1]), np.cumsum(per_round, axis=0)])
        total: np.ndarray = sums[last] - sums[first]
        return total

    in_time = _within(first * server_s, between(duration_s), budgets.delay_s, episode)
    spent_j = between(np.sum(device_j, axis=1) + scenario.radio.downlink_j)
    reach: np.ndarray = (
        (first + rounds <= num_rounds) & in_time & _within(first * server_j, spent_j, budgets.energy_j, episode)
    )
    reach &= between(np.any(device_j > energy.battery_capacity_j * _SLACK, axis=1).astype(float)) == 0
    strongest_w = np.concatenate([np.zeros_like(device_j[:1]), np.maximum.accumulate(episode.tape.harvest_w)])
    for device in range(scenario.num_devices):
        available_j = np.asarray(energy.battery_initial_j)[device] + budgets.delay_s * strongest_w[last, device]
        reach &= between(device_j[:, device]) <= available_j * _SLACK
    return reach


def _within(pretrain: np.ndarray, finetune: np.ndarray, budget: float, episode: PlannedEpisode) -> np.ndarray:
    """Whether both stages' use of a budget, or of their own shares of it, is possible."""
    share = episode.restriction.pretrain_share
    within: np.ndarray
    if share is None:
        within = pretrain + finetune <= budget * _SLACK
    else:
        within = (pretrain <= share * budget * _SLACK) & (finetune <= (1 - share) * budget * _SLACK)
    return within


def _least_duration_s(episode: PlannedEpisode) -> np.ndarray:
    """Duration of each fine-tuning round with single samples, fastest clocks and full power, s, (T,)."""
    devices, uplink = episode.devices, episode.uplink
    compute_s = compute_time_s(devices.cycles_per_sample, 1, devices.freq_max_hz)
    duration_s: np.ndarray = np.max(compute_s + uplink.least_s, axis=1) + episode.scenario.radio.downlink_s
    return duration_s


def _least_energy_j(episode: PlannedEpisode) -> np.ndarray:
    """Energy of each device and round with a single sample, slowest clock and least power, J, (T, K)."""
    devices, uplink = episode.devices, episode.uplink
    compute_j = compute_energy_j(devices.capacitance_j_s2, devices.cycles_per_sample, 1, devices.freq_min_hz)
    # Without a least power e^x - 1 over x tends to 1.
    x = np.log1p(uplink.power_min_w / uplink.noise_w)
    slope = np.where(x > 0, np.expm1(x) / np.where(x > 0, x, 1.0), 1.0)
    energy_j: np.ndarray = compute_j + uplink.nats_s * uplink.noise_w * slope
    return energy_j
