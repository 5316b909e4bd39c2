"""A fine-tuning round that waits for everyone who takes part: who that is, what it takes, how long it lasts.

Arrays of `Constants` may be one for each device, (K,), or one for each episode and device, (B, K).
"""

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.physics.uplink import uplink_rate_bps, upload_time_s
from edgelearn_env.scenarios.parts import Radio
from edgelearn_env.stages.constants import Constants
from edgelearn_env.stages.records import Allocation, DeviceRound, FinetuneRound
from edgelearn_env.tapes.tape import Conditions


def synchronous_round(
    constants: Constants, battery_j: Array, conditions: Conditions, allocation: Allocation
) -> FinetuneRound:
    """A fine-tuning round that waits for all who take part, and counts their data."""
    devices = finetune_round(constants, battery_j, conditions, allocation)
    duration_s = synchronous_duration_s(devices, constants.scenario.radio)
    return FinetuneRound(duration_s, devices, contributes=devices.participates)


def synchronous_duration_s(devices: DeviceRound, radio: Radio) -> Array:
    """Duration of a round that waits for all who take part: max_k (compute_k + upload_k) + downlink overhead, s, (B,).

    One in which nobody takes part lasts `radio.idle_s`.
    """
    xp = namespace_of(devices.compute_s)
    finish_s = xp.max(devices.compute_s + devices.upload_s, axis=-1)
    return xp.where(xp.any(devices.participates, axis=-1), finish_s + radio.downlink_s, radio.idle_s)


def finetune_round(
    constants: Constants, battery_j: Array, conditions: Conditions, allocation: Allocation
) -> DeviceRound:
    """Who takes part, and their compute and upload, as if no budget applied; arrays (B, K).

    A device takes part if it is given a batch of at least one sample, and its battery covers what the round costs it:
    kappa a b f^2 + p u <= battery. Else it is silent, for which it neither computes nor uploads. What is not a number
    is no excuse: such a device makes a round that no budget allows.
    """
    xp, power_w = namespace_of(battery_j), allocation.power_w
    rate_bps = uplink_rate_bps(
        power_w, conditions.channel_gain, constants.bandwidth_hz, constants.scenario.radio.noise_w_per_hz
    )
    upload_s = upload_time_s(constants.upload_bit, rate_bps)
    compute_j = compute_energy_j(
        constants.capacitance_j_s2, constants.cycles_per_sample, allocation.batch, allocation.freq_hz
    )
    compute_s = compute_time_s(constants.cycles_per_sample, allocation.batch, allocation.freq_hz)
    participates = ~((allocation.batch < 1) | (compute_j + power_w * upload_s > battery_j))
    compute_s, upload_s, compute_j = (xp.where(participates, array, 0.0) for array in (compute_s, upload_s, compute_j))
    # An infinite time is out of the product now, whose gradient it would spoil.
    return DeviceRound(participates, compute_s, upload_s, compute_j, power_w * upload_s)
