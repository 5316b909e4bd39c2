"""Where training starts: at a plan from the scenario by formulas, with episodes that are worth learning from.

An agent that starts at random spends all its energy in a few rounds.
"""

from typing import Any

import numpy as np

from edgelearn_env.agents.actor.actor import (
    TIME_LEFT,
    Features,
    Sizes,
    Start,
    action_of,
    codec_of,
    features,
)
from edgelearn_env.agents.actor.first_choice import FirstChoice, first_choice
from edgelearn_env.agents.actor.static_plan import FADED, StaticPlan, static_plan
from edgelearn_env.arrays.records import mapped
from edgelearn_env.model import Allocation, Observed
from edgelearn_env.stages.encoding import STAGED_LAYOUT, Codec
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Policy, rollout

# How fast the switch entry grows with the share of time used.
_SWITCH_SLOPE = 4.0

# Power goes with the gain to this power: half way between the plan's constant power, with which a faded upload takes
# for ever, and the one that keeps the upload's time, which empties batteries.
_POWER_EXPONENT = -0.5

_NUM_TAPES = 8
_SMALLEST_STD = 0.02

# Where things are among the three observations and the three entries of a device.
_GAIN, _POWER = 1, 1


def starting_point(scenario: StagedScenario) -> Start:
    """Play the static plan: switch once its share of time is used, and raise the power on a channel that fades.

    The moments of observations and the mean of log Phi are those met on the first tapes of seed 0.
    """
    codec = codec_of(scenario)
    sizes = Sizes.of(codec.layout)
    choice = first_choice(scenario)
    plan = static_plan(choice.planned)
    batch = np.clip(plan.batch / choice.copies, 1.0, np.maximum(choice.most_batch, 1.0))
    start = _of_plan(Codec.of(scenario), sizes, plan._replace(batch=batch), choice)
    tapes = Tape.stack([sample_tape(scenario, 0, episode) for episode in range(_NUM_TAPES)])
    played = rollout(scenario, tapes, _policy(codec, start))
    observed = codec.encode(*mapped(lambda array: array[~played.observed.state.ended], played.observed))
    seen = mapped(lambda array: array.astype(np.float64), features(observed, scenario.num_devices, sizes.shared))
    mean = mapped(lambda array: array.mean(axis=0), seen)
    std = mapped(lambda array: np.maximum(array.std(axis=0), _SMALLEST_STD), seen)
    standardised = start._replace(
        mean=mean,
        std=std,
        server_weight=start.server_weight * std.shared,
        server_bias=start.server_bias + start.server_weight @ mean.shared,
        own_weight=start.own_weight * std.own[:, None],
        own_bias=start.own_bias + np.einsum("kij,kj->ki", start.own_weight, mean.own),
        log_bound=np.mean(np.log(played.objective)),
    )
    return mapped(lambda value: value.astype(np.float32), standardised)


def _of_plan(codec: Codec, sizes: Sizes, plan: StaticPlan, choice: FirstChoice) -> Start:
    """The start before observations are standardised."""
    scenario, num_devices = codec.scenario, codec.scenario.num_devices
    limits = np.concatenate([[plan.server_freq_hz, plan.server_batch], plan.freq_hz, plan.power_w, plan.batch])
    log_span = np.maximum(np.log(codec.action_high / codec.action_low), np.finfo(np.float64).tiny)
    action = np.clip(2.0 * np.log(limits / codec.action_low) / log_span - 1.0, -1.0, 1.0)
    low, high = codec.log_gain_range
    weight = np.zeros((sizes.decided_for_all, sizes.shared))
    own_weight = np.zeros((num_devices, sizes.decided_for_device, sizes.own))
    weight[0, TIME_LEFT] = -_SWITCH_SLOPE
    power_log_span = log_span[2:].reshape(STAGED_LAYOUT.decided_for_device, num_devices)[_POWER]
    own_weight[:, _POWER, _GAIN] = _POWER_EXPONENT * (high - low) * 2.0 / power_log_span
    bias = np.array([_SWITCH_SLOPE * (1 - plan.time_share), *action[:2], *choice.for_all])
    own_bias = np.hstack([action[2:].reshape(STAGED_LAYOUT.decided_for_device, num_devices).T, choice.for_device])
    planned_gain = (np.log(scenario.mean_channel_gain * FADED) - low) / (high - low)
    own_bias[:, _POWER] -= own_weight[:, _POWER, _GAIN] * planned_gain
    return Start(
        mean=Features(np.zeros(sizes.shared), np.zeros((num_devices, sizes.own))),
        std=Features(np.ones(sizes.shared), np.ones((num_devices, sizes.own))),
        server_weight=weight,
        server_bias=bias,
        own_weight=own_weight,
        own_bias=own_bias,
        traits=device_traits(scenario),
        log_bound=np.array(np.nan),
    )


def device_traits(scenario: StagedScenario) -> np.ndarray:
    """log(x_k / geometric mean of x) of what decides which device is strong and which is weak, (K, 8)."""
    devices, radio, energy = scenario.devices, scenario.radio, scenario.energy
    traits = (
        scenario.mean_channel_gain,
        radio.bandwidth_hz,
        devices.power_max_w,
        energy.battery_capacity_j,
        devices.freq_max_hz,
        devices.capacitance_j_s2,
        scenario.device_cycles_per_sample,
        scenario.gradient_noise_weight,
    )
    logs = np.log(np.stack([np.broadcast_to(trait, scenario.num_devices) for trait in traits], axis=1))
    return np.asarray(logs - logs.mean(axis=0))


def _policy(codec: Any, start: Start) -> Policy:
    """The policy that an unstandardised start stands for."""

    def policy(observed: Observed) -> Allocation:
        seen = features(codec.encode(*observed), len(start.traits), start.sizes.shared)
        server = seen.shared @ start.server_weight.T + start.server_bias
        device = np.einsum("kij,bkj->bki", start.own_weight, seen.own) + start.own_bias
        return codec.decode(action_of(server, device))

    return policy
