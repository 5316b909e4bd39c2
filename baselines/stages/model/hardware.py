"""A scenario's hardware as the `closed_forms` read it."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink, in_rounds
from edgelearn_env.stages.bounds import dissimilarity_share
from edgelearn_env.stages.scenario import StagedScenario


class Hardware(NamedTuple):
    """What devices' rounds are made with: their processors and uplinks, (K,), or (T, K) where rounds differ."""

    devices: Processor
    uplink: Uplink

    def in_rounds(self, rounds: np.ndarray) -> "Hardware":
        """As it is in the rounds at some indices."""
        return Hardware(in_rounds(self.devices, rounds), in_rounds(self.uplink, rounds))


def server_processor(scenario: StagedScenario) -> Processor:
    """The server's processor, its overhead factor within the energy constant."""
    server = scenario.server
    return Processor(
        cycles_per_sample=np.float64(scenario.server_cycles_per_sample),
        capacitance_j_s2=np.float64(server.overhead_factor * server.capacitance_j_s2),
        freq_min_hz=np.float64(server.freq_min_hz),
        freq_max_hz=np.float64(server.freq_max_hz),
        batch_max=np.float64(server.batch_max),
    )


def device_processors(scenario: StagedScenario) -> Processor:
    """The devices' processors, each field (K,)."""
    devices = scenario.devices
    return Processor(
        cycles_per_sample=scenario.device_cycles_per_sample,
        capacitance_j_s2=devices.capacitance_j_s2,
        freq_min_hz=devices.freq_min_hz,
        freq_max_hz=devices.freq_max_hz,
        batch_max=devices.batch_max,
    )


def uplinks(scenario: StagedScenario, channel_gain: np.ndarray) -> Uplink:
    """The uplinks at these gains; `noise_w` has their shape, (..., K)."""
    radio = scenario.radio
    return Uplink(
        nats_s=scenario.learning.upload_bit * np.log(2) / radio.bandwidth_hz,
        noise_w=radio.noise_w_per_hz * radio.bandwidth_hz / np.maximum(channel_gain, _LEAST_GAIN),
        power_max_w=np.asarray(scenario.devices.power_max_w),
    )


def least_dissimilarity(scenario: StagedScenario, sets: AllowedSets) -> np.ndarray:
    """The least that beta(Omega) can be with each number of participants, 1 to K, in each round, (T, K).

    beta rises to Omega = 1/2 and falls from there, so it is least with the lightest or with the heaviest devices. Exact
    where all weights are the same, or all devices are decided.
    """
    weight = np.broadcast_to(np.asarray(scenario.learning.device_weight), sets.may.shape)
    ends = []
    for sign in (1, -1):
        # Who must take part comes first, who may not last.
        order = np.argsort(np.where(sets.must, -np.inf, np.where(sets.may, sign * weight, np.inf)), axis=1)
        ends.append(dissimilarity_share(np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)))
    least: np.ndarray = np.minimum(*ends)
    return least


# Stands for no gain at all: an upload at full power takes longer than anything, in numbers that do not overflow.
_LEAST_GAIN = 1e-200
