"""A cvxpy problem that recurs with other numbers: what its solver is given is one affine map of them."""

from collections.abc import Mapping
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp


class RecurringProblem:
    """A problem compiled once for each solver, and then solved for other values of its parameters.

    A solver is given c, A and b of min c x subject to b - A x in a cone, which depend on the parameters by an affine
    map. cvxpy compiles that map too, but applies it by way of many small matrices and checks, which takes as long as a
    third of the solver's work on a small problem.

    Args:
        problem: it follows the rules of disciplined parametrised programming.
        parameters: all of its parameters, by name; it may be that some are not used.
    """

    def __init__(self, problem: cp.Problem, parameters: Mapping[str, cp.Parameter]) -> None:
        self._problem, self._parameters = problem, parameters
        self._compiled: dict[str, _CompiledProblem] = {}

    def solve(
        self, values: Mapping[str, np.ndarray], *, solver: str, warm_start: bool = False, **settings: Any
    ) -> None:
        """Solve it for these values of its parameters; what is found stands in the problem and its variables.

        Args:
            values: of the parameters, by name.
            solver: its name in cvxpy.
            warm_start: take up what the solver keeps of the last time.
            settings: the solver's own.

        Raises:
            cvxpy.SolverError: the solver has failed.
        """
        if solver not in self._compiled:
            for name, value in values.items():
                self._parameters[name].value = value
            self._compiled[solver] = _CompiledProblem(self._problem, self._parameters, solver)
        compiled = self._compiled[solver]
        data = compiled.data(values)
        found = compiled.chain.solve_via_data(self._problem, data, warm_start=warm_start, solver_opts=settings)
        self._problem.unpack_results(found, compiled.chain, compiled.inverse)


class _CompiledProblem:
    """A problem as one solver takes it, as a function of its parameters."""

    def __init__(self, problem: cp.Problem, parameters: Mapping[str, cp.Parameter], solver: str) -> None:
        self._fixed, self.chain, self.inverse = problem.get_problem_data(solver, enforce_dpp=True, solver_opts={})
        program = self._fixed["param_prob"]
        first = program.param_id_to_col
        used = {name: each for name, each in parameters.items() if each.id in first}
        self._places = {name: slice(first[each.id], first[each.id] + each.size) for name, each in used.items()}
        # After all parameters there is a 1, the factor of what depends on none.
        self._values = np.ones(sum(each.size for each in used.values()) + 1)
        # The last column of either is no coefficient of a variable: an offset of the cost, and the side b.
        self._cost = sp.csr_array(program.q if hasattr(program, "q") else program.c)[:-1]  # `c` before cvxpy 1.8
        self._num_rows, num_variables = len(self._fixed["b"]), len(self._fixed["c"])
        entries = sp.csr_array(program.A)
        filled = np.flatnonzero(np.diff(entries.indptr))
        column, self._row = np.divmod(filled, self._num_rows)
        self._entries = entries[filled]
        self._starts = np.searchsorted(column, np.arange(num_variables + 1))

    def data(self, values: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What the solver is given for these values of the parameters."""
        for name, place in self._places.items():
            self._values[place] = values[name].ravel(order="F")
        entries, count = self._entries @ self._values, self._starts[-1]
        shape = (self._num_rows, len(self._starts) - 1)
        matrix = sp.csc_array((-entries[:count], self._row[:count], self._starts), shape=shape)
        side = np.zeros(self._num_rows)
        side[self._row[count:]] = entries[count:]
        return {**self._fixed, "A": matrix, "b": side, "c": self._cost @ self._values}
