"""Layer tuning: devices train the last blocks of a pre-trained net, as many as they can; names load when asked for."""

from typing import TYPE_CHECKING

from edgelearn_env.faces import lazy_face

if TYPE_CHECKING:
    from edgelearn_env.layer_tuning.env import LayerTuningEnv, LayerTuningVectorEnv
    from edgelearn_env.layer_tuning.levels import Levels
    from edgelearn_env.layer_tuning.one_level import as_two_stage
    from edgelearn_env.layer_tuning.records import Allocation
    from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
    from edgelearn_env.layer_tuning.tensor_env import LayerTuningTorch

__all__ = [
    "Allocation",
    "LayerTuningEnv",
    "LayerTuningScenario",
    "LayerTuningTorch",
    "LayerTuningVectorEnv",
    "Levels",
    "as_two_stage",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "Allocation": ".records",
        "LayerTuningEnv": ".env",
        "LayerTuningScenario": ".scenario",
        "LayerTuningTorch": ".tensor_env",
        "LayerTuningVectorEnv": ".env",
        "Levels": ".levels",
        "as_two_stage": ".one_level",
    },
)
