"""Where training starts: at a plan from the scenario by formulas, with episodes that are worth learning from.

An agent that starts at random spends all its energy in a few rounds.
"""

from typing import NamedTuple

import numpy as np

from edgelearn_env.agents.actor import NUM_SERVER_ACTIONS, NUM_SHARED, PER_DEVICE, TIME_LEFT
from edgelearn_env.agents.static_plan import FADED, StaticPlan, static_plan
from edgelearn_env.dynamics import Allocation
from edgelearn_env.encoding import Codec
from edgelearn_env.records import mapped
from edgelearn_env.scenario import Scenario
from edgelearn_env.tape import Tape, sample_tape
from edgelearn_env.trajectory import Observed, Policy, rollout

# How fast the switch entry grows with the share of time used.
_SWITCH_SLOPE = 4.0

# Power goes with the gain to this power: half way between the plan's constant power, with which a faded upload takes
# for ever, and the one that keeps the upload's time, which empties batteries.
_POWER_EXPONENT = -0.5

_NUM_TAPES = 8
_SMALLEST_STD = 0.02

# Where things are among the three observations and the three entries of a device.
_GAIN, _POWER = 1, 1


class Start(NamedTuple):
    """What an untrained agent does and expects, linear in observations; float32, names as in `Actor`.

    Attributes:
        input_mean, input_std: by which observations are standardised first, (5 + 3 K,).
        server_weight, server_bias: first three entries of the action from those shared by all devices, (3, 5) and (3,).
        own_weight, own_bias: of each device's action, (K, 3, 3) and (K, 3).
        value_slope, value_bias: what is still to be gained, log Psi less the mean log Phi, from log Psi as observed.
    """

    input_mean: np.ndarray
    input_std: np.ndarray
    server_weight: np.ndarray
    server_bias: np.ndarray
    own_weight: np.ndarray
    own_bias: np.ndarray
    value_slope: float
    value_bias: float


def starting_point(scenario: Scenario) -> Start:
    """Play the static plan: switch once its share of time is used, and raise the power on a channel that fades.

    The moments of observations and the mean of log Phi are those met on the first tapes of seed 0.
    """
    codec = Codec.of(scenario)
    start = _of_plan(codec, static_plan(scenario))
    tapes = Tape.stack([sample_tape(scenario, 0, episode) for episode in range(_NUM_TAPES)])
    played = rollout(scenario, tapes, _policy(codec, start))
    seen = codec.encode(*mapped(lambda array: array[~played.observed.state.ended], played.observed))
    mean, std = seen.mean(axis=0, dtype=np.float64), np.maximum(seen.std(axis=0, dtype=np.float64), _SMALLEST_STD)
    own_mean, own_std = _by_device(mean[None])[0], _by_device(std[None])[0]
    low, high = codec.log_bound_range
    standardised = Start(
        input_mean=mean,
        input_std=std,
        server_weight=start.server_weight * std[:NUM_SHARED],
        server_bias=start.server_bias + start.server_weight @ mean[:NUM_SHARED],
        own_weight=start.own_weight * own_std[:, None],
        own_bias=start.own_bias + np.einsum("kij,kj->ki", start.own_weight, own_mean),
        value_slope=float(high - low),
        value_bias=float(low - np.mean(np.log(played.objective))),
    )
    return mapped(lambda value: value if isinstance(value, float) else value.astype(np.float32), standardised)


def _of_plan(codec: Codec, plan: StaticPlan) -> Start:
    """The start before observations are standardised."""
    scenario, num_devices = codec.scenario, codec.scenario.num_devices
    limits = np.concatenate([[plan.server_freq_hz, plan.server_batch], plan.freq_hz, plan.power_w, plan.batch])
    log_span = np.maximum(np.log(codec.action_high / codec.action_low), np.finfo(np.float64).tiny)
    action = np.clip(2.0 * np.log(limits / codec.action_low) / log_span - 1.0, -1.0, 1.0)
    low, high = codec.log_gain_range
    weight, own_weight = np.zeros((NUM_SERVER_ACTIONS, NUM_SHARED)), np.zeros((num_devices, PER_DEVICE, PER_DEVICE))
    weight[0, TIME_LEFT] = -_SWITCH_SLOPE
    power_log_span = log_span[2:].reshape(PER_DEVICE, num_devices)[_POWER]
    own_weight[:, _POWER, _GAIN] = _POWER_EXPONENT * (high - low) * 2.0 / power_log_span
    own_bias = action[2:].reshape(PER_DEVICE, num_devices).T.copy()
    planned_gain = (np.log(scenario.mean_channel_gain * FADED) - low) / (high - low)
    own_bias[:, _POWER] -= own_weight[:, _POWER, _GAIN] * planned_gain
    return Start(
        input_mean=np.zeros(codec.observation_size),
        input_std=np.ones(codec.observation_size),
        server_weight=weight,
        server_bias=np.array([_SWITCH_SLOPE * (1 - plan.time_share), *action[:2]]),
        own_weight=own_weight,
        own_bias=own_bias,
        value_slope=0.0,
        value_bias=0.0,
    )


def _policy(codec: Codec, start: Start) -> Policy:
    """The policy that an unstandardised start stands for."""

    def policy(observed: Observed) -> Allocation:
        observation = codec.encode(*observed)
        server = observation[:, :NUM_SHARED] @ start.server_weight.T + start.server_bias
        device = np.einsum("kij,bkj->bik", start.own_weight, _by_device(observation)) + start.own_bias.T
        return codec.decode(np.hstack([server, device.reshape(len(server), -1)]))

    return policy


def _by_device(observation: np.ndarray) -> np.ndarray:
    """What each device observes of itself, (B, K, 3)."""
    own = observation[:, NUM_SHARED:]
    return own.reshape(len(own), PER_DEVICE, -1).transpose(0, 2, 1)
