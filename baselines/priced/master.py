"""The prices of one pair from what is known of its rounds: a small linear program over convex combinations of plans."""

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from edgelearn_env.baselines.priced.records import PretrainPlan, Prices, RoundPlans, Setting

# What overdrawing a constraint by all that there is costs, in units of A and of phi W of all rounds: more than a plan
# can gain by it, and little enough to leave the program its digits.
_OVERDRAFT = 100.0

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
    plans = RoundPlans.none(len(setting.battery_initial_j)) if plans is None else plans
    layout = _Layout(len(plans.round_index), len(pretraining), last - first, len(setting.battery_initial_j))
    row, matrix = plans.round_index - first, _Matrix()
    _put_budgets(matrix, layout, setting, pretraining, plans)
    _put_batteries(matrix, layout, setting, pretraining, plans, row)
    upper = np.zeros(layout.num_rows)
    upper[:4] = 1.0
    upper[layout.store[:1]] = setting.battery_initial_j / setting.battery_capacity_j
    upper[layout.empty] = 1.0
    # One plan of each round, and one of pre-training.
    where = np.concatenate([row, np.full(layout.num_pretraining, layout.num_rounds)])
    chosen = coo_array(
        (np.ones(len(where)), (where, np.arange(len(where)))),
        shape=(layout.num_rounds + (layout.num_pretraining > 0), layout.num_columns),
    )
    found = linprog(
        _costs(layout, phi, pretraining, plans),
        A_ub=matrix.of_shape(layout.num_rows, layout.num_columns),
        b_ub=upper,
        A_eq=chosen.tocsr(),
        b_eq=np.ones(chosen.shape[0]),
        method="highs-ds",
        options={"simplex_dual_edge_weight_strategy": "devex"},
    )
    if found.status != 0:
        return None
    duals = np.maximum(-found.ineqlin.marginals, 0.0)
    return Master(float(found.fun), _prices(layout, setting, duals, first, last), found.x[: layout.num_plans])


class _Layout(NamedTuple):
    """Where everything is in the program: n plans, v of pre-training, N rounds of K devices.

    Columns: plans, pre-training plans, charge of participants and of the silent in capacities, overdrafts of both (or
    all four) budgets and of what participants pay. Rows: four budgets, then batteries by round and device.
    """

    num_plans: int
    num_pretraining: int
    num_rounds: int
    num_devices: int

    @property
    def num_cells(self) -> int:
        """N K."""
        return self.num_rounds * self.num_devices

    @property
    def cell(self) -> np.ndarray:
        """A number for each round and device, (N, K)."""
        return np.arange(self.num_cells).reshape(self.num_rounds, self.num_devices)

    @property
    def taking(self) -> np.ndarray:
        """Columns of participants' charges, (N, K)."""
        return self.num_plans + self.num_pretraining + self.cell

    @property
    def silent(self) -> np.ndarray:
        """Columns of the charges of those who are silent, (N, K)."""
        return self.taking + self.num_cells

    @property
    def budgets(self) -> int:
        """First column of the budgets' overdrafts; all from here on are overdrafts."""
        return self.num_plans + self.num_pretraining + 2 * self.num_cells

    @property
    def short(self) -> np.ndarray:
        """Columns of what participants cannot pay, (N, K)."""
        return self.budgets + 4 + self.cell

    @property
    def num_columns(self) -> int:
        """Of the program."""
        return self.budgets + 4 + self.num_cells

    @property
    def store(self) -> np.ndarray:
        """Rows that say how much charge there is, (N, K)."""
        return 4 + self.cell

    @property
    def pay(self) -> np.ndarray:
        """Rows that say that participants can pay, (N, K)."""
        return self.store + self.num_cells

    @property
    def full(self) -> np.ndarray:
        """Rows that say how much participants' batteries hold, (N, K)."""
        return self.pay + self.num_cells

    @property
    def empty(self) -> np.ndarray:
        """Rows that say how much those of the silent hold, (N, K)."""
        return self.full + self.num_cells

    @property
    def num_rows(self) -> int:
        """Of the program."""
        return 4 + 4 * self.num_cells


class _Matrix:
    """A sparse matrix, put together from parts."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, ...]] = []

    def put(self, row: np.ndarray | int, column: np.ndarray | int, entry: np.ndarray | float) -> None:
        """Entries at rows and columns that broadcast."""
        self._parts.append(tuple(np.ravel(array) for array in np.broadcast_arrays(row, column, entry)))

    def of_shape(self, *shape: int) -> Any:
        """In scipy's compressed rows."""
        rows, columns, entries = (np.concatenate(arrays) for arrays in zip(*self._parts, strict=True))
        return coo_array((entries, (rows, columns)), shape=shape).tocsr()


