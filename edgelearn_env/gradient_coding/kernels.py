"""What a round is computed by: array operations, of numpy or torch."""

from typing import Any

import numpy as np

from edgelearn_env.gradient_coding.model import GradientCodingModel
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.stages.kernels import require_arrays


def model_of(
    scenario: GradientCodingScenario, kernel: str = "auto", *, xp: Any = np, **placement: Any
) -> GradientCodingModel:
    """What plays a scenario with codes; see `edgelearn_env.model.model_of`.

    Raises:
        InvalidInputError: no such kernel.
        MissingExtraError: compiled loops are asked for, which this system does not have.
    """
    require_arrays(kernel)
    return GradientCodingModel(scenario, xp, **placement)
