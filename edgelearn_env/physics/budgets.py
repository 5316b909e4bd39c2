"""Hard budgets: a round that would pass one is not counted and ends the episode."""

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.scenarios.parts import Budgets

END_REASONS = ("running", "delay budget", "energy budget", "last round")
RUNNING, DELAY, ENERGY, LAST_ROUND = range(len(END_REASONS))


def reason_to_refuse(budgets: Budgets, used_s: Array, used_j: Array) -> Array:
    """Why a round cannot be counted, as an index into END_REASONS, (B,) integers; RUNNING where it can.

    Where there are both reasons, it is the delay budget.

    Args:
        budgets: T and E.
        used_s: time used with the round, s, (B,).
        used_j: energy used with the round, J, (B,).
    """
    xp = namespace_of(used_s)
    reason = xp.zeros(used_s.shape, dtype=xp.int64, device=used_s.device)
    # What is not a number is refused too.
    reason = xp.where(used_j <= budgets.energy_j, reason, ENERGY)
    return xp.where(used_s <= budgets.delay_s, reason, DELAY)
