"""The devices' hardware by level of a net, as the closed forms read it."""

import numpy as np

from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.model.hardware import Hardware, device_processors, uplinks
from edgelearn_env.layer_tuning.levels import Levels
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario


def hardware_at(
    scenario: LayerTuningScenario, levels: Levels, place: int, level: np.ndarray | int, channel_gain: np.ndarray
) -> Hardware:
    """What devices compute and upload with, each at one level.

    Args:
        scenario: the system.
        levels: what its levels take.
        place: of the net's depth.
        level: from 0 on, that is of one block less than so many; of all devices, or (N, K).
        channel_gain: (N, K).
    """
    each = np.arange(scenario.num_devices)
    flops_per_cycle, most_batch = (table[place, level, each] for table in (levels.flops_per_cycle, levels.most_batch))
    uplink = uplinks(scenario, channel_gain)
    per_bit = uplink.nats_s / scenario.learning.upload_bit
    devices = device_processors(scenario)._replace(
        cycles_per_sample=scenario.learning.flops_per_sample / flops_per_cycle,
        # One that has no memory takes no part; whatever is said of it must be a number.
        batch_max=np.maximum(most_batch, 1.0),
    )
    return Hardware(devices, uplink._replace(nats_s=per_bit * levels.upload_bit[place, level]))


def hardware_of_all_levels(
    scenario: LayerTuningScenario, levels: Levels, place: int, channel_gain: np.ndarray
) -> Hardware:
    """The same at every level of a net, one after the other: all is (l K,), or (N, l K) where channels count."""
    depth = int(np.asarray(scenario.networks.depths)[place])
    each = [hardware_at(scenario, levels, place, level, channel_gain) for level in range(depth)]
    return Hardware(
        Processor(*(_joined(fields, scenario.num_devices) for fields in zip(*(h.devices for h in each), strict=True))),
        Uplink(*(_joined(fields, scenario.num_devices) for fields in zip(*(h.uplink for h in each), strict=True))),
    )


def _joined(fields: tuple[np.ndarray | float, ...], num_devices: int) -> np.ndarray:
    """What levels have, one after the other along the last axis."""
    arrays = [np.asarray(field) for field in fields]
    return np.concatenate([np.broadcast_to(a, (*a.shape[:-1], num_devices)) for a in arrays], axis=-1)
