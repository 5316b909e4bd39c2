"""The prices of one pair from what is known of its rounds: a small linear program over convex combinations of plans."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from edgelearn_env.baselines.priced.records import PretrainPlan, Prices, RoundPlans, Setting

# What overdrawing a constraint by all that there is costs, in units of A and of phi W of all rounds: more than a plan
# can gain by it, and little enough to leave the program its digits.
_OVERDRAFT = 10.0

# Of a budget or a battery, beyond which it makes no difference.
_IMPOSSIBLE = 1e4


class Master(NamedTuple):
    """The program's solution.

    Attributes:
        value: A - phi W of the best combination, overdrafts at their price.
        prices: its multipliers, along the tape; 0 where no fine-tuning round of the pair is.
        shares: of each plan in its round, (n,).
    """

    value: float
    prices: Prices
    shares: np.ndarray


def combined(
    setting: Setting, phi: float, pretraining: list[PretrainPlan], plans: RoundPlans | None, first: int, last: int
) -> Master | None:
    """minimise A - phi W over convex combinations of plans for pre-training and for each round from `first` to `last`.

    Within budgets and batteries: charge[t+1] <= charge[t] - e[t] + h D[t], charge[M] <= initial + harvest, and what the
    participants of a round spend is at most what they have: of each battery the combination knows the part of the
    plans in which its device takes part, and that of those in which it is silent.

    Args:
        setting: budgets, batteries, harvest.
        phi: as in `bounds`.
        pretraining: plans of the pre-training rounds.
        plans: of rounds `first` to `last` - 1, at least one each, in any order; None if there are no such rounds.
        first, last: M and e.
    """
    num_rounds, num_devices = last - first, len(setting.battery_initial_j)
    plans = RoundPlans.none(num_devices) if plans is None else plans
    row, own = plans.round_index - first, setting.has_own_budgets
    n, v = len(row), len(pretraining)
    cells = num_rounds * num_devices
    capacity = setting.battery_capacity_j
    # Charges are counted in capacities. Variables: plans, pre-training plans, charge of participants, of the silent,
    # overdrafts of both (or all four) budgets, and of what participants pay.
    taking, silent, budgets, short = n + v, n + v + cells, n + v + 2 * cells, n + v + 2 * cells + 4
    size = short + cells
    cost = np.zeros(size)
    cost[:n] = plans.numerator - phi * plans.weight
    cost[n : n + v] = [plan.numerator - phi * plan.weight for plan in pretraining]
    gained = phi * num_rounds * float(np.max(plans.weight, initial=0.0))
    cost[budgets:] = _OVERDRAFT * max(gained, *(plan.numerator for plan in pretraining))
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    entries: list[np.ndarray] = []

    def put(where: np.ndarray, which: np.ndarray, what: np.ndarray) -> None:
        shape = np.broadcast_shapes(np.shape(where), np.shape(which), np.shape(what))
        for kept, array in ((rows, where), (columns, which), (entries, what)):
            kept.append(np.broadcast_to(array, shape).ravel())

    def share(used: np.ndarray | float, limit: np.ndarray | float) -> np.ndarray:
        """Of a limit; what no plan could ever have is no more than that."""
        return np.asarray(np.clip(np.asarray(used) / limit, -_IMPOSSIBLE, _IMPOSSIBLE))

    each = np.arange(n)
    # Budgets, in budgets: rows 0 and 1, of pre-training alone in rows 2 and 3.
    put(np.array(0), each, share(plans.duration_s, setting.delay_s))
    put(np.array(1), each, share(np.sum(plans.device_j, axis=1) + plans.shared_j, setting.energy_j))
    limits = setting.pretrain_budgets
    for number, plan in enumerate(pretraining):
        for budget, (used, limit) in enumerate(zip((plan.duration_s, plan.energy_j), limits, strict=True)):
            put(np.array(budget + 2 * own), np.array(n + number), share(used, limit))
    put(np.arange(4), budgets + np.arange(4), np.array(-1.0))
    # Batteries: rows by round and device.
    cell = np.arange(cells).reshape(num_rounds, num_devices)
    store, pay, full, empty = (4 + i * cells + cell for i in range(4))
    part = plans.participates.astype(float)
    put(store, taking + cell, np.array(1.0))
    put(store, silent + cell, np.array(1.0))
    put(store[1:], taking + cell[:-1], np.array(-1.0))
    put(store[1:], silent + cell[:-1], np.array(-1.0))
    later = np.flatnonzero(row < num_rounds - 1)
    harvested_j = plans.duration_s[:, None] * setting.harvest_w[plans.round_index]
    spent = share(plans.device_j - harvested_j, capacity)
    put(store[row[later] + 1], each[later, None], spent[later])
    for number, plan in enumerate(pretraining if num_rounds else []):
        put(store[0], np.array(n + number), -share(plan.harvested_j, capacity))
    put(pay[row], each[:, None], share(plans.device_j * part, capacity))
    put(pay, taking + cell, np.array(-1.0))
    put(pay, short + cell, np.array(-1.0))
    put(full, taking + cell, np.array(1.0))
    put(full[row], each[:, None], -part)
    put(empty, silent + cell, np.array(1.0))
    put(empty[row], each[:, None], part)
    upper = np.zeros(4 + 4 * cells)
    upper[:4] = 1.0
    upper[store[:1]] = setting.battery_initial_j / capacity
    upper[empty] = 1.0
    index = (np.concatenate(rows), np.concatenate(columns))
    constraints = coo_array((np.concatenate(entries), index), shape=(len(upper), size)).tocsr()
    where = np.concatenate([row, np.full(v, num_rounds)])
    chosen = coo_array((np.ones(n + v), (where, np.arange(n + v))), shape=(num_rounds + (v > 0), size)).tocsr()
    found = linprog(cost, A_ub=constraints, b_ub=upper, A_eq=chosen, b_eq=np.ones(chosen.shape[0]), method="highs-ds")
    if found.status != 0:
        return None
    duals = np.maximum(-found.ineqlin.marginals, 0.0)
    time, energy = duals[0] / setting.delay_s, duals[1] / setting.energy_j
    before = (duals[2] / limits[0], duals[3] / limits[1]) if own else (time, energy)
    carry, paid = np.zeros((setting.num_rounds + 1, num_devices)), np.zeros((setting.num_rounds, num_devices))
    carry[first:last], paid[first:last] = duals[store] / capacity, duals[pay] / capacity
    carry[:first] = carry[first]
    return Master(float(found.fun), Prices(time, energy, *before, carry, paid), found.x[:n])
