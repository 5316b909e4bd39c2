"""Model-predictive control of two-stage edge learning."""

from functools import cached_property

import numpy as np

from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts
from edgelearn_env.baselines.stages.model.hardware import device_processors, least_dissimilarity, uplinks
from edgelearn_env.baselines.stages.policies.block_episode import BlockEpisode
from edgelearn_env.baselines.stages.policies.block_roles import PlanPrices
from edgelearn_env.baselines.stages.policies.receding_horizon import RecedingHorizon
from edgelearn_env.baselines.stages.static.rounds import StaticConstants
from edgelearn_env.baselines.stages.static.search import Best, best_rounds
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.records import Allocation, PlannedRound, State
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Conditions, Tape
from edgelearn_env.two_stage.dynamics import planned_round


class MPC(RecedingHorizon):
    """`RecedingHorizon` in two-stage edge learning, where a device takes part or is silent.

    Args:
        scenario: the system.

    Raises:
        InvalidInputError: it is no scenario, or one of another kind.
    """

    def __init__(self, scenario: StagedScenario) -> None:
        super().__init__(_PlannedTwoStage(scenario))


class _PlannedTwoStage:
    """A scenario as an `edgelearn_env.baselines.stages.policies.planned_system.PlannedSystem`."""

    def __init__(self, scenario: StagedScenario) -> None:
        self._scenario, self._constants = scenario, constants_of(scenario)
        self._form = scenario.bound.quotient_form(0)

    @cached_property
    def nothing(self) -> BlockEpisode:
        """As `PlannedSystem.nothing`."""
        return BlockEpisode.of_nothing(self._scenario)

    @property
    def has_levels(self) -> bool:
        """As `PlannedSystem.has_levels`."""
        return False

    def static_design(self) -> tuple[Best, float]:
        """As `PlannedSystem.static_design`."""
        return best_rounds(StaticConstants.of(self._scenario)), self._form.finetune_weight

    def round_costs(self, rounds: Tape, prices: PlanPrices, longest_s: float) -> RoundCosts:
        """As `PlannedSystem.round_costs`."""
        sets = AllowedSets.all_of(*rounds.harvest_w.shape)
        gain = prices.value * self._form.participation_weight * np.asarray(self._scenario.learning.device_weight)
        return RoundCosts(
            second=prices.second_of(rounds),
            joule=prices.joule_of(rounds),
            gain=np.broadcast_to(gain, rounds.harvest_w.shape),
            noise=self._form.finetune_weight * self._scenario.gradient_noise_weight,
            dissimilarity=self._form.dissimilarity_weight * least_dissimilarity(self._scenario, sets),
            devices=device_processors(self._scenario),
            uplink=uplinks(self._scenario, rounds.channel_gain),
            longest_s=longest_s,
            sets=sets,
        )

    def planned_round(self, state: State, conditions: Conditions, allocation: Allocation) -> PlannedRound:
        """As `PlannedSystem.planned_round`."""
        return planned_round(self._constants, state, conditions, allocation)
