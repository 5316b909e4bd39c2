"""What plays a scenario with codes, in array operations of numpy or torch."""

from functools import cached_property
from typing import Any

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.gradient_coding import hidden
from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.dynamics import initial_state, step
from edgelearn_env.gradient_coding.encoding import Codec
from edgelearn_env.gradient_coding.info import info
from edgelearn_env.gradient_coding.limits import checked_allocation
from edgelearn_env.gradient_coding.records import Allocation, CodedRound, Outcome, State
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.stages.staged_model import StagedModel
from edgelearn_env.tapes.law import LawState
from edgelearn_env.tapes.tape import Conditions


class GradientCodingModel(StagedModel):
    """`edgelearn_env.model.Model` of a scenario with codes.

    Args:
        scenario: what is fixed.
        xp: library of the arrays.
        placement: may hold their `device=`.
    """

    rendering = "edgelearn_env.gradient_coding.rendering"

    def __init__(self, scenario: GradientCodingScenario, xp: Any = np, **placement: Any) -> None:
        super().__init__(scenario, xp, **placement)
        self.coding = CodingConstants.of(scenario, xp, **placement)

    @cached_property
    def codec(self) -> Codec:
        """Between records and what an agent sees."""
        return Codec.of(self.coding.scenario, namespace_of(self._array), device=self._array.device)

    @cached_property
    def hidden_law(self) -> hidden.HiddenLaw:
        """The random law of stragglers."""
        return hidden.HiddenLaw.of(self.coding.scenario, namespace_of(self._array), device=self._array.device)

    def initial_state(self, num_episodes: int) -> State:
        """B episodes before their first round."""
        return initial_state(self.coding, num_episodes)

    def no_round(self, state: State) -> tuple[Allocation, Outcome]:
        """What stands for the last round before there was one: nothing decided, nothing counted."""
        staged, outcome = super().no_round(state)
        none, each = state.round_index * 0, state.battery_j * 0.0
        edges = each[:, :: self.coding.scenario.devices_per_edge] + 0.0
        coded = CodedRound(state.ended & False, each, each + 0.0, edges)
        decided = Allocation(**staged._asdict(), edge_stragglers=none, device_stragglers=none + 0, asked=each > 0)
        return decided, Outcome(**outcome._asdict(), coded=coded)

    def step(self, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
        """As `dynamics.step`."""
        return step(self.coding, state, conditions, allocation)

    def checked_allocation(self, allocation: Allocation, num_episodes: int) -> Allocation:
        """As `limits.checked_allocation`."""
        return checked_allocation(self.coding.scenario, allocation, num_episodes)

    def info(self, state: State, allocation: Allocation, outcome: Outcome) -> dict[str, Array]:
        """As `info.info`."""
        return info(state, allocation, outcome)

    def before_first_round(self, key: Array) -> LawState:
        """Where the law of channels, harvest and stragglers begins."""
        staged = super().before_first_round(key)
        return staged._replace(hidden=hidden.before_first_round(self.hidden_law, key))

    def next_rounds(self, law_state: LawState, num_rounds: int) -> tuple[LawState, Conditions]:
        """What the next R rounds bring, stragglers included, and where the law stands after them."""
        after, conditions = super().next_rounds(law_state, num_rounds)
        state, late = hidden.next_rounds(self.hidden_law, law_state.hidden, law_state.round_index, num_rounds)
        return after._replace(hidden=state), conditions._replace(hidden=late)
