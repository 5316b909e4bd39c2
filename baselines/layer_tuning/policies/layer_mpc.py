"""Model-predictive control of layer tuning: in every block of rounds, what each device trains is planned too."""

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np

from edgelearn_env.baselines.layer_tuning.model.layer_episode import LayerEpisode
from edgelearn_env.baselines.layer_tuning.model.net_levels import NetLevels
from edgelearn_env.baselines.layer_tuning.model.roomy_design import typical_design
from edgelearn_env.baselines.layer_tuning.policies.chosen_net import with_net
from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts
from edgelearn_env.baselines.stages.policies.block_episode import BlockEpisode
from edgelearn_env.baselines.stages.policies.block_roles import PlanPrices
from edgelearn_env.baselines.stages.policies.receding_horizon import RecedingHorizon
from edgelearn_env.baselines.stages.static.search import Best
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning.constants import LayerConstants
from edgelearn_env.layer_tuning.dynamics import planned_round
from edgelearn_env.layer_tuning.records import Allocation, State
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.model import Observed
from edgelearn_env.stages.records import PlannedRound
from edgelearn_env.tapes.tape import Conditions, Tape


class LayerMPC(RecedingHorizon):
    """`RecedingHorizon` with one net: in each block of rounds each device trains what costs least at a plan's prices.

    Args:
        scenario: the system.
        depth: of the net.

    Raises:
        InvalidInputError: there is no such net, or no device has the memory to train a block of it.
    """

    def __init__(self, scenario: LayerTuningScenario, depth: int) -> None:
        self._place = scenario.networks.place_of(depth)
        net = NetLevels(scenario=scenario, place=self._place)
        if not net.fits.any():
            raise InvalidInputError(f"depth must be of a net that some device can train a block of, got {depth}")
        super().__init__(_PlannedLayers(net))

    def __call__(self, observed: Observed) -> Allocation:
        """The first round of a fresh plan for every episode."""
        allocation: Allocation = super().__call__(with_net(observed, self._place))
        return allocation


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerBlocks(LayerEpisode, BlockEpisode):
    """A `LayerEpisode` in blocks of alike rounds."""

    def _given(self, roles: np.ndarray) -> dict[str, Any]:
        """The field that holds what devices train."""
        return {"given_roles": roles}


class _PlannedLayers:
    """One net of a scenario as an `edgelearn_env.baselines.stages.policies.planned_system.PlannedSystem`."""

    def __init__(self, net: NetLevels) -> None:
        self._net, self._constants = net, LayerConstants.of(net.scenario)
        self._form = net.scenario.bound_of(net.place).quotient_form(0)

    @cached_property
    def nothing(self) -> LayerBlocks:
        """As `PlannedSystem.nothing`."""
        nobody = np.zeros((0, self._net.scenario.num_devices), dtype=int)
        return LayerBlocks.of_nothing(self._net.scenario, place=self._net.place, given_roles=nobody)

    @property
    def has_levels(self) -> bool:
        """As `PlannedSystem.has_levels`."""
        return self._net.depth > 1

    def static_design(self) -> tuple[Best, float]:
        """As `PlannedSystem.static_design`."""
        return typical_design(self._net)

    def round_costs(self, rounds: Tape, prices: PlanPrices, longest_s: float) -> RoundCosts:
        """As `PlannedSystem.round_costs`."""
        return self._net.round_costs(
            second=prices.second_of(rounds),
            joule=prices.joule_of(rounds),
            gain=self._net.gain(prices.value * self._form.participation_weight),
            noise=self._form.finetune_weight,
            dissimilarity=self._form.dissimilarity_weight,
            hardware=self._net.hardware(rounds.channel_gain),
            longest_s=longest_s,
            sets=self._net.sets(len(rounds.harvest_w)),
        )

    def planned_round(self, state: State, conditions: Conditions, allocation: Allocation) -> PlannedRound:
        """As `PlannedSystem.planned_round`."""
        return planned_round(self._constants, state, conditions, allocation)
