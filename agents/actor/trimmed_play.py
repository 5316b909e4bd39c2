"""Environments whose rounds are trimmed before they are played, for algorithms that know nothing of the model."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode

from edgelearn_env.agents.actor.trimming import trimmed
from edgelearn_env.envs.sb3 import NativeVecEnv
from edgelearn_env.envs.vector import NativeVectorEnv
from edgelearn_env.model import Observed
from edgelearn_env.stages.records import Allocation, Outcome, State
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.two_stage.array_kernel import ArrayModel


class TrimmedModel(ArrayModel):
    """A two-stage model in which `trimmed` stands between what is decided and what is played."""

    def step(self, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
        """As `dynamics.step`, of the round that was trimmed."""
        played = trimmed(self.constants, self.scenario.budgets, Observed(state, conditions), allocation)
        return super().step(state, conditions, played)


class TrimmedVecEnv(NativeVecEnv):
    """`NativeVecEnv` whose rounds are trimmed.

    Args:
        env_fns: as for `NativeVecEnv`.
        scenario: that they play.
    """

    def __init__(self, env_fns: Sequence[Callable[[], gymnasium.Env[Any, Any]]], scenario: StagedScenario) -> None:
        super().__init__(env_fns)
        self.envs = NativeVectorEnv(TrimmedModel(scenario), len(env_fns), autoreset_mode=AutoresetMode.SAME_STEP)
