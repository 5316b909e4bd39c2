"""A harvesting battery over one round: pay for the round from what is stored, keep the rest and the harvest."""

from edgelearn_env.arrays.namespaces import Array, namespace_of


def battery_after_round_j(
    battery_j: Array, energy_j: Array, harvest_w: Array, duration_s: Array, capacity_j: Array
) -> Array:
    """Charge at the end of a round: min(battery - e + h D, capacity), J.

    A round is paid for from what is stored at its start; what is harvested during it is kept for later ones.

    Args:
        battery_j: charge at the start of the round, J, (B, K).
        energy_j: e, what the device spends in the round, at most `battery_j`, J, (B, K).
        harvest_w: h, harvested power during the round, W, (B, K).
        duration_s: D, duration of the round, s, (B, 1).
        capacity_j: battery capacity, J, (K,).
    """
    xp = namespace_of(battery_j)
    return xp.minimum(battery_j - energy_j + harvest_w * duration_s, capacity_j)
