"""What plays a scenario of layer tuning, in array operations of numpy or torch."""

from functools import cached_property
from typing import Any

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.layer_tuning.constants import LayerConstants
from edgelearn_env.layer_tuning.dynamics import initial_state, objective, step
from edgelearn_env.layer_tuning.encoding import Codec
from edgelearn_env.layer_tuning.info import info
from edgelearn_env.layer_tuning.limits import checked_allocation
from edgelearn_env.layer_tuning.records import Allocation, LayerRound, Outcome, State
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.model import Column
from edgelearn_env.stages.staged_model import StagedModel
from edgelearn_env.tapes.tape import Conditions


class LayerTuningModel(StagedModel):
    """`edgelearn_env.model.Model` of a scenario of layer tuning.

    Args:
        scenario: what is fixed.
        xp: library of the arrays.
        placement: may hold their `device=`.
    """

    rendering = "edgelearn_env.layer_tuning.rendering"

    minimised = Column("objective", "J", "bound on the task loss above the least of all nets at the end")

    columns = (*StagedModel.columns, Column("depth", "l", "blocks of the net that was chosen, 0 for none"))

    def __init__(self, scenario: LayerTuningScenario, xp: Any = np, **placement: Any) -> None:
        super().__init__(scenario, xp, **placement)
        self.layers = LayerConstants.of(scenario, xp, **placement)

    @cached_property
    def codec(self) -> Codec:
        """Between records and what an agent sees."""
        return Codec.of(self.layers.scenario, namespace_of(self._array), device=self._array.device)

    def initial_state(self, num_episodes: int) -> State:
        """B episodes before their first round."""
        return initial_state(self.layers, num_episodes)

    def no_round(self, state: State) -> tuple[Allocation, Outcome]:
        """What stands for the last round before there was one: nothing decided, nothing counted, J as it is."""
        staged, outcome = super().no_round(state)
        each = state.battery_j * 0.0
        none = namespace_of(each).astype(each, state.depth.dtype)
        layers = LayerRound(blocks=none, memory_byte=each, lowered=each > 0)
        decided = Allocation(**staged._asdict(), depth=state.depth * 0, blocks=none + 0)
        return decided, Outcome(**outcome._asdict(), layers=layers)

    def step(self, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
        """As `dynamics.step`."""
        return step(self.layers, state, conditions, allocation)

    def checked_allocation(self, allocation: Allocation, num_episodes: int) -> Allocation:
        """As `limits.checked_allocation`."""
        return checked_allocation(self.layers.scenario, allocation, num_episodes)

    def objective(self, state: State) -> Array:
        """J: the bound on the task loss with what has happened so far, (B,)."""
        return objective(self.layers, state)

    def summary(self, state: State) -> dict[str, Array]:
        """M, N and the depth so far, (B,)."""
        terms = state.bound_terms
        return {
            "num_pretrain_rounds": terms.num_pretrain_rounds,
            "num_finetune_rounds": terms.num_finetune_rounds,
            "depth": state.depth,
        }

    def info(self, state: State, allocation: Allocation, outcome: Outcome) -> dict[str, Array]:
        """As `info.info`."""
        return info(state, allocation, outcome)
