"""What a round can be computed by, and who computes it; the numbers are the same to the last bit."""

import importlib
from typing import Any

import numpy as np

from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.stages.bounds import is_quotient
from edgelearn_env.stages.scenario import StagedScenario

KERNELS = ("auto", "compiled", "numpy")


def wants_arrays(kernel: str, xp: Any) -> bool:
    """Whether rounds are to be computed by array operations, of numpy or of a library without compiled loops.

    Raises:
        InvalidInputError: there is no such kernel.
    """
    if kernel not in KERNELS:
        raise InvalidInputError(f"kernel must be one of {', '.join(KERNELS)}, got {kernel!r}")
    return kernel == "numpy" or xp is not np


def compiled_model(module: str, scenario: StagedScenario, kernel: str, *, otherwise: Any) -> Any:
    """The class `CompiledModel` of a module; where it cannot play and kernel "auto" is asked for, that of arrays.

    Args:
        module: the system's.
        scenario: what is to be played.
        kernel: "auto" or "compiled".
        otherwise: the class of array operations.

    Raises:
        MissingExtraError: there is no numba.
        InvalidInputError: the bound is one of the user's own.
    """
    try:
        found = importlib.import_module(module).CompiledModel
    except ImportError as error:
        if kernel == "auto":
            return otherwise
        raise MissingExtraError("kernel 'compiled' needs numba: pip install 'edgelearn-env[fast]'") from error
    if is_quotient(scenario.bound):
        return found
    if kernel == "auto":
        return otherwise
    objective = scenario.learning.objective
    raise InvalidInputError(f"kernel 'compiled' cannot compute the bound of objective {objective!r}: choose 'numpy'")
