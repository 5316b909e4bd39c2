"""`Codec.decode` and `Codec.encode` compiled: the same numbers to the last bit, each in two passes over the batch.

Exponentials and logarithms stay numpy's, which are faster than compiled ones and whose last bit would differ.
"""

import numpy as np

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.stages.encoding import OBSERVED_OF_EPISODE, TINY, Codec
from edgelearn_env.stages.records import Allocation, State
from edgelearn_env.tapes.tape import Conditions

NUM_SHARED = len(OBSERVED_OF_EPISODE)


def decode(codec: Codec, action: np.ndarray) -> Allocation:
    """As `Codec.decode`; arrays (B, K) lie device by device in memory."""
    switch, value = np.empty(len(action), dtype=bool), np.empty((action.shape[1] - 1, len(action)))
    write_exponents(action, codec.action_log_ratio, switch, value)
    num_devices = codec.scenario.num_devices
    write_physical(codec.action_low, codec.action_high, num_devices, np.exp(value, out=value))
    freq_hz, power_w, batch = value[2:].reshape(3, num_devices, len(action)).transpose(0, 2, 1)
    return Allocation(switch, value[0], value[1], freq_hz, power_w, batch)


def encode(codec: Codec, state: State, conditions: Conditions) -> np.ndarray:
    """As `Codec.encode`; rows lie one after the other in memory."""
    budgets = codec.scenario.budgets
    log_psi = np.log(codec.bound.value(state.bound_terms))
    log_gain = np.maximum(conditions.channel_gain.T, TINY)
    # Columns to spare: at a distance of a power of two, entries would take each other's place in the cache.
    observed = np.empty((codec.observation_size, len(log_psi) + 16), dtype=np.float32)
    write_observation(
        (float(budgets.max_rounds), budgets.delay_s, budgets.energy_j),
        (codec.log_bound_range, codec.log_gain_range),
        (codec.battery_capacity_j, codec.harvest_on_w),
        (state.round_index, state.finetuning, state.elapsed_s, state.spent_j, log_psi),
        (state.battery_j.T, np.log(log_gain, out=log_gain), conditions.harvest_w.T),
        observed,
    )
    return np.ascontiguousarray(observed[:, : len(log_psi)].T)


@compiled
def write_exponents(action, log_ratio, switch, exponent):
    """Write the logarithm of each entry over its least value, (2 + 3 K, B), and whether to switch."""
    # Some rows of actions at a time, so that they stay in the fastest cache while columns are made of them.
    for start in range(0, len(action), 16):
        stop = min(start + 16, len(action))
        for b in range(start, stop):
            switch[b] = action[b, 0] > 0
        for j in range(len(log_ratio)):
            for b in range(start, stop):
                share = min(max(np.float64(action[b, j + 1]), -1.0), 1.0) * 0.5 + 0.5
                exponent[j, b] = share * log_ratio[j]


@compiled
def write_physical(low, high, num_devices, value):
    """Make physical values of the exponentials, in place; batch sizes whole."""
    for j in range(len(value)):
        whole = j == 1 or j >= 2 + 2 * num_devices
        for b in range(value.shape[1]):
            value[j, b] = min(low[j] * value[j, b], high[j])
        if whole:
            for b in range(value.shape[1]):
                value[j, b] = np.rint(value[j, b])


@compiled
def write_observation(budgets, ranges, full, of_episode, of_devices, observed):
    """Write observations entry by entry into the first columns, (5 + 3 K, at least B)."""
    round_index, finetuning, elapsed_s, spent_j, log_psi = of_episode
    battery_j, log_gain, harvest_w = of_devices
    num_devices, num_episodes = battery_j.shape
    for b in range(num_episodes):
        observed[0, b] = finetuning[b]
        observed[1, b] = unit(1.0 - round_index[b] / budgets[0])
        observed[2, b] = unit(1.0 - elapsed_s[b] / budgets[1])
        observed[3, b] = unit(1.0 - spent_j[b] / budgets[2])
        observed[4, b] = unit(share(log_psi[b], ranges[0]))
    for k in range(num_devices):
        capacity_j, on_w = full[0][k], full[1][k]
        first = NUM_SHARED + k
        battery, gain, harvest = observed[first], observed[first + num_devices], observed[first + 2 * num_devices]
        for b in range(num_episodes):
            battery[b] = unit(battery_j[k, b] / capacity_j)
        for b in range(num_episodes):
            gain[b] = unit(share(log_gain[k, b], ranges[1]))
        for b in range(num_episodes):
            harvest[b] = unit(harvest_w[k, b] / on_w)


@compiled
def share(value, ends):
    """Where `value` lies between two ends, 0 at the lower one and 1 at the upper one."""
    return (value - ends[0]) / max(ends[1] - ends[0], TINY)


@compiled
def unit(value):
    """`value` as float32, cut off below 0 and above 1."""
    return min(max(np.float32(value), np.float32(0.0)), np.float32(1.0))
