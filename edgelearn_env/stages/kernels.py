"""What a round can be computed by, and who computes it; the numbers are the same to the last bit."""

import importlib
from typing import Any

import numpy as np

from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.stages.bounds import is_quotient
from edgelearn_env.stages.scenario import StagedScenario

KERNELS = ("auto", "compiled", "numpy")


def played_by(arrays: Any, compiled: str, scenario: StagedScenario, kernel: str, xp: Any, **placement: Any) -> Any:
    """The model that plays a scenario; kernel "auto" is the compiled one wherever it can be had.

    Args:
        arrays: the system's model in array operations, a class.
        compiled: the module whose class `CompiledModel` is the same with compiled loops.
        scenario: what is played.
        kernel: "auto", "compiled" or "numpy".
        xp: library of the arrays; only numpy's have compiled loops.
        placement: may hold the arrays' `device=`.

    Raises:
        InvalidInputError: no such kernel, or compiled loops are asked for and the bound is one of the user's own.
        MissingExtraError: they are asked for and cannot be had.
    """
    if kernel not in KERNELS:
        raise InvalidInputError(f"kernel must be one of {', '.join(KERNELS)}, got {kernel!r}")
    if kernel == "numpy" or xp is not np:
        return arrays(scenario, xp, **placement)
    try:
        found = importlib.import_module(compiled).CompiledModel
    except ImportError as error:
        if kernel == "auto":
            return arrays(scenario)
        if not isinstance(error, ModuleNotFoundError):
            raise MissingExtraError(f"kernel 'compiled' cannot be had: {error}") from error
        raise MissingExtraError("kernel 'compiled' needs numba: pip install 'edgelearn-env[fast]'") from error
    if is_quotient(scenario.bound):
        return found(scenario)
    if kernel == "auto":
        return arrays(scenario)
    objective = scenario.learning.objective
    raise InvalidInputError(f"kernel 'compiled' cannot compute the bound of objective {objective!r}: choose 'numpy'")
