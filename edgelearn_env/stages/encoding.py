"""Between physical records and what an agent sees: actions in [-1, 1], observations in [0, 1], both float32.

Normalisation is fixed and affine (in the logarithm where a quantity spans decades), from the scenario alone.
"""

import dataclasses
from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.model import State
from edgelearn_env.physics.units import db_to_ratio
from edgelearn_env.stages.bounds import LearningBound
from edgelearn_env.stages.records import Allocation
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Conditions

# The layout: entries that concern the whole episode, then K of each that devices have.
OBSERVED_OF_EPISODE = ("stage", "rounds left", "time left", "energy left", "log bound")
OBSERVED_OF_DEVICE = ("battery", "log gain", "harvest")
DECIDED_BY_SERVER = ("switch", "frequency", "batch")
DECIDED_BY_DEVICE = ("frequency", "power", "batch")

# Fading power |c|^2 has unit mean: below -40 dB once in 10^4 rounds, above 13 dB once in 5 * 10^8.
DEEPEST_FADE_DB, HIGHEST_FADE_DB = -40.0, 13.0
_SHADOWING_STDS = 3.0

# The batch that an action's lower end names before rounding: 0 and 1 each get as much of the range as a doubling.
LEAST_BATCH = 0.25

# Stands for nothing where a logarithm or a quotient needs something.
TINY = float(np.finfo(np.float64).tiny)


class Layout(NamedTuple):
    """How many entries there are: first those of all systems, then a system's own, each for all and then by device.

    Attributes:
        observed_of_all, observed_of_device: in observations.
        decided_for_all, decided_for_device: in actions.
    """

    observed_of_all: int
    observed_of_device: int
    decided_for_all: int
    decided_for_device: int


