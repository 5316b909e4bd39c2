"""What receding-horizon control asks of a system."""

from typing import Protocol, runtime_checkable

from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts
from edgelearn_env.baselines.stages.policies.block_episode import BlockEpisode
from edgelearn_env.baselines.stages.policies.block_roles import PlanPrices
from edgelearn_env.baselines.stages.static.search import Best
from edgelearn_env.model import Allocation, State
from edgelearn_env.stages.records import PlannedRound
from edgelearn_env.tapes.tape import Conditions, Tape


@runtime_checkable
class PlannedSystem(Protocol):
    """A system whose fine-tuning rounds wait for all who take part, each at one of some levels, or the only one.

    It is sent to other processes.
    """

    @property
    def nothing(self) -> BlockEpisode:
        """An episode of no rounds; plans are made of it by `in_blocks`."""

    @property
    def has_levels(self) -> bool:
        """Whether a device can take part at several levels."""

    def static_design(self) -> tuple[Best, float]:
        """A static design to begin with, and what a unit of its noise adds to the bound's numerator."""

    def round_costs(self, rounds: Tape, prices: PlanPrices, longest_s: float) -> RoundCosts:
        """What decides the cost of some fine-tuning rounds, (n, K), none of which lasts longer, s."""

    def planned_round(self, state: State, conditions: Conditions, allocation: Allocation) -> PlannedRound:
        """What a round would be if no budget applied; all records are of the system, (B, ...)."""
