"""What compiled episodes read of a scenario, packed: compiled code is handed few arrays, since each costs time."""

import math
from typing import NamedTuple

import numpy as np

from edgelearn_env.stages.bounds import BoundCoefficients
from edgelearn_env.stages.constants import Constants
from edgelearn_env.stages.encoding import TINY, Codec
from edgelearn_env.tapes.law import TapeLaw


class Numbers(NamedTuple):
    """A number each, of the round, the codec, the tapes' law and the bound."""

    server_cycles: float
    server_capacitance: float
    overhead_factor: float
    downlink_s: float
    downlink_j: float
    idle_s: float
    delay_s: float
    energy_j: float
    max_rounds: float
    server_freq_low: float
    server_freq_high: float
    server_freq_log_ratio: float
    server_batch_low: float
    server_batch_high: float
    server_batch_log_ratio: float
    log_bound_low: float
    log_bound_span: float
    log_gain_low: float
    log_gain_span: float
    fading_correlation: float
    innovation: float
    shadowing_std: float
    flip_probability: float
    pretrain_start: float
    contraction: float
    drift: float
    server_noise: float
    device_noise: float
    dissimilarity: float
    pretrain_factor: float
    pretrain_divisor: float
    finetune_factor: float
    weight_of_round: float
    weight_of_participation: float
    least_weight: float


NUM_NUMBERS = len(Numbers._fields)

# Rows of what devices differ in. The last nine are of their clocks, powers and batches.
(
    NOISE_W,
    BANDWIDTH_PER_NAT,
    UPLOAD_BIT,
    CYCLES_PER_SAMPLE,
    CAPACITANCE_BY_CYCLES,
    BATTERY_INITIAL_J,
    BATTERY_CAPACITY_J,
    DEVICE_WEIGHT,
    GRADIENT_NOISE_WEIGHT,
    MEAN_GAIN,
    ON_W,
    HARVEST_UNIT_W,
) = range(12)
ACTION_LOW, ACTION_HIGH, ACTION_LOG_RATIO = range(12, 21, 3)


def numbers_of(constants: Constants, codec: Codec, law: TapeLaw, coefficients: BoundCoefficients) -> np.ndarray:
    """`Numbers` in an array; products are formed in the order in which array code forms them."""
    server, radio, budgets = constants.scenario.server, constants.scenario.radio, constants.scenario.budgets
    cycles = constants.scenario.server_cycles_per_sample
    (bound_low, bound_high), (gain_low, gain_high) = codec.log_bound_range, codec.log_gain_range
    return np.array(
        Numbers(
            server_cycles=cycles,
            server_capacitance=server.capacitance_j_s2 * cycles,
            overhead_factor=server.overhead_factor,
            downlink_s=radio.downlink_s,
            downlink_j=radio.downlink_j,
            idle_s=radio.idle_s,
            delay_s=budgets.delay_s,
            energy_j=budgets.energy_j,
            max_rounds=budgets.max_rounds,
            server_freq_low=codec.action_low[0],
            server_freq_high=codec.action_high[0],
            server_freq_log_ratio=codec.action_log_ratio[0],
            server_batch_low=codec.action_low[1],
            server_batch_high=codec.action_high[1],
            server_batch_log_ratio=codec.action_log_ratio[1],
            log_bound_low=bound_low,
            log_bound_span=max(bound_high - bound_low, TINY),
            log_gain_low=gain_low,
            log_gain_span=max(gain_high - gain_low, TINY),
            fading_correlation=law.fading_correlation,
            innovation=math.sqrt(1 - law.fading_correlation**2),
            shadowing_std=law.shadowing_std_db * math.sqrt(2),
            flip_probability=law.flip_probability,
            pretrain_start=constants.bound.pretrain_start,
            **coefficients._asdict(),
        ),
        dtype=np.float64,
    )


def devices_of(constants: Constants, codec: Codec, law: TapeLaw) -> np.ndarray:
    """The rows of what devices differ in, (21, K)."""
    of_actions = (codec.action_low, codec.action_high, codec.action_log_ratio)
    return np.concatenate(
        [
            np.stack(
                [
                    constants.scenario.radio.noise_w_per_hz * constants.bandwidth_hz,
                    constants.bandwidth_hz / math.log(2),
                    constants.upload_bit,
                    constants.cycles_per_sample,
                    constants.capacitance_j_s2 * constants.cycles_per_sample,
                    constants.battery_initial_j,
                    constants.battery_capacity_j,
                    constants.device_weight,
                    constants.gradient_noise_weight,
                    law.mean_gain[:, 0],
                    law.on_w[:, 0],
                    codec.harvest_on_w,
                ]
            ),
            *(entries[2:].reshape(3, -1) for entries in of_actions),
        ]
    )
