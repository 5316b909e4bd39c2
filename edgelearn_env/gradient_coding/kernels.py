"""What a round is computed by: array operations or a list of them, to the same numbers."""

from typing import Any

import numpy as np

from edgelearn_env.gradient_coding.model import GradientCodingModel
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.stages.kernels import played_by


def model_of(
    scenario: GradientCodingScenario, kernel: str = "auto", *, xp: Any = np, **placement: Any
) -> GradientCodingModel:
    """What plays a scenario with codes; see `edgelearn_env.model.model_of`."""
    compiled = "edgelearn_env.gradient_coding.compiled_kernel"
    model: GradientCodingModel = played_by(GradientCodingModel, compiled, scenario, kernel, xp, **placement)
    return model
