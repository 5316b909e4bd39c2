"""Environments whose rounds are trimmed before they are played, for algorithms that know nothing of the model."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode

from edgelearn_env.agents.actor.trimmer import Trimmer, trimmer
from edgelearn_env.envs.sb3 import NativeVecEnv
from edgelearn_env.envs.vector import NativeVectorEnv
from edgelearn_env.layer_tuning.model import LayerTuningModel
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.model import Allocation, Model, Observed, Outcome, State
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.stages.staged_model import StagedModel
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.two_stage.array_kernel import ArrayModel
from edgelearn_env.two_stage.scenario import TwoStageScenario


class _Trimming(StagedModel):
    """A model in which a `trimmer` stands between what is decided and what is played."""

    @cached_property
    def _trim(self) -> Trimmer:
        return trimmer(self.scenario)

    def step(self, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
        """As the system's own, of the round that was trimmed."""
        return super().step(state, conditions, self._trim(Observed(state, conditions), allocation))


class TrimmedTwoStage(_Trimming, ArrayModel):
    """A two-stage model whose rounds are trimmed."""


class TrimmedLayers(_Trimming, LayerTuningModel):
    """A model of layer tuning whose rounds are trimmed."""


_TRIMMED: dict[type[StagedScenario], Callable[[Any], Model]] = {
    TwoStageScenario: TrimmedTwoStage,
    LayerTuningScenario: TrimmedLayers,
}


class TrimmedVecEnv(NativeVecEnv):
    """`NativeVecEnv` whose rounds are trimmed.

    Args:
        env_fns: as for `NativeVecEnv`.
        scenario: that they play, of a system whose rounds can be trimmed.
    """

    def __init__(self, env_fns: Sequence[Callable[[], gymnasium.Env[Any, Any]]], scenario: StagedScenario) -> None:
        super().__init__(env_fns)
        model = _TRIMMED[type(scenario)](scenario)
        self.envs = NativeVectorEnv(model, len(env_fns), autoreset_mode=AutoresetMode.SAME_STEP)
