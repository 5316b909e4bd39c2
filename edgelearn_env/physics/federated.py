"""What a fine-tuning round asks of its devices, and how its duration follows from theirs.

These two are the seams of the fine-tuning stage: another way of tuning changes the work, another way of aggregating
changes the duration; nothing else in a round depends on either.
"""

from typing import NamedTuple

from edgelearn_env.arrays.namespaces import Array, namespace_of


class DeviceWork(NamedTuple):
    """Work of each device in a fine-tuning round.

    Attributes:
        cycles_per_sample: a_k, clock cycles for one sample, (K,).
        upload_bit: Q_k, size of the upload, bit, (K,).
    """

    cycles_per_sample: Array
    upload_bit: Array


def synchronous_duration_s(finish_s: Array, downlink_s: float) -> Array:
    """Duration of a round that waits for every device: max_k finish_k + downlink overhead, s, (B,).

    Args:
        finish_s: when each device's upload has arrived, from the start of the round, s, (B, K).
        downlink_s: downlink overhead, s.
    """
    return namespace_of(finish_s).max(finish_s, axis=-1) + downlink_s
