"""The static design without fine-tuning: the server alone, in closed form but for the level of its noise prices."""

import numpy as np

from edgelearn_env.baselines.stages.static.round_counts import MARGIN, Prices, Rounds
from edgelearn_env.baselines.stages.static.rounds import StaticConstants

_HALVINGS, _LEAST_LEVEL = 80, 1e-30


def solve_pretraining(
    constants: StaticConstants, num_rounds: int, shares: np.ndarray, stop: float
) -> tuple[Prices, Rounds | None]:
    """Best prices and rounds for (M, 0); no rounds if the budgets cannot pay for single samples.

    All rounds run at one clock, so that budgets allow B samples in all, B = T f / a or E / (kappa a f^2), whichever is
    less, with f = (E / (kappa T))^(1/3) where the clock's limits allow. Then b_m = sqrt(weight_m / level) within its
    limits, with the level at which they sum to B: the price of a sample.

    Args:
        constants: the scenario's constants.
        num_rounds: M > 0.
        shares: how the price of time is split among the devices, which have nothing to do here, (K,).
        stop: a value of X that is not worth reaching; where there are no rounds, the prices prove that it is exceeded.
    """
    server, devices = constants.server, constants.devices
    weight, count = constants.server_rounds(num_rounds)
    clocked, by_time, by_energy = _samples_and_slopes(constants)
    samples = clocked * (1 - MARGIN)
    if samples < num_rounds:
        # At this price single samples are cheapest, and those beyond the budgets cost more than `stop`.
        level = max(float(weight[0]), 2 * stop / (num_rounds - samples))
        return Prices(shares * (level * by_time), level * by_energy), None
    level, batch = _level(weight, count, samples, float(server.batch_max))
    prices = Prices(shares * (level * by_time), level * by_energy)
    cubed = constants.energy_j / (server.capacitance_j_s2 * constants.delay_s)
    rounds = Rounds(
        server_batch=np.repeat(batch, count.astype(int))[::-1],
        server_freq_hz=float(np.clip(np.cbrt(cubed), server.freq_min_hz, server.freq_max_hz)),
        batch=np.ones_like(shares),
        freq_hz=devices.freq_min_hz,
        upload_s=constants.least_upload_s,
        duration_s=0.0,
        noise=float(count @ (weight / batch)),
    )
    return prices, rounds


def _samples_and_slopes(constants: StaticConstants) -> tuple[float, float, float]:
    """Samples that both budgets allow together, and their derivatives in the delay and the energy budget."""
    server, delay_s, energy_j = constants.server, constants.delay_s, constants.energy_j
    freq_hz = np.cbrt(energy_j / (server.capacitance_j_s2 * delay_s))
    if freq_hz >= server.freq_max_hz:
        by_time = float(server.freq_max_hz / server.cycles_per_sample)
        return by_time * delay_s, by_time, 0.0
    if freq_hz <= server.freq_min_hz:
        by_energy = float(1 / (server.capacitance_j_s2 * server.cycles_per_sample * server.freq_min_hz**2))
        return by_energy * energy_j, 0.0, by_energy
    samples = float(delay_s * freq_hz / server.cycles_per_sample)
    return samples, 2 / 3 * samples / delay_s, samples / 3 / energy_j


def _level(weight: np.ndarray, count: np.ndarray, samples: float, largest: float) -> tuple[float, np.ndarray]:
    """The price of a sample, 0 where all batches can be as large as is useful, and the batches it leads to."""
    low, high = np.log(_LEAST_LEVEL), 0.0
    # Levels are relative to the largest weight's own, at which all batches are single samples.
    top = max(float(weight[0]), np.finfo(np.float64).tiny)
    root = np.sqrt(weight / top)
    least = _batches(root, low, largest)
    if count @ least <= samples:
        return 0.0, least
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if count @ _batches(root, middle, largest) <= samples else (middle, high)
    return top * float(np.exp(high)), _batches(root, high, largest)


def _batches(root: np.ndarray, log_level: float, largest: float) -> np.ndarray:
    """Batches at a given logarithm of the level."""
    within: np.ndarray = np.clip(root * np.exp(-log_level / 2), 1.0, largest)
    return within
