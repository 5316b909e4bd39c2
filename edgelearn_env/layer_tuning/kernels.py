"""What a round is computed by: array operations or a list of them, to the same numbers."""

from typing import Any

import numpy as np

from edgelearn_env.layer_tuning.model import LayerTuningModel
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages.kernels import played_by


def model_of(
    scenario: LayerTuningScenario, kernel: str = "auto", *, xp: Any = np, **placement: Any
) -> LayerTuningModel:
    """What plays a scenario of layer tuning; see `edgelearn_env.model.model_of`."""
    compiled = "edgelearn_env.layer_tuning.compiled_kernel"
    model: LayerTuningModel = played_by(LayerTuningModel, compiled, scenario, kernel, xp, **placement)
    return model
