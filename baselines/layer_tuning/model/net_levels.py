"""All levels of one net, as the closed forms and prices see them."""

import dataclasses
from functools import cached_property

import numpy as np

from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts
from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.model.hardware import (
    Hardware,
    device_processors,
    least_dissimilarity,
    uplinks,
)
from edgelearn_env.baselines.stages.model.unlike_data import UnlikeData
from edgelearn_env.layer_tuning.levels import Levels
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetLevels:
    """What devices compute and upload with at each level of a net, and what that counts.

    Levels are counted from 0 on: at level t a device trains t + 1 blocks.

    Attributes:
        scenario: the system.
        place: of the net's depth among those of the scenario.
    """

    scenario: LayerTuningScenario
    place: int

    @property
    def depth(self) -> int:
        """l."""
        return int(np.asarray(self.scenario.networks.depths)[self.place])

    @cached_property
    def table(self) -> Levels:
        """What the levels of all nets take and count."""
        return self.scenario.levels

    @property
    def share(self) -> np.ndarray:
        """rho_l, (l,)."""
        return self.table.share[self.place, : self.depth]

    @property
    def block_share(self) -> np.ndarray:
        """rho_q - rho_{q-1}, what block q counts, (l,)."""
        block_share: np.ndarray = np.diff(self.share, prepend=0.0)
        return block_share

    @cached_property
    def fits(self) -> np.ndarray:
        """Which levels each device has the memory for, (l, K)."""
        fits: np.ndarray = self.table.most_batch[self.place, : self.depth] >= 1
        return fits

    @cached_property
    def noise_weight(self) -> np.ndarray:
        """omega_k^2 sigma_k^2(l, t), (l, K)."""
        return self.noise_price(1.0)

    def noise_price(self, price: float) -> np.ndarray:
        """What 1/b of each device costs at each level, at a price of noise, (l, K)."""
        variance = self.table.gradient_variance[self.place, : self.depth]
        each: np.ndarray = price * self.scenario.learning.device_weight**2 * variance
        return each

    def gain(self, price: float) -> np.ndarray:
        """What it is worth that each device takes part at each level, at a price of participation, (l, K)."""
        each: np.ndarray = price * self.share[:, None] * self.scenario.learning.device_weight
        return each

    def sets(self, num_rounds: int) -> AllowedSets:
        """In each round all sets of those who have the memory for anything."""
        every = AllowedSets.all_of(num_rounds, self.scenario.num_devices)
        return every._replace(may=every.may & np.any(self.fits, axis=0))

    def hardware_at(self, level: np.ndarray | int, channel_gain: np.ndarray) -> Hardware:
        """Processors and uplinks of devices, each at one level.

        Args:
            level: of all devices, or (N, K).
            channel_gain: (N, K).
        """
        at = (self.place, level, np.arange(self.scenario.num_devices))
        uplink = uplinks(self.scenario, channel_gain)
        per_bit = uplink.nats_s / self.scenario.learning.upload_bit
        devices = device_processors(self.scenario)._replace(
            cycles_per_sample=self.scenario.learning.flops_per_sample / self.table.flops_per_cycle[at],
            # One that has no memory takes no part; whatever is said of it must be a number.
            batch_max=np.maximum(self.table.most_batch[at], 1.0),
        )
        return Hardware(devices, uplink._replace(nats_s=per_bit * self.table.upload_bit[self.place, level]))

    def hardware(self, channel_gain: np.ndarray) -> Hardware:
        """The same at every level, one after the other: all is (l K,), or (N, l K) where channels count."""
        devices, uplinks = zip(*(self.hardware_at(level, channel_gain) for level in range(self.depth)), strict=True)
        return Hardware(
            Processor(*map(self._joined, zip(*devices, strict=True))),
            Uplink(*map(self._joined, zip(*uplinks, strict=True))),
        )

    def _joined(self, fields: tuple[np.ndarray | float, ...]) -> np.ndarray:
        """What levels have, one after the other along the last axis."""
        arrays = [np.asarray(field) for field in fields]
        return np.concatenate(
            [np.broadcast_to(array, (*array.shape[:-1], self.scenario.num_devices)) for array in arrays], axis=-1
        )

    def round_costs(
        self,
        *,
        second: np.ndarray,
        joule: np.ndarray,
        gain: np.ndarray,
        noise: float,
        dissimilarity: float,
        hardware: Hardware,
        longest_s: np.ndarray | float,
        sets: AllowedSets,
        released: np.ndarray | float = 0.0,
    ) -> RoundCosts:
        """What decides the cost of T rounds in which each device trains what costs least.

        Args:
            second, joule, longest_s, sets: as in `RoundCosts`; roles are numbers of blocks.
            gain: what it is worth that a device takes part at each level, (l, K) or (T, l, K).
            noise: price of a unit of noise.
            dissimilarity: of a unit of zeta^2 beta(Omega).
            hardware: of all levels.
            released: what it is worth besides that a device takes part at all, a number or (T, K).
        """
        blocks, shape = np.arange(1, self.depth + 1)[:, None], sets.may.shape
        low, high = (np.broadcast_to(end, shape)[:, None, :] for end in (sets.lowest, sets.highest))
        possible = self.fits & (blocks >= low) & (blocks <= high)
        worth = gain + np.broadcast_to(released, shape)[:, None, :]
        unlike = UnlikeData(np.asarray(self.scenario.learning.device_weight), dissimilarity * self.block_share)
        return RoundCosts(
            second=second,
            joule=np.tile(joule, (1, self.depth)),
            gain=np.where(possible, worth, -np.inf).reshape(len(worth), -1),
            noise=self.noise_price(noise).ravel(),
            # Of a round's unlike data what counts in the last block, which everybody trains.
            dissimilarity=unlike.block_price[0] * least_dissimilarity(self.scenario, sets),
            devices=hardware.devices,
            uplink=hardware.uplink,
            longest_s=longest_s,
            sets=sets,
            num_levels=self.depth,
            unlike=unlike,
        )
