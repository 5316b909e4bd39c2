"""What a round is computed by: array operations or compiled loops, to the same numbers."""

from typing import Any

import numpy as np

from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.stages.bounds import is_quotient
from edgelearn_env.stages.kernels import checked_kernel
from edgelearn_env.two_stage.array_kernel import ArrayModel
from edgelearn_env.two_stage.scenario import TwoStageScenario


def model_of(scenario: TwoStageScenario, kernel: str = "auto", *, xp: Any = np, **placement: Any) -> ArrayModel:
    """What plays a two-stage scenario; see `edgelearn_env.model.model_of`."""
    if checked_kernel(kernel) == "numpy" or xp is not np:
        return ArrayModel(scenario, xp, **placement)
    try:
        from edgelearn_env.two_stage.compiled_kernel import CompiledModel
    except ImportError as error:
        if kernel == "auto":
            return ArrayModel(scenario)
        raise MissingExtraError("kernel 'compiled' needs numba: pip install 'edgelearn-env[fast]'") from error
    if is_quotient(scenario.bound):
        return CompiledModel(scenario)
    if kernel == "auto":
        return ArrayModel(scenario)
    objective = scenario.learning.objective
    raise InvalidInputError(f"kernel 'compiled' cannot compute the bound of objective {objective!r}: choose 'numpy'")
