"""What a round is computed by: array operations, of numpy or torch."""

from typing import Any

import numpy as np

from edgelearn_env.layer_tuning.model import LayerTuningModel
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages.kernels import require_arrays


def model_of(
    scenario: LayerTuningScenario, kernel: str = "auto", *, xp: Any = np, **placement: Any
) -> LayerTuningModel:
    """What plays a scenario of layer tuning; see `edgelearn_env.model.model_of`.

    Raises:
        InvalidInputError: no such kernel.
        MissingExtraError: compiled loops are asked for, which this system does not have.
    """
    require_arrays(kernel)
    return LayerTuningModel(scenario, xp, **placement)
