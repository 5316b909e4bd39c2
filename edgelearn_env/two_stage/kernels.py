"""What a round is computed by: array operations or compiled loops, to the same numbers."""

from typing import Any

import numpy as np

from edgelearn_env.stages.kernels import compiled_model, wants_arrays
from edgelearn_env.two_stage.array_kernel import ArrayModel
from edgelearn_env.two_stage.scenario import TwoStageScenario


def model_of(scenario: TwoStageScenario, kernel: str = "auto", *, xp: Any = np, **placement: Any) -> ArrayModel:
    """What plays a two-stage scenario; see `edgelearn_env.model.model_of`."""
    if wants_arrays(kernel, xp):
        return ArrayModel(scenario, xp, **placement)
    found = compiled_model("edgelearn_env.two_stage.compiled_kernel", scenario, kernel, otherwise=ArrayModel)
    made: ArrayModel = found(scenario)
    return made
