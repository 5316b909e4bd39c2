"""The systems, by name, and where the parts of each are found: what serves all of them looks here.

A system is one way of learning at the edge: a scenario, its dynamics, an environment in several forms, an optimum.
"""

import importlib
from typing import Any, NamedTuple

from edgelearn_env.errors import InvalidInputError


class System(NamedTuple):
    """Where one system is found; places are `module:name`, and load when they are first used.

    Attributes:
        environment: id of its environment, as Gymnasium knows it.
        scenario: its subclass of `Scenario`.
        model: makes the model that plays a scenario, called as `model.model_of`.
        single, vector: the environment's two forms.
        tensors: the form on tensors.
        hidden: class of what its tapes hold that shows only after a round; empty without such.
        presets: package that holds its presets as TOML files; empty without any.
        ladder: its policies that need no learning, by name; empty without any.
        optimum: its solver for a known tape, called as `baselines.clairvoyant`; empty without one.
        optimum_record: class of what that returns, with `to_arrays` and `from_arrays`.
    """

    environment: str
    scenario: str
    model: str
    single: str
    vector: str
    tensors: str
    hidden: str = ""
    presets: str = ""
    ladder: str = ""
    optimum: str = ""
    optimum_record: str = ""


SYSTEMS: dict[str, System] = {
    "two-stage": System(
        environment="EdgeLearn/TwoStage-v0",
        scenario="edgelearn_env.two_stage.scenario:TwoStageScenario",
        presets="edgelearn_env.two_stage.presets",
        model="edgelearn_env.two_stage.kernels:model_of",
        single="edgelearn_env.two_stage.env:TwoStageEnv",
        vector="edgelearn_env.two_stage.env:TwoStageVectorEnv",
        tensors="edgelearn_env.two_stage.tensor_env:TwoStageTorch",
        ladder="edgelearn_env.baselines.two_stage.ladder:LADDER",
        optimum="edgelearn_env.baselines.two_stage.clairvoyant:clairvoyant",
        optimum_record="edgelearn_env.baselines.stages.model.optimum:StagedOptimum",
    ),
    "gradient-coding": System(
        environment="EdgeLearn/GradientCoding-v0",
        scenario="edgelearn_env.gradient_coding.scenario:GradientCodingScenario",
        hidden="edgelearn_env.gradient_coding.hidden:Hidden",
        presets="edgelearn_env.gradient_coding.presets",
        model="edgelearn_env.gradient_coding.kernels:model_of",
        single="edgelearn_env.gradient_coding.env:GradientCodingEnv",
        vector="edgelearn_env.gradient_coding.env:GradientCodingVectorEnv",
        tensors="edgelearn_env.gradient_coding.tensor_env:GradientCodingTorch",
        ladder="edgelearn_env.baselines.gradient_coding.ladder:LADDER",
        optimum="edgelearn_env.baselines.gradient_coding.clairvoyant:clairvoyant",
        optimum_record="edgelearn_env.baselines.gradient_coding.clairvoyant:CodedOptimum",
    ),
    "layer-tuning": System(
        environment="EdgeLearn/LayerTuning-v0",
        scenario="edgelearn_env.layer_tuning.scenario:LayerTuningScenario",
        presets="edgelearn_env.layer_tuning.presets",
        model="edgelearn_env.layer_tuning.kernels:model_of",
        single="edgelearn_env.layer_tuning.env:LayerTuningEnv",
        vector="edgelearn_env.layer_tuning.env:LayerTuningVectorEnv",
        tensors="edgelearn_env.layer_tuning.tensor_env:LayerTuningTorch",
        ladder="edgelearn_env.baselines.layer_tuning.ladder:LADDER",
        optimum="edgelearn_env.baselines.layer_tuning.clairvoyant:clairvoyant",
        optimum_record="edgelearn_env.baselines.layer_tuning.clairvoyant:LayerOptimum",
    ),
}

# What a scenario file that names no system is about.
DEFAULT_SYSTEM = "two-stage"


def located(place: str) -> Any:
    """What stands at a place, `module:name`."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def system_named(name: Any) -> System:
    """The system of that name.

    Raises:
        InvalidInputError: there is none.
    """
    if not isinstance(name, str) or name not in SYSTEMS:
        raise InvalidInputError(f"system must be one of {', '.join(SYSTEMS)}, got {name!r}")
    return SYSTEMS[name]
