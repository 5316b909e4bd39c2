"""The best plan that does the same in every round of a stage, on a channel that does not vary, by formulas."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.stages.scenario import StagedScenario

# Nine in ten uploads over a Rayleigh channel meet at least this share of its mean gain.
FADED = -np.log(0.9)

_COUNTS = 14
_SHARES = np.linspace(0.1, 0.9, 9)
_UPLOAD_SHARES = np.array([0.2, 0.4, 0.6, 0.8])


class StaticPlan(NamedTuple):
    """M equal server rounds, then N equal fine-tuning rounds, on a channel that does not vary.

    Attributes:
        objective: its Phi.
        time_share: share of the delay budget that the server rounds take.
        server_freq_hz, server_batch: of each server round.
        freq_hz, power_w, batch: of each device in each fine-tuning round, (K,).
    """

    objective: float
    time_share: float
    server_freq_hz: float
    server_batch: float
    freq_hz: np.ndarray
    power_w: np.ndarray
    batch: np.ndarray


def static_plan(scenario: StagedScenario) -> StaticPlan:
    """The best of a grid of static plans: numbers of rounds, and how budgets are shared out.

    Each stage gets a share of delay and energy, its rounds equal parts of that, and its devices equal parts of a round.
    A device uses a share of the round to upload, at the power that this takes on a faded channel, and the rest to
    compute, as fast as the energy left allows: f = (e / (kappa t))^(1/3), b = f t / a.
    """
    counts = np.unique(np.geomspace(1, scenario.budgets.max_rounds, _COUNTS).round().astype(np.int64))
    axes = np.meshgrid(counts, counts, _SHARES, _SHARES, _UPLOAD_SHARES, indexing="ij")
    num_pretrain, num_finetune, time_share, energy_share, upload_share = (axis.ravel() for axis in axes)
    server_freq_hz, server_batch = _server(scenario, num_pretrain, time_share, energy_share)
    freq_hz, power_w, batch = _devices(scenario, num_finetune, 1 - time_share, 1 - energy_share, upload_share)
    form = scenario.bound.quotient_form(num_pretrain).at(num_finetune)
    decayed = form.pretrain_decay ** np.arange(counts[-1] + 1)
    decay_sum = (np.cumsum(decayed) - decayed)[num_pretrain]
    noise = num_finetune * np.sum(scenario.gradient_noise_weight / batch, axis=1)
    value = form.constant + form.pretrain_weight * decay_sum / server_batch + form.finetune_weight * noise
    value[num_pretrain + num_finetune > scenario.budgets.max_rounds] = np.inf
    best = int(np.argmin(value))
    return StaticPlan(
        objective=float(value[best]),
        time_share=float(time_share[best]),
        server_freq_hz=float(server_freq_hz[best]),
        server_batch=float(max(server_batch[best], 1.0)),
        freq_hz=freq_hz[best],
        power_w=power_w[best],
        batch=np.maximum(batch[best], 1.0),
    )


def _server(
    scenario: StagedScenario, num_rounds: np.ndarray, time_share: np.ndarray, energy_share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Clock frequency and batch size of equal server rounds; a batch below 1 says that they cannot be had."""
    server, cycles = scenario.server, scenario.server_cycles_per_sample
    round_s = time_share * scenario.budgets.delay_s / num_rounds
    round_j = energy_share * scenario.budgets.energy_j / num_rounds
    kappa = server.overhead_factor * server.capacitance_j_s2
    return _compute(
        round_s, round_j, kappa, cycles, np.array([server.freq_min_hz, server.freq_max_hz, server.batch_max])
    )


def _devices(
    scenario: StagedScenario,
    num_rounds: np.ndarray,
    time_share: np.ndarray,
    energy_share: np.ndarray,
    upload_share: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clock frequency, power and batch size of each device in equal fine-tuning rounds, (G, K) each."""
    devices, radio, energy, budgets = scenario.devices, scenario.radio, scenario.energy, scenario.budgets
    round_s = np.maximum(time_share * budgets.delay_s / num_rounds - radio.downlink_s, 1e-9)[:, None]
    shared_j = (energy_share * budgets.energy_j / num_rounds - radio.downlink_j) / scenario.num_devices
    harvested_j = (energy.battery_initial_j + energy.harvest_mean_w * budgets.delay_s) / num_rounds[:, None]
    # Few long rounds would each cost more than a battery holds when they begin, and nobody would take part.
    pretrain_s = (1 - time_share)[:, None] * budgets.delay_s
    charge_j = np.minimum(energy.battery_initial_j + energy.harvest_mean_w * pretrain_s, energy.battery_capacity_j)
    own_j = np.minimum(harvested_j, charge_j)
    upload_s = round_s * upload_share[:, None]
    spectral = np.minimum(scenario.learning.upload_bit / (upload_s * radio.bandwidth_hz), 100.0)
    noise_w = radio.noise_w_per_hz * radio.bandwidth_hz
    power_w = np.expm1(spectral * np.log(2.0)) * noise_w / (scenario.mean_channel_gain * FADED)
    within = power_w <= devices.power_max_w
    compute_s = round_s - upload_s
    compute_j = np.maximum(np.minimum(shared_j[:, None], own_j) - power_w * upload_s, 1e-12)
    freq_hz, batch = _compute(
        compute_s,
        compute_j,
        devices.capacitance_j_s2,
        scenario.device_cycles_per_sample,
        np.array([devices.freq_min_hz, devices.freq_max_hz, devices.batch_max]),
    )
    return freq_hz, np.clip(power_w, devices.power_min_w, devices.power_max_w), np.where(within, batch, 1e-6)


def _compute(
    time_s: np.ndarray, energy_j: np.ndarray, kappa: np.ndarray | float, cycles: np.ndarray | float, limits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Clock frequency and largest batch size for a time and an energy; `limits` of frequency, and of the batch."""
    freq_min_hz, freq_max_hz, batch_max = limits
    freq_hz = np.clip(np.cbrt(energy_j / (kappa * time_s)), freq_min_hz, freq_max_hz)
    batch = np.minimum(np.minimum(freq_hz * time_s / cycles, energy_j / (kappa * cycles * freq_hz**2)), batch_max)
    return np.clip(batch * cycles / time_s, freq_min_hz, freq_max_hz), batch
