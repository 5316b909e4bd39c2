"""What a round is computed by: array operations or compiled loops, to the same numbers."""

from typing import Any

import numpy as np

from edgelearn_env.stages.kernels import played_by
from edgelearn_env.two_stage.array_kernel import ArrayModel
from edgelearn_env.two_stage.scenario import TwoStageScenario


def model_of(scenario: TwoStageScenario, kernel: str = "auto", *, xp: Any = np, **placement: Any) -> ArrayModel:
    """What plays a scenario of two stages; see `edgelearn_env.model.model_of`."""
    compiled = "edgelearn_env.two_stage.compiled_kernel"
    model: ArrayModel = played_by(ArrayModel, compiled, scenario, kernel, xp, **placement)
    return model
