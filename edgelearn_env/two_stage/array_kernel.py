"""The two-stage model in array operations, of numpy or torch: what plays a scenario."""

from edgelearn_env.stages.records import Allocation, FinetuneRound, State
from edgelearn_env.stages.staged_model import StagedModel
from edgelearn_env.stages.synchronous import synchronous_round
from edgelearn_env.tapes.tape import Conditions


class ArrayModel(StagedModel):
    """`edgelearn_env.model.Model` of a two-stage scenario."""

    rendering = "edgelearn_env.two_stage.rendering"

    def finetuning(self, state: State, conditions: Conditions, allocation: Allocation) -> FinetuneRound:
        """As `stages.synchronous.synchronous_round`."""
        return synchronous_round(self.constants, state.battery_j, conditions, allocation)