STAGED_LAYOUT = Layout(
    len(OBSERVED_OF_EPISODE), len(OBSERVED_OF_DEVICE), len(DECIDED_BY_SERVER), len(DECIDED_BY_DEVICE)
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Codec:
    """Decodes actions and encodes observations of one scenario; see `TwoStageEnv` for the tables.

    Attributes:
        scenario: the system; bound: its objective.
        action_low, action_high: physical limits of the entries after the switch, (2 + 3 K,).
        action_log_ratio: ln(high / low), rounded up so that low e^ratio, cut off at the high end, is just that.
        log_bound_range: least and largest log Psi an episode can show.
        log_gain_range: natural logs of the channel gains that are told apart.
        battery_capacity_j: capacities, (K,).
        harvest_on_w: harvested power of a device that is on, (K,); 1 where a device never harvests.
    """

    scenario: StagedScenario
    bound: LearningBound
    action_low: Array
    action_high: Array
    action_log_ratio: Array
    log_bound_range: tuple[float, float]
    log_gain_range: tuple[float, float]
    battery_capacity_j: Array
    harvest_on_w: Array

    @classmethod
    def of(cls, scenario: StagedScenario, xp: Any = np, **placement: Any) -> Self:
        """The codec of a scenario in the arrays of the library `xp`; `placement` may hold its `device=`."""
        server, devices, radio = scenario.server, scenario.devices, scenario.radio
        batch_min = np.full(scenario.num_devices, LEAST_BATCH)
        lowest = np.concatenate([[server.freq_min_hz, 1], devices.freq_min_hz, devices.power_min_w, batch_min])
        highest = np.concatenate(
            [[server.freq_max_hz, server.batch_max], devices.freq_max_hz, devices.power_max_w, devices.batch_max]
        )
        low, high = scenario.bound_value_range
        shadowing_db = _SHADOWING_STDS * radio.shadowing_std_db
        gain = scenario.mean_channel_gain
        on_w = 2.0 * scenario.energy.harvest_mean_w
        values = {
            "action_low": lowest,
            "action_high": highest,
            "action_log_ratio": _log_ratio_rounded_up(lowest, highest),
            "battery_capacity_j": np.array(scenario.energy.battery_capacity_j),
            "harvest_on_w": np.where(on_w > 0, on_w, 1.0),
        }
        return cls(
            scenario=scenario,
            bound=scenario.bound,
            log_bound_range=(float(np.log(low)), float(np.log(high))),
            log_gain_range=(
                float(np.log(np.min(gain) * db_to_ratio(DEEPEST_FADE_DB - shadowing_db))),
                float(np.log(np.max(gain) * db_to_ratio(HIGHEST_FADE_DB + shadowing_db))),
            ),
            **{name: xp.asarray(each, dtype=xp.float64, **placement) for name, each in values.items()},
        )

    @property
    def layout(self) -> Layout:
        """Numbers of entries; no system's own among them."""
        return STAGED_LAYOUT

    @property
    def action_size(self) -> int:
        """Length of an action: 3 + 3 K."""
        return STAGED_LAYOUT.decided_for_all + STAGED_LAYOUT.decided_for_device * self.scenario.num_devices

    @property
    def observation_size(self) -> int:
        """Length of an observation: 5 + 3 K."""
        return STAGED_LAYOUT.observed_of_all + STAGED_LAYOUT.observed_of_device * self.scenario.num_devices

    def decode(self, action: Array) -> Allocation:
        """The allocation an action names, with batch sizes rounded to integers, those of devices to 0 too.

        Args:
            action: switch, server frequency and batch, then all frequencies, powers, batches, (B, 3 + 3 K). Entries
                beyond [-1, 1] count as the nearer end.
        """
        xp, named = namespace_of(action), self._unrounded(action)
        return named._replace(server_batch=xp.round(named.server_batch), batch=xp.round(named.batch))

    def fractional(self, action: Array) -> Allocation:
        """The same without rounding, but for a device's batch below one sample, which is 0 or 1 as in `decode`."""
        xp, named = namespace_of(action), self._unrounded(action)
        batch = xp.where(named.batch > 0.5, xp.maximum(named.batch, 1.0), 0.0)
        return named._replace(batch=batch)

    def _unrounded(self, action: Array) -> Allocation:
        """What an action names on its logarithmic scales."""
        xp, num_devices = namespace_of(action), self.scenario.num_devices
        share = xp.minimum(xp.maximum(xp.astype(action[:, 1:], xp.float64), -1.0), 1.0) * 0.5 + 0.5
        value = xp.minimum(self.action_low * xp.exp(share * self.action_log_ratio), self.action_high)
        return Allocation(
            switch=action[:, 0] > 0,
            server_freq_hz=value[:, 0],
            server_batch=value[:, 1],
            freq_hz=value[:, 2 : 2 + num_devices],
            power_w=value[:, 2 + num_devices : 2 + 2 * num_devices],
            batch=value[:, 2 + 2 * num_devices :],
        )

    def encode_action(self, allocation: Allocation) -> Array:
        """The action that names an allocation, float32, (B, 3 + 3 K): `decode` gives it back to float32's precision.

        What lies beyond the limits of actions, such as a power below the least that an action can name, becomes the
        nearer end.
        """
        xp = namespace_of(allocation.server_freq_hz)
        of_server = (allocation.server_freq_hz[:, None], allocation.server_batch[:, None])
        value = xp.concat([*of_server, allocation.freq_hz, allocation.power_w, allocation.batch], axis=1)
        value = xp.minimum(xp.maximum(value, self.action_low), self.action_high)
        share = xp.log(value / self.action_low) / xp.maximum(self.action_log_ratio, TINY)
        switch = xp.astype(allocation.switch, xp.float64)[:, None]
        return xp.astype(2.0 * xp.concat([switch, share], axis=1) - 1.0, xp.float32)

    def encode(self, state: State, conditions: Conditions) -> Array:
        """What is observed before a round, float32 in [0, 1], (B, 5 + 3 K)."""
        xp = namespace_of(state.battery_j)
        parts = [xp.astype(part, xp.float32) for part in self.normalised(state, conditions)]
        return xp.minimum(xp.maximum(xp.concat(parts, axis=1), 0.0), 1.0)

    def normalised(self, state: State, conditions: Conditions) -> tuple[Array, Array, Array, Array]:
        """The observation in full precision, before it is cut off at 0 and 1.

        Returns:
            What concerns the episode, (B, 5); battery, channel and harvest of each device, (B, K); all float64.
        """
        xp, budgets = namespace_of(state.battery_j), self.scenario.budgets
        log_gain = xp.log(xp.maximum(conditions.channel_gain, TINY))
        log_bound = xp.log(self.bound.value(state.bound_terms))
        of_episode = (
            xp.astype(state.finetuning, xp.float64),
            1.0 - xp.astype(state.round_index, xp.float64) / budgets.max_rounds,
            1.0 - state.elapsed_s / budgets.delay_s,
            1.0 - state.spent_j / budgets.energy_j,
            _share_of_range(log_bound, self.log_bound_range),
        )
        return (
            xp.stack(of_episode).T,
            state.battery_j / self.battery_capacity_j,
            _share_of_range(log_gain, self.log_gain_range),
            conditions.harvest_w / self.harvest_on_w,
        )


def whole_number(entry: Array, most: int) -> Array:
    """The whole number from 0 to `most` that is nearest to where an entry of an action lies, int64."""
    xp = namespace_of(entry)
    share = xp.minimum(xp.maximum(xp.astype(entry, xp.float64), -1.0), 1.0) * 0.5 + 0.5
    # What is not a number, which only tensors may hold, has no whole number either.
    return xp.astype(xp.round(xp.where(xp.isnan(share), 0.0, share) * most), xp.int64)


def whole_entry(number: Array, most: int) -> Array:
    """The entries of an action that name whole numbers from 0 to `most`, float32."""
    xp = namespace_of(number)
    return xp.astype(2.0 * xp.astype(number, xp.float64) / max(most, 1) - 1.0, xp.float32)


def _log_ratio_rounded_up(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """ln(high / low), at least as large as it takes for low e^(...) to reach `high` in spite of rounding."""
    ratio: np.ndarray = np.log(high / low)
    while np.any(short := low * np.exp(ratio) < high):
        ratio[short] = np.nextafter(ratio[short], np.inf)
    return ratio


def _share_of_range(value: Array, ends: tuple[float, float]) -> Array:
    """Where `value` lies between two ends, 0 at the lower one and 1 at the upper one."""
    low, high = ends
    return (value - low) / max(high - low, TINY)
