"""Solvers that may solve an episode's program, and what those that come through cvxpy are asked for."""

import functools
import importlib.util
from typing import Any

import cvxpy as cp

from edgelearn_env.errors import InvalidInputError, MissingExtraError

# A certificate is asked for 1e-5; the solvers' own tolerances of 1e-8 are at times just out of reach. With steps of
# 0.99 of the way to the cones' boundary instead of 0.9 they give up on some programs, mostly of many devices.
_ACCURACY = {"tol_feas": 1e-7, "tol_gap_abs": 1e-6, "tol_gap_rel": 1e-6, "max_step_fraction": 0.9}


def _moreau(**settings: Any) -> dict[str, Any]:
    """One program at a time, on one core.

    Tapes seldom ask for programs of the same shape at the same time, and on a CPU a batch takes as long as its programs
    one after the other.
    """
    return {"solver": "MOREAU", "device": "cpu", "ipm_settings": {"direct_solve_method": "qdldl", **settings}}


# This package's own, `baselines.stages.structured`.
STRUCTURED = "structured"

# Arguments of cvxpy's `Problem.solve`, one set tried after the other. Moreau stops short of the last digits of one
# program in a thousand; which one depends on the length of its steps.
SOLVERS: dict[str, tuple[dict[str, Any], ...]] = {
    "clarabel": ({"solver": "CLARABEL", **_ACCURACY},),
    "moreau": (_moreau(**_ACCURACY), _moreau(**_ACCURACY | {"max_step_fraction": 0.95})),
}

SOLVER_NAMES = (STRUCTURED, *SOLVERS)

# For decisions that are soon made anew: the linear system of each step is solved once, without refinement, and a
# problem takes the place of the last one of its shape in the same solver, which must not scale it then. That takes two
# thirds of the time, but for some programs, which are solved again with all care. The gap may be ten times as large.
QUICK_ATTEMPTS: tuple[dict[str, Any], ...] = (
    {
        "solver": "CLARABEL",
        **_ACCURACY,
        "tol_gap_abs": 1e-5,
        "tol_gap_rel": 1e-5,
        "max_step_fraction": 0.95,
        "iterative_refinement_enable": False,
        "equilibrate_enable": False,
        "presolve_enable": False,
        "chordal_decomposition_enable": False,
        "warm_start": True,
    },
    *SOLVERS["clarabel"],
)


def checked_solver(name: str) -> str:
    """The name itself, if such a solver is known and installed.

    Raises:
        InvalidInputError: it is unknown.
        MissingExtraError: it is not installed, or not known to an older cvxpy.
    """
    if name not in SOLVER_NAMES:
        raise InvalidInputError(f"solver must be one of {', '.join(map(repr, SOLVER_NAMES))}, got {name!r}")
    if name == STRUCTURED:
        return name
    if importlib.util.find_spec(name) is None or SOLVERS[name][0]["solver"] not in _known_to_cvxpy():
        raise MissingExtraError(f"solver {name!r} is not installed: pip install 'edgelearn-env[{name}]'")
    return name


@functools.cache
def _known_to_cvxpy() -> frozenset[str]:
    """Solvers that cvxpy has found; it looks for the modules of all of them, which takes as long as a small program."""
    return frozenset(cp.installed_solvers())
