"""Between physical records and what an agent sees: actions in [-1, 1], observations in [0, 1], both float32.

Normalisation is fixed and affine (in the logarithm where a quantity spans decades), from the scenario alone.
"""

import dataclasses
from typing import Self

import numpy as np

from edgelearn_env.bounds import Progress
from edgelearn_env.dynamics import Allocation, State
from edgelearn_env.scenario import Scenario
from edgelearn_env.tape import Conditions
from edgelearn_env.units import db_to_ratio

# Fading power |c|^2 has unit mean: below -40 dB once in 10^4 rounds, above 13 dB once in 5 * 10^8.
DEEPEST_FADE_DB, HIGHEST_FADE_DB = -40.0, 13.0
_SHADOWING_STDS = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Codec:
    """Decodes actions and encodes observations of one scenario; see `TwoStageEnv` for the tables.

    Attributes:
        num_devices: K.
        action_low, action_high: physical limits of the entries after the switch, (2 + 3 K,).
        log_bound_range: least and largest log Psi an episode can show.
        log_gain_range: natural logs of the channel gains that are told apart.
        harvest_on_w: harvested power of a device that is on, (K,); 1 where a device never harvests.
    """

    scenario: Scenario
    action_low: np.ndarray
    action_high: np.ndarray
    log_bound_range: tuple[float, float]
    log_gain_range: tuple[float, float]
    harvest_on_w: np.ndarray

    @classmethod
    def of(cls, scenario: Scenario) -> Self:
        """The codec of a scenario."""
        server, devices, radio = scenario.server, scenario.devices, scenario.radio
        ones = np.ones(scenario.num_devices)
        low, high = bound_value_range(scenario)
        shadowing_db = _SHADOWING_STDS * radio.shadowing_std_db
        gain = scenario.mean_channel_gain
        on_w = 2.0 * scenario.energy.harvest_mean_w
        return cls(
            scenario=scenario,
            action_low=np.concatenate([[server.freq_min_hz, 1], devices.freq_min_hz, devices.power_min_w, ones]),
            action_high=np.concatenate(
                [[server.freq_max_hz, server.batch_max], devices.freq_max_hz, devices.power_max_w, devices.batch_max]
            ),
            log_bound_range=(np.log(low), np.log(high)),
            log_gain_range=(
                np.log(np.min(gain) * db_to_ratio(DEEPEST_FADE_DB - shadowing_db)),
                np.log(np.max(gain) * db_to_ratio(HIGHEST_FADE_DB + shadowing_db)),
            ),
            harvest_on_w=np.where(on_w > 0, on_w, 1.0),
        )

    @property
    def action_size(self) -> int:
        """Length of an action: 3 + 3 K."""
        return 3 + 3 * self.scenario.num_devices

    @property
    def observation_size(self) -> int:
        """Length of an observation: 5 + 3 K."""
        return 5 + 3 * self.scenario.num_devices

    def decode(self, action: np.ndarray) -> Allocation:
        """The allocation an action names; frequencies and powers log-scaled, batch sizes rounded to integers.

        Args:
            action: switch, server frequency and batch, then all frequencies, powers, batches, (B, 3 + 3 K). Entries
                beyond [-1, 1] count as the nearer end.
        """
        num_devices = self.scenario.num_devices
        share = (np.clip(action[:, 1:].astype(np.float64), -1.0, 1.0) + 1.0) / 2.0
        low, high = self.action_low, self.action_high
        # Powers round: the upper end is put in, the lower one is exact, and nothing between may reach beyond them.
        value = np.where(share == 1.0, high, np.clip(low * (high / low) ** share, low, high))
        server, freq_hz, power_w, batch = np.split(value, [2, 2 + num_devices, 2 + 2 * num_devices], axis=1)
        return Allocation(
            switch=action[:, 0] > 0,
            server_freq_hz=server[:, 0],
            server_batch=np.round(server[:, 1]),
            freq_hz=freq_hz,
            power_w=power_w,
            batch=np.round(batch),
        )

    def encode(self, state: State, conditions: Conditions) -> np.ndarray:
        """What is observed before a round, float32 in [0, 1], (B, 5 + 3 K)."""
        budgets, energy = self.scenario.budgets, self.scenario.energy
        log_gain = np.log(np.maximum(conditions.channel_gain, np.finfo(np.float64).tiny))
        log_bound = np.log(self.scenario.bound.value(state.progress))
        columns = [
            state.finetuning[:, None],
            1.0 - state.round_index[:, None] / budgets.max_rounds,
            1.0 - state.elapsed_s[:, None] / budgets.delay_s,
            1.0 - state.spent_j[:, None] / budgets.energy_j,
            _share_of_range(log_bound[:, None], self.log_bound_range),
            state.battery_j / energy.battery_capacity_j,
            _share_of_range(log_gain, self.log_gain_range),
            conditions.harvest_w / self.harvest_on_w,
        ]
        return np.clip(np.concatenate(columns, axis=1), 0.0, 1.0).astype(np.float32)


def bound_value_range(scenario: Scenario) -> tuple[float, float]:
    """Least and largest value that the bound can show at any time of an episode.

    For given numbers of rounds the bound falls with every batch size, so both extremes lie where all batches are
    smallest, or all largest.
    """
    horizon, weight = scenario.budgets.max_rounds, scenario.gradient_noise_weight
    smallest = (1.0, float(np.sum(weight)))
    largest = (float(scenario.server.batch_max), float(np.sum(weight / scenario.devices.batch_max)))
    return (
        float(np.min(_reachable_values(scenario, *largest, horizon))),
        float(np.max(_reachable_values(scenario, *smallest, horizon))),
    )


def _reachable_values(scenario: Scenario, server_batch: float, noise: float, horizon: int) -> np.ndarray:
    """Psi at all (M, N) within the horizon, with the same batch sizes in all rounds."""
    terms = [scenario.bound.pretrain_start]
    for _ in range(horizon):
        terms.append(scenario.bound.after_pretrain_round(terms[-1], server_batch))
    rounds = np.arange(horizon + 1.0)
    num_pretrain, num_finetune = np.meshgrid(rounds, rounds, indexing="ij")
    values = scenario.bound.value(Progress(num_pretrain, num_finetune, np.array(terms)[:, None], num_finetune * noise))
    return values[num_pretrain + num_finetune <= horizon]


def _share_of_range(value: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Where `value` lies between two ends, 0 at the lower one and 1 at the upper one."""
    low, high = ends
    return (value - low) / max(high - low, np.finfo(np.float64).tiny)
