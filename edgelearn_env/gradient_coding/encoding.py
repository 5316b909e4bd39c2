"""Between records of coded rounds and what an agent sees: actions in [-1, 1], observations in [0, 1], both float32."""

import dataclasses
from typing import Any, Self

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.gradient_coding.records import Allocation, State
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.stages import encoding as stages
from edgelearn_env.stages import records
from edgelearn_env.tapes.tape import Conditions

# The layout: that of all systems first; then what concerns the code, then K of each that devices have.
OBSERVED_OF_CODE = ("edge stragglers", "device stragglers")
OBSERVED_OF_STRAGGLERS = ("slow-down", "tries", "lateness")
DECIDED_OF_CODE = ("edge stragglers", "device stragglers")
DECIDED_OF_DEVICE = ("asked",)

# An entry above it asks a device to work: it is to be asked unless there is a reason not to.
ASKED_ABOVE = -0.5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Codec:
    """Decodes actions and encodes observations of one scenario; see `GradientCodingEnv` for the tables.

    Attributes:
        scenario: the system.
        staged: codec of what all systems have.
    """

    scenario: GradientCodingScenario
    staged: stages.Codec

    @classmethod
    def of(cls, scenario: GradientCodingScenario, xp: Any = np, **placement: Any) -> Self:
        """The codec of a scenario in the arrays of the library `xp`; `placement` may hold its `device=`."""
        return cls(scenario=scenario, staged=stages.Codec.of(scenario, xp, **placement))

    @property
    def layout(self) -> stages.Layout:
        """Numbers of entries, those of codes and stragglers included."""
        staged = self.staged.layout
        return stages.Layout(
            staged.observed_of_all + len(OBSERVED_OF_CODE),
            staged.observed_of_device + len(OBSERVED_OF_STRAGGLERS),
            staged.decided_for_all + len(DECIDED_OF_CODE),
            staged.decided_for_device + len(DECIDED_OF_DEVICE),
        )

    @property
    def action_size(self) -> int:
        """Length of an action: 5 + 4 K."""
        return self.layout.decided_for_all + self.layout.decided_for_device * self.scenario.num_devices

    @property
    def observation_size(self) -> int:
        """Length of an observation: 7 + 6 K."""
        return self.layout.observed_of_all + self.layout.observed_of_device * self.scenario.num_devices

    def decode(self, action: Array) -> Allocation:
        """The allocation an action names, with batch sizes and stragglers rounded to integers.

        Args:
            action: that of `stages.encoding.Codec`, then s_e, s_w, then whom to ask, (B, 5 + 4 K). Entries beyond
                [-1, 1] count as the nearer end.
        """
        return self._with_code(self.staged.decode(action[:, : self.staged.action_size]), action)

    def fractional(self, action: Array) -> Allocation:
        """The same without rounding of batches; stragglers and who is asked are steps in any case."""
        return self._with_code(self.staged.fractional(action[:, : self.staged.action_size]), action)

    def _with_code(self, staged: records.Allocation, action: Array) -> Allocation:
        coding, first = self.scenario.coding, self.staged.action_size
        return Allocation(
            **staged._asdict(),
            edge_stragglers=stages.whole_number(action[:, first], coding.stored_edge_stragglers),
            device_stragglers=stages.whole_number(action[:, first + 1], coding.stored_device_stragglers),
            asked=action[:, first + 2 :] > ASKED_ABOVE,
        )

    def encode_action(self, allocation: Allocation) -> Array:
        """The action that names an allocation, float32, (B, 5 + 4 K): `decode` gives it back to float32's precision."""
        staged, coding = self.staged.encode_action(allocation.staged), self.scenario.coding
        xp = namespace_of(staged)

        return xp.concat(
            [
                staged,
                stages.whole_entry(allocation.edge_stragglers[:, None], coding.stored_edge_stragglers),
                stages.whole_entry(allocation.device_stragglers[:, None], coding.stored_device_stragglers),
                2.0 * xp.astype(allocation.asked, xp.float32) - 1.0,
            ],
            axis=1,
        )

    def encode(self, state: State, conditions: Conditions) -> Array:
        """What is observed before a round, float32 in [0, 1], (B, 7 + 6 K); `conditions.hidden` is not looked at."""
        xp, coding, seen = namespace_of(state.battery_j), self.scenario.coding, state.seen
        code = xp.stack(
            (
                xp.astype(seen.edge_stragglers, xp.float64) / max(coding.stored_edge_stragglers, 1),
                xp.astype(seen.device_stragglers, xp.float64) / max(coding.stored_device_stragglers, 1),
            )
        ).T
        new = (code, 1.0 - 1.0 / seen.slowdown, 1.0 - 1.0 / seen.tries, seen.lateness)
        parts = (self.staged.encode(state, conditions), *(xp.astype(part, xp.float32) for part in new))
        return xp.concat(parts, axis=1)
