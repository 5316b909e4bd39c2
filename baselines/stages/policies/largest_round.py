"""The largest batches that a given time and energy allow in one round."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.model import Observed
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.physics.uplink import uplink_rate_bps, upload_time_s
from edgelearn_env.stages.constants import Constants
from edgelearn_env.stages.records import Allocation

# The server's, or one for each device, (K,).
Number = float | np.ndarray

# Transmit powers that are compared, from this share of full power up to it.
_LEAST_POWER_SHARE, _NUM_POWERS = 1e-4, 33

# Batches are whole numbers; one that is a rounding error short of the next counts as that. Batteries have to cover it.
_NUDGE, _COVERED = 1e-9, 1 - 1e-8


class ServerRound(NamedTuple):
    """Frequency and batch of a pre-training round, each (B,)."""

    freq_hz: np.ndarray
    batch: np.ndarray


class DevicesRound(NamedTuple):
    """Frequencies, powers and batches of a fine-tuning round, each (B, K); a batch of 0 for who sits it out."""

    freq_hz: np.ndarray
    power_w: np.ndarray
    batch: np.ndarray


def largest_pretrain_round(constants: Constants, duration_s: np.ndarray, energy_j: np.ndarray) -> ServerRound:
    """argmax of b subject to a b / f <= duration and rho kappa a b f^2 <= energy, b rounded down; at least 1.

    Args:
        constants: the scenario as arrays.
        duration_s: what the round may last, s, (B,).
        energy_j: what it may cost, J, (B,).
    """
    server, cycles = constants.scenario.server, constants.scenario.server_cycles_per_sample
    capacitance = server.overhead_factor * server.capacitance_j_s2
    freq_hz = _balanced_freq_hz(duration_s, energy_j, capacitance, server.freq_min_hz, server.freq_max_hz)
    batch = _batch(duration_s, energy_j, capacitance, cycles, freq_hz, server.batch_max)
    return ServerRound(freq_hz, np.maximum(np.floor(batch + _NUDGE), 1.0))


def largest_finetune_round(
    constants: Constants, observed: Observed, duration_s: np.ndarray, energy_j: np.ndarray
) -> DevicesRound:
    """argmax of b_k over f_k and p_k subject to compute + upload <= duration and their energy <= energy_k, battery_k.

    Powers are compared on a logarithmic grid; for each, frequency and batch follow in closed form. A device for which
    not even one sample fits is silent.

    Args:
        constants: the scenario as arrays.
        observed: batteries and channels now.
        duration_s: what the round may last without the downlink, s, (B,).
        energy_j: what each device may spend, J, (B, K).
    """
    devices, radio = constants.scenario.devices, constants.scenario.radio
    kappa, cycles = constants.capacitance_j_s2, constants.cycles_per_sample
    share = np.geomspace(_LEAST_POWER_SHARE, 1.0, _NUM_POWERS)[:, None, None]
    power_w = np.maximum(share * devices.power_max_w, devices.power_min_w)
    gain = observed.conditions.channel_gain
    rate = uplink_rate_bps(power_w, gain, constants.bandwidth_hz, radio.noise_w_per_hz)
    upload_s = upload_time_s(constants.upload_bit, rate)
    time_s = np.maximum(duration_s[:, None] - upload_s, 0.0)
    most_j = np.minimum(energy_j, observed.state.battery_j * _COVERED)
    left_j = np.maximum(most_j - power_w * upload_s, 0.0)
    freq_hz = _balanced_freq_hz(time_s, left_j, kappa, devices.freq_min_hz, devices.freq_max_hz)
    batch = _batch(time_s, left_j, kappa, cycles, freq_hz, devices.batch_max)
    best = np.argmax(batch, axis=0)[None]
    freq_hz, power_w, batch = (
        np.take_along_axis(np.broadcast_to(array, batch.shape), best, axis=0)[0] for array in (freq_hz, power_w, batch)
    )
    return DevicesRound(freq_hz, power_w, np.floor(batch + _NUDGE))


def allocation_of(switch: np.ndarray, server: ServerRound, devices: DevicesRound) -> Allocation:
    """Both stages' rounds as one allocation; `switch` (B,) says which is played."""
    return Allocation(switch, server.freq_hz, server.batch, devices.freq_hz, devices.power_w, devices.batch)


def pretrain_cost(constants: Constants, server: ServerRound) -> tuple[np.ndarray, np.ndarray]:
    """Duration, s, and energy, J, of a pre-training round, each (B,)."""
    hardware, cycles = constants.scenario.server, constants.scenario.server_cycles_per_sample
    joules = compute_energy_j(hardware.capacitance_j_s2, cycles, server.batch, server.freq_hz)
    return compute_time_s(cycles, server.batch, server.freq_hz), hardware.overhead_factor * joules


def _balanced_freq_hz(
    seconds: np.ndarray, joules: np.ndarray, capacitance: Number, least_hz: Number, most_hz: Number
) -> np.ndarray:
    """The clock at which time and energy run out together: (energy / (kappa time))^(1/3), within its limits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        freq_hz = np.cbrt(joules / (capacitance * seconds))
    return np.clip(np.where(np.isnan(freq_hz), least_hz, freq_hz), least_hz, most_hz)


def _batch(
    seconds: np.ndarray,
    joules: np.ndarray,
    capacitance: Number,
    cycles: Number,
    freq_hz: np.ndarray,
    batch_max: Number,
) -> np.ndarray:
    """The batch that time or energy allows at a frequency, whichever is less."""
    of_time, of_energy = seconds * freq_hz / cycles, joules / (capacitance * cycles * freq_hz**2)
    batch: np.ndarray = np.minimum(np.minimum(of_time, of_energy), batch_max)
    return batch
