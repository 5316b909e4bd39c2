"""What a round of layer tuning reads of its scenario, in the arrays of one library."""

from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.layer_tuning.networks import places_of
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages.bounds import LearningBound
from edgelearn_env.stages.constants import Constants, constants_of


class LayerConstants(NamedTuple):
    """A scenario of layer tuning; tables are flat, by depth, level and device, (D L K,), or without devices.

    Attributes:
        scenario: plain numbers are read from it.
        staged: what every system reads.
        bounds: learning bound of each net, but for unlike data, which count block by block.
        depths, floor: l, and the least task loss above that of the best net, (D,).
        device, levels: 0 to K - 1, (K,), and 1 to L, (L,).
        cycles_per_sample, upload_bit, device_weight, gradient_noise_weight: of `staged`, by level: a_k(l, t), Q(l, t),
            omega_k rho_l(t), omega_k^2 sigma_k^2(l, t); (D L K,).
        most_batch: samples for which a device's memory does, (D L K,).
        held_byte, sample_byte: memory of a level whatever the batch, and for each sample, (D L,).
        block_share: rho_l(t) - rho_l(t - 1), (D L,).
    """

    scenario: LayerTuningScenario
    staged: Constants
    bounds: tuple[LearningBound, ...]
    depths: Array
    floor: Array
    device: Array
    levels: Array
    cycles_per_sample: Array
    upload_bit: Array
    device_weight: Array
    gradient_noise_weight: Array
    most_batch: Array
    held_byte: Array
    sample_byte: Array
    block_share: Array

    @classmethod
    def of(cls, scenario: LayerTuningScenario, xp: Any = np, **placement: Any) -> Self:
        """The constants as arrays of the library `xp`, float64 or int64; `placement` may hold its `device=`."""
        levels, learning, networks = scenario.levels, scenario.learning, scenario.networks
        share = levels.share[..., None]
        tables = {
            "floor": networks.floor,
            "cycles_per_sample": learning.flops_per_sample / levels.flops_per_cycle,
            "upload_bit": np.broadcast_to(levels.upload_bit[..., None], levels.flops_per_cycle.shape),
            "device_weight": learning.device_weight * share,
            "gradient_noise_weight": learning.device_weight**2 * levels.gradient_variance,
            "most_batch": levels.most_batch,
            "held_byte": levels.held_byte,
            "sample_byte": levels.sample_byte,
            "block_share": np.diff(levels.share, axis=1, prepend=0.0),
        }
        whole = {"depths": np.array(networks.depths), "device": np.arange(scenario.num_devices)}
        whole["levels"] = np.arange(1, networks.most_blocks + 1)
        flat = {name: np.array(each).ravel() for name, each in tables.items()}
        alike = scenario.replace(learning={"dissimilarity": 0.0})
        bounds = tuple(alike.bound_of(place) for place in range(networks.num_depths))
        return cls(
            scenario=scenario,
            staged=constants_of(scenario, xp, **placement)._replace(bound=bounds[-1]),
            bounds=bounds,
            **{name: xp.asarray(each, dtype=xp.float64, **placement) for name, each in flat.items()},
            **{name: xp.asarray(each, dtype=xp.int64, **placement) for name, each in whole.items()},
        )

    @property
    def most_blocks(self) -> int:
        """L."""
        return self.scenario.networks.most_blocks

    def place_of(self, depth: Array) -> Array:
        """Index of each depth among `depths`, (B,); 0 before one is chosen."""
        return places_of(depth, self.depths)

    def by_level(self, table: Array, place: Array, blocks: Array) -> Array:
        """Entries of a table without devices at level t of each net, (B, ...) for places (B,) and levels (..., )."""
        return _taken(table, place[:, None] * self.most_blocks + _row_of(blocks))

    def by_device(self, table: Array, place: Array, blocks: Array) -> Array:
        """Entries of a table with devices at level t of each net, (..., K), places and levels broadcast."""
        row = place[..., None] * self.most_blocks + _row_of(blocks)
        return _taken(table, row * self.scenario.num_devices + self.device)

    def at(self, place: Array, blocks: Array) -> Constants:
        """What every system reads, (B, K), if devices train so many blocks of a net."""
        names = ("cycles_per_sample", "upload_bit", "device_weight", "gradient_noise_weight")
        return self.staged._replace(**{name: self.by_device(getattr(self, name), place, blocks) for name in names})


def _row_of(blocks: Array) -> Array:
    """Where a level stands in a table; the first row for none."""
    return namespace_of(blocks).where(blocks > 0, blocks - 1, 0)


def _taken(table: Array, key: Array) -> Array:
    """Entries of a flat table, in the shape of the key."""
    xp = namespace_of(key)
    return xp.reshape(xp.take(table, xp.reshape(key, (-1,)), axis=0), key.shape)
