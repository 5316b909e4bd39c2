"""A harvesting battery over one round: wait until the round can be paid for, spend, keep the rest."""

import math

from edgelearn_env.arrays.namespaces import Array, namespace_of


def waiting_time_s(energy_j: Array, battery_j: Array, harvest_w: Array) -> Array:
    """How long a device harvests before its battery can pay for the round: max(0, (e - battery) / h), s.

    Infinite where the battery is short and nothing is harvested.

    Args:
        energy_j: e, energy of the round, J, (B, K).
        battery_j: charge at the start of the round, J, (B, K).
        harvest_w: h, harvested power during the round, W, (B, K).
    """
    xp = namespace_of(energy_j)
    missing_j = energy_j - battery_j
    dark = harvest_w <= 0
    # Dividing by a stand-in keeps warnings and, under autograd, NaN gradients out of the branch not taken.
    wait_s = xp.maximum(missing_j, 0.0) / (harvest_w + xp.astype(dark, missing_j.dtype))
    return xp.where(dark & (missing_j > 0), wait_s + math.inf, wait_s)


def battery_after_round_j(
    battery_j: Array, energy_j: Array, harvest_w: Array, duration_s: Array, capacity_j: Array
) -> Array:
    """Charge at the end of a round: min(battery - e + h D, capacity), J.

    What is harvested while waiting pays for this round; the rest of the round's harvest is kept for later.

    Args:
        battery_j: charge at the start of the round, J, (B, K).
        energy_j: e, what the device spends in the round, J, (B, K).
        harvest_w: h, harvested power during the round, W, (B, K).
        duration_s: D, duration of the round, s, (B, 1).
        capacity_j: battery capacity, J, (K,).
    """
    xp = namespace_of(battery_j)
    return xp.minimum(battery_j - energy_j + harvest_w * duration_s, capacity_j)
