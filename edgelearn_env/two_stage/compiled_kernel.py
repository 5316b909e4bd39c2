"""The model in compiled loops: bit for bit what numpy's array operations give, in a fraction of their time."""

from functools import cached_property

import numpy as np

from edgelearn_env.stages.encoding import Codec
from edgelearn_env.stages.records import Allocation, Outcome, State
from edgelearn_env.tapes.compiled_law import before_first_round, next_rounds
from edgelearn_env.tapes.law import LawState
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.two_stage.array_kernel import ArrayModel
from edgelearn_env.two_stage.compiled_codec import decode, encode
from edgelearn_env.two_stage.compiled_round import loop_constants_of, step
from edgelearn_env.two_stage.scenario import TwoStageScenario


class CompiledModel(ArrayModel):
    """`ArrayModel` in loops that numba compiles at their first call and keeps on disk for later processes."""

    def __init__(self, scenario: TwoStageScenario) -> None:
        super().__init__(scenario)
        self._loop_constants = loop_constants_of(self.constants)

    @cached_property
    def codec(self) -> Codec:
        """Between records and what an agent sees; the loops read its numbers."""
        return Codec.of(self.scenario)

    def decode(self, action: np.ndarray) -> Allocation:
        """As `Codec.decode`."""
        return decode(self.codec, action)

    def step(self, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
        """As `dynamics.step`."""
        return step(self.constants, self._loop_constants, state, conditions, allocation)

    def encode(self, state: State, conditions: Conditions) -> np.ndarray:
        """As `Codec.encode`."""
        return encode(self.codec, state, conditions)

    def before_first_round(self, key: np.ndarray) -> LawState:
        """As `law.before_first_round`."""
        return before_first_round(self.law, key)

    def next_rounds(self, law_state: LawState, num_rounds: int) -> tuple[LawState, Conditions]:
        """As `law.next_rounds`."""
        return next_rounds(self.law, law_state, num_rounds)
