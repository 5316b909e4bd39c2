"""Drift plus penalty with levels: in every round what each device trains is what costs least at the queues' prices."""

import dataclasses
from functools import cached_property
from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.layer_tuning.model.net_levels import NetLevels
from edgelearn_env.baselines.stages.model.cheapest_rounds import cheapest_rounds
from edgelearn_env.baselines.stages.policies.largest_round import DevicesRound, ServerRound, allocation_of
from edgelearn_env.baselines.stages.policies.lyapunov import Lyapunov
from edgelearn_env.baselines.stages.policies.priced_round import RoundLimits, RoundPrices, priced_finetune_round
from edgelearn_env.layer_tuning.records import Allocation
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.model import Observed

# How far from the best a round's levels may be, of what taking part is worth.
_TOLERANCE = 1e-2


class LayersRound(NamedTuple):
    """A `DevicesRound`, and how many blocks each device trains, (B, K)."""

    freq_hz: np.ndarray
    power_w: np.ndarray
    batch: np.ndarray
    blocks: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerLyapunov(Lyapunov):
    """`Lyapunov` with one net, whose devices train what costs least in each round, or always the same.

    Attributes:
        scenario: with its nets.
        depth: of the net to go on with.
        blocks: how many each device trains, (K,); None to choose in every round.
        seed: with one, each device trains a random number of blocks up to `blocks` in every round.
    """

    scenario: LayerTuningScenario
    depth: int
    blocks: np.ndarray | None = None
    seed: int | None = None

    def _nobody(self, shape: tuple[int, ...]) -> LayersRound:
        """A round in which nobody takes part, (B, K)."""
        return LayersRound(**super()._nobody(shape)._asdict(), blocks=np.zeros(shape, dtype=np.int64))

    def _allocation(self, switch: np.ndarray, server: ServerRound, devices: LayersRound) -> Allocation:
        """Both stages' rounds, with the net."""
        staged = allocation_of(switch, server, DevicesRound(*devices[:3]))
        return Allocation(**staged._asdict(), depth=np.full(len(switch), self.depth), blocks=devices.blocks)

    def _finetune_round(self, observed: Observed, prices: RoundPrices) -> LayersRound:
        """The fine-tuning round at those prices: levels first, then everything else at these levels."""
        blocks = self._blocks(observed, prices)
        level, each = np.maximum(blocks - 1, 0), np.arange(self.scenario.num_devices)
        hardware = self._net.hardware_at(level, observed.conditions.channel_gain)
        at = prices._replace(
            noise=self._net.noise_weight[level, each],
            gain=np.where(blocks > 0, prices.gain * self._net.share[level], 0.0),
        )
        chosen = priced_finetune_round(self.constants, observed, at, hardware)
        batch = np.where(blocks > 0, chosen.batch, 0.0)
        return LayersRound(chosen.freq_hz, chosen.power_w, batch, blocks)

    def _blocks(self, observed: Observed, prices: RoundPrices) -> np.ndarray:
        """How many blocks each device is to train, (B, K) integers."""
        shape = prices.joule.shape
        if self.blocks is None:
            return self._cheapest_blocks(observed, prices)
        if self.seed is None:
            return np.broadcast_to(self.blocks, shape).astype(np.int64)
        # The same numbers for an episode whatever else is played: by its round alone.
        drawn = [np.random.default_rng([self.seed, index]).random(shape[1]) for index in observed.state.round_index]
        blocks: np.ndarray = np.ceil(np.reshape(drawn, shape) * self.blocks).astype(np.int64)
        return blocks

    def _cheapest_blocks(self, observed: Observed, prices: RoundPrices) -> np.ndarray:
        """What costs least at those prices, 0 for who has no memory for anything."""
        sets = self._net.sets(len(prices.joule))
        if not sets.may.any():
            return np.zeros(prices.joule.shape, dtype=np.int64)
        costs = self._net.round_costs(
            second=prices.second,
            joule=prices.joule,
            gain=prices.gain[:, None, :] * self._net.share[:, None],
            noise=1.0,
            dissimilarity=prices.dissimilarity,
            hardware=self._net.hardware(observed.conditions.channel_gain),
            longest_s=RoundLimits.of(self.constants, observed).seconds,
            sets=sets,
        )
        found = cheapest_rounds(costs, _TOLERANCE * float(np.max(prices.gain)), 0.0)
        first = np.searchsorted(found.round_index, np.arange(len(sets.may)))
        return np.where(sets.may, 1 + found.level[first], 0)

    @cached_property
    def _net(self) -> NetLevels:
        """What its levels take and count."""
        return NetLevels(scenario=self.scenario, place=self.scenario.networks.place_of(self.depth))