def _costs(layout: _Layout, phi: float, pretraining: list[PretrainPlan], plans: RoundPlans) -> np.ndarray:
    """A - phi W of all plans, and what overdrafts cost."""
    cost, n = np.zeros(layout.num_columns), layout.num_plans
    cost[:n] = plans.numerator - phi * plans.weight
    cost[n : n + layout.num_pretraining] = [plan.numerator - phi * plan.weight for plan in pretraining]
    gained = phi * layout.num_rounds * float(np.max(plans.weight, initial=0.0))
    cost[layout.budgets :] = _OVERDRAFT * max(gained, *(plan.numerator for plan in pretraining))
    return cost


def _put_budgets(
    matrix: _Matrix, layout: _Layout, setting: Setting, pretraining: list[PretrainPlan], plans: RoundPlans
) -> None:
    """What plans take of both budgets, rows 0 and 1; of those of pre-training alone, rows 2 and 3."""
    each = np.arange(layout.num_plans)
    matrix.put(0, each, _share(plans.duration_s, setting.delay_s))
    matrix.put(1, each, _share(np.sum(plans.device_j, axis=1) + plans.shared_j, setting.energy_j))
    rows = (2, 3) if setting.has_own_budgets else (0, 1)
    for column, plan in enumerate(pretraining, start=layout.num_plans):
        for row, used, limit in zip(rows, (plan.duration_s, plan.energy_j), setting.pretrain_budgets, strict=True):
            matrix.put(row, column, _share(used, limit))
    matrix.put(np.arange(4), layout.budgets + np.arange(4), -1.0)


def _put_batteries(
    matrix: _Matrix,
    layout: _Layout,
    setting: Setting,
    pretraining: list[PretrainPlan],
    plans: RoundPlans,
    row: np.ndarray,
) -> None:
    """Charges from round to round, what participants pay, and what batteries of both kinds hold."""
    capacity, store, pay, full, empty = setting.battery_capacity_j, layout.store, layout.pay, layout.full, layout.empty
    taking, silent, part = layout.taking, layout.silent, plans.participates.astype(float)
    each = np.arange(layout.num_plans)[:, None]
    for charge in (taking, silent):
        matrix.put(store, charge, 1.0)
    for charge in (taking, silent):
        matrix.put(store[1:], charge[:-1], -1.0)
    later = np.flatnonzero(row < layout.num_rounds - 1)
    harvested_j = plans.duration_s[:, None] * setting.harvest_w[plans.round_index]
    spent = _share(plans.device_j - harvested_j, capacity)
    matrix.put(store[row[later] + 1], each[later], spent[later])
    for column, plan in enumerate(pretraining if layout.num_rounds else [], start=layout.num_plans):
        matrix.put(store[0], column, -_share(plan.harvested_j, capacity))
    matrix.put(pay[row], each, _share(plans.device_j * part, capacity))
    matrix.put(pay, taking, -1.0)
    matrix.put(pay, layout.short, -1.0)
    matrix.put(full, taking, 1.0)
    matrix.put(full[row], each, -part)
    matrix.put(empty, silent, 1.0)
    matrix.put(empty[row], each, part)


def _share(used: np.ndarray | float, limit: np.ndarray | float) -> np.ndarray:
    """Of a limit; what no plan could ever have is no more than that."""
    return np.asarray(np.clip(np.asarray(used) / limit, -_IMPOSSIBLE, _IMPOSSIBLE))


def _prices(layout: _Layout, setting: Setting, duals: np.ndarray, first: int, last: int) -> Prices:
    """Multipliers in units of what they are prices of, along the tape."""
    capacity, (seconds, joules) = setting.battery_capacity_j, setting.pretrain_budgets
    time, energy = duals[0] / setting.delay_s, duals[1] / setting.energy_j
    before = (duals[2] / seconds, duals[3] / joules) if setting.has_own_budgets else (time, energy)
    carry, paid = np.zeros((setting.num_rounds + 1, layout.num_devices)), np.zeros_like(setting.harvest_w)
    carry[first:last], paid[first:last] = duals[layout.store] / capacity, duals[layout.pay] / capacity
    carry[:first] = carry[first]
    return Prices(time, energy, *before, carry, paid)
