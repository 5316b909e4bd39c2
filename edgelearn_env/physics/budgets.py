"""Hard budgets: a round that would pass one is not counted and ends the episode."""

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.scenarios.parts import Budgets

END_REASONS = ("running", "delay budget", "energy budget", "battery", "last round")
RUNNING, DELAY, ENERGY, BATTERY, LAST_ROUND = range(len(END_REASONS))


def reason_to_refuse(budgets: Budgets, used_s: Array, used_j: Array, unpayable: Array) -> Array:
    """Why a round cannot be counted, as an index into END_REASONS, (B,) integers; RUNNING where it can.

    Where there are several reasons, a battery comes before the delay budget and that before the energy budget.

    Args:
        budgets: T and E.
        used_s: time used with the round, s, (B,).
        used_j: energy used with the round, J, (B,).
        unpayable: whether a battery can never pay for it, (B,) booleans.
    """
    xp = namespace_of(used_s)
    reason = xp.astype(xp.zeros_like(unpayable), xp.int64)
    # What is not a number is refused too.
    for index, refused in (
        (ENERGY, ~(used_j <= budgets.energy_j)),
        (DELAY, ~(used_s <= budgets.delay_s)),
        (BATTERY, unpayable),
    ):
        reason = xp.where(refused, index, reason)
    return reason
