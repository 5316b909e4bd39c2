"""The rest of an episode with given rounds, net and levels, as data that the conic program reads."""

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from edgelearn_env.baselines.layer_tuning.model.net_levels import NetLevels
from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.model.hardware import Hardware
from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.layer_tuning import records as layers
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages.bounds import BatchSizeForm, QuotientForm, dissimilarity_share
from edgelearn_env.stages.records import Allocation
from edgelearn_env.trajectory import Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LayerPlan(Plan):
    """What to do in every round of an episode of layer tuning, whatever happens."""

    record: ClassVar = layers.Allocation


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerEpisode(PlannedEpisode):
    """A planned episode in which devices train blocks of one net.

    Attributes:
        scenario: the system.
        place: of the net's depth among those of the scenario.
        given_roles: how many blocks each device trains in each fine-tuning round, 0 for one that is silent, (N, K).
    """

    scenario: LayerTuningScenario
    place: int
    given_roles: np.ndarray

    @property
    def depth(self) -> int:
        """l."""
        return self._net.depth

    @property
    def roles(self) -> np.ndarray:
        """As `given_roles`."""
        roles: np.ndarray = self.given_roles.astype(int)
        return roles

    @cached_property
    def participates(self) -> np.ndarray:
        """Which devices take part in each fine-tuning round, (N, K)."""
        participates: np.ndarray = self.given_roles > 0
        return participates

    @cached_property
    def level(self) -> np.ndarray:
        """Blocks that each device trains less one; 0 for the silent too, (N, K)."""
        level: np.ndarray = np.maximum(self.roles - 1, 0)
        return level

    @cached_property
    def weight(self) -> np.ndarray:
        """sum_k omega_k rho_l(t_k) of each fine-tuning round, (N,)."""
        share = self._net.share[self.level] * self.participates
        weight: np.ndarray = np.sum(self.scenario.learning.device_weight * share, axis=1)
        return weight

    @cached_property
    def dissimilarity(self) -> np.ndarray:
        """sum_q (rho_q - rho_{q-1}) beta(Omega_q) of each fine-tuning round, (N,)."""
        trained = self.roles[:, None, :] > np.arange(self.depth)[:, None]
        omega = np.sum(trained * self.scenario.learning.device_weight, axis=2)
        dissimilarity: np.ndarray = dissimilarity_share(omega) @ self._net.block_share
        return dissimilarity

    @property
    def participation(self) -> float:
        """P of the fine-tuning rounds."""
        return float(self.finetune_repeats @ self.weight)

    @cached_property
    def form(self) -> BatchSizeForm:
        """The learning bound as a function of the batch sizes of those who take part."""
        return self._quotient.at(self.participation, self.finetune_repeats @ self.dissimilarity)

    @cached_property
    def _quotient(self) -> QuotientForm:
        """The net's learning bound as a quotient."""
        bound = self.scenario.bound_of(self.place)
        return bound.quotient_form(int(np.sum(self.pretrain_repeats)), self.start.bound_terms)

    @cached_property
    def noise_weight(self) -> np.ndarray:
        """omega_k^2 sigma_k^2(l, t), (N, K)."""
        weight: np.ndarray = self._net.noise_weight[self.level, np.arange(self.scenario.num_devices)]
        return weight

    @cached_property
    def device_noise_price(self) -> np.ndarray:
        """What 1/b_k of each fine-tuning round adds to the bound if the data of device k count, (N, K)."""
        price: np.ndarray = self.form.finetune_weight * self.noise_weight
        return price

    @cached_property
    def devices(self) -> Processor:
        """At the level of each round, (N, K)."""
        return self._hardware.devices

    @cached_property
    def uplink(self) -> Uplink:
        """At the level of each round, (N, K)."""
        return self._hardware.uplink

    @cached_property
    def _hardware(self) -> Hardware:
        gain = self.tape.channel_gain[self.num_pretrain_rounds :][: self.num_finetune_rounds]
        return self._net.hardware_at(self.level, gain)

    @cached_property
    def _net(self) -> NetLevels:
        """What its levels take and count."""
        return NetLevels(scenario=self.scenario, place=self.place)

    def reached(self, played: Trajectory) -> float:
        """Phi of an episode that was played, with the net that it ended with."""
        return float(self.scenario.bound.value(played.final_state.bound_terms)[0])

    def as_plan(self, rows: Allocation) -> LayerPlan:
        """The plan that decides this in each round, with its net and its levels."""
        num_devices = self.scenario.num_devices
        before, after = np.ones((self.num_pretrain_rounds, num_devices)), np.ones((1, num_devices))
        return LayerPlan(
            allocations=layers.Allocation(
                **rows._asdict(),
                depth=np.full(len(rows.switch), self.depth),
                blocks=np.concatenate([before, self.roles, after]).astype(int),
            ),
            num_pretrain_rounds=self.num_pretrain_rounds,
            num_finetune_rounds=self.num_finetune_rounds,
        )
