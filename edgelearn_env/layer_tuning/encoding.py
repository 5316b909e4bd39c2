"""Between records of layer tuning and what an agent sees: actions in [-1, 1], observations in [0, 1], both float32."""

import dataclasses
from typing import Any, Self

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.layer_tuning.networks import places_of
from edgelearn_env.layer_tuning.records import Allocation, State
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages import encoding as stages
from edgelearn_env.stages import records
from edgelearn_env.tapes.tape import Conditions

# The layout: that of all systems first; then what concerns the net, then K of each that devices have.
OBSERVED_OF_NET = ("depth",)
DECIDED_OF_NET = ("depth",)
DECIDED_OF_DEVICE = ("blocks",)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Codec:
    """Decodes actions and encodes observations of one scenario; see `LayerTuningEnv` for the tables.

    Attributes:
        scenario: the system.
        staged: codec of what all systems have.
        depths: l of each net, (D,) integers.
    """

    scenario: LayerTuningScenario
    staged: stages.Codec
    depths: Array

    @classmethod
    def of(cls, scenario: LayerTuningScenario, xp: Any = np, **placement: Any) -> Self:
        """The codec of a scenario in the arrays of the library `xp`; `placement` may hold its `device=`."""
        depths = xp.asarray(np.array(scenario.networks.depths), dtype=xp.int64, **placement)
        return cls(scenario=scenario, staged=stages.Codec.of(scenario, xp, **placement), depths=depths)

    @property
    def layout(self) -> stages.Layout:
        """Numbers of entries, those of nets and blocks included."""
        staged = self.staged.layout
        return stages.Layout(
            staged.observed_of_all + len(OBSERVED_OF_NET),
            staged.observed_of_device,
            staged.decided_for_all + len(DECIDED_OF_NET),
            staged.decided_for_device + len(DECIDED_OF_DEVICE),
        )

    @property
    def action_size(self) -> int:
        """Length of an action: 4 + 4 K."""
        return self.layout.decided_for_all + self.layout.decided_for_device * self.scenario.num_devices

    @property
    def observation_size(self) -> int:
        """Length of an observation: 6 + 3 K."""
        return self.layout.observed_of_all + self.layout.observed_of_device * self.scenario.num_devices

    def decode(self, action: Array) -> Allocation:
        """The allocation an action names, with batch sizes, depth and blocks rounded to integers.

        Args:
            action: that of `stages.encoding.Codec`, then the depth, then all numbers of blocks, (B, 4 + 4 K). Entries
                beyond [-1, 1] count as the nearer end.
        """
        return self._with_net(self.staged.decode(action[:, : self.staged.action_size]), action)

    def fractional(self, action: Array) -> Allocation:
        """The same without rounding of batches; depth and blocks are steps in any case."""
        return self._with_net(self.staged.fractional(action[:, : self.staged.action_size]), action)

    def _with_net(self, staged: records.Allocation, action: Array) -> Allocation:
        first, networks = self.staged.action_size, self.scenario.networks
        xp, place = namespace_of(action), stages.whole_number(action[:, first], networks.num_depths - 1)
        return Allocation(
            **staged._asdict(),
            depth=xp.take(self.depths, place, axis=0),
            blocks=stages.whole_number(action[:, first + 1 :], networks.most_blocks),
        )

    def encode_action(self, allocation: Allocation) -> Array:
        """The action that names an allocation, float32, (B, 4 + 4 K): `decode` gives it back to float32's precision."""
        staged, networks = self.staged.encode_action(allocation.staged), self.scenario.networks
        place = places_of(allocation.depth, self.depths)
        return namespace_of(staged).concat(
            [
                staged,
                stages.whole_entry(place[:, None], networks.num_depths - 1),
                stages.whole_entry(allocation.blocks, networks.most_blocks),
            ],
            axis=1,
        )

    def encode(self, state: State, conditions: Conditions) -> Array:
        """What is observed before a round, float32 in [0, 1], (B, 6 + 3 K)."""
        xp = namespace_of(state.battery_j)
        depth = xp.astype(state.depth, xp.float64)[:, None] / self.scenario.networks.most_blocks
        return xp.concat((self.staged.encode(state, conditions), xp.astype(depth, xp.float32)), axis=1)
