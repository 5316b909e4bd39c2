"""A problem that recurs is the same problem as one that is written down anew with its numbers."""

import cvxpy as cp
import numpy as np
import pytest

from edgelearn_env.baselines.solvers import QUICK_ATTEMPTS, SOLVERS
from edgelearn_env.baselines.stages.conic.recurring_problem import RecurringProblem

NUM_ROWS, NUM_VARIABLES = 3, 2
SHAPES = {"weight": (NUM_VARIABLES,), "matrix": (NUM_ROWS, NUM_VARIABLES), "side": (NUM_ROWS,), "unused": (4,)}


class Recurring:
    """min weight x + t + 1 subject to matrix x >= side, x >= 0 and t x_0^2 >= 1."""

    def __init__(self) -> None:
        self.parameters = {name: cp.Parameter(shape, name=name) for name, shape in SHAPES.items()}
        self.x, self.t = cp.Variable(NUM_VARIABLES), cp.Variable()
        p = self.parameters
        self.covered = p["matrix"] @ self.x >= p["side"]
        constraints = [self.covered, self.x >= 0, cp.PowCone3D(self.t, self.x[0], 1.0, 1 / 3)]
        self.problem = cp.Problem(cp.Minimize(p["weight"] @ self.x + self.t + 1), constraints)
        self.recurring = RecurringProblem(self.problem, p)

    def solved(self, values, arguments) -> np.ndarray:
        self.recurring.solve(values, **arguments)
        return np.concatenate([self.x.value, [self.t.value], self.covered.dual_value])

    def solved_by_cvxpy(self, values, arguments) -> np.ndarray:
        for name, value in values.items():
            self.parameters[name].value = value
        self.problem.solve(**{**arguments, "warm_start": False})
        return np.concatenate([self.x.value, [self.t.value], self.covered.dual_value])


def random_values(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(0.5, 2.0, shape) for name, shape in SHAPES.items()}
    values["matrix"][0, 0] = 0.0
    return values


@pytest.mark.parametrize("arguments", [*SOLVERS["clarabel"], *QUICK_ATTEMPTS], ids=["full", "quick", "quick again"])
def test_it_finds_what_cvxpy_finds(arguments):
    recurring, other = Recurring(), Recurring()
    for seed in range(4):
        values = random_values(seed)
        np.testing.assert_array_equal(recurring.solved(values, arguments), other.solved_by_cvxpy(values, arguments))
        assert recurring.problem.status == cp.OPTIMAL


@pytest.mark.parametrize("arguments", [*SOLVERS["clarabel"], *QUICK_ATTEMPTS], ids=["full", "quick", "quick again"])
def test_what_it_finds_does_not_depend_on_what_was_solved_before(arguments):
    recurring = Recurring()
    first = recurring.solved(random_values(0), arguments)
    recurring.solved(random_values(1), arguments)
    np.testing.assert_array_equal(recurring.solved(random_values(0), arguments), first)


def test_what_cannot_be_solved_says_so():
    recurring = Recurring()
    values = random_values(0) | {"matrix": np.zeros((NUM_ROWS, NUM_VARIABLES))}
    recurring.recurring.solve(values, **SOLVERS["clarabel"][0])
    assert recurring.problem.status == cp.INFEASIBLE
