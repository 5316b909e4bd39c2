"""What a round is computed by: array operations or a list of them, to the same numbers."""

from typing import Any

import numpy as np

from edgelearn_env.layer_tuning.model import LayerTuningModel
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages.kernels import compiled_model, wants_arrays


def model_of(
    scenario: LayerTuningScenario, kernel: str = "auto", *, xp: Any = np, **placement: Any
) -> LayerTuningModel:
    """What plays a scenario of layer tuning; see `edgelearn_env.model.model_of`."""
    if wants_arrays(kernel, xp):
        return LayerTuningModel(scenario, xp, **placement)
    found = compiled_model("edgelearn_env.layer_tuning.compiled_kernel", scenario, kernel, otherwise=LayerTuningModel)
    made: LayerTuningModel = found(scenario)
    return made
