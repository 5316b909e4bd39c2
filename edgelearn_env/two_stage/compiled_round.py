"""`dynamics.step` compiled: the same round to the last bit, in a few passes over the batch.

The formulas are those of `dynamics` and `physics`, in the same order of operations. The learning bound stays a class of
its own, and logarithms stay numpy's: theirs are faster than compiled ones, which differ in the last bit.

In loops arrays of devices are (K, B), as they lie in memory.
"""

import math
from typing import Any

import numpy as np

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.two_stage.bounds import BoundTerms
from edgelearn_env.two_stage.dynamics import (
    BATTERY,
    DELAY,
    ENERGY,
    LAST_ROUND,
    RUNNING,
    Allocation,
    Constants,
    DeviceRound,
    Outcome,
    State,
)


def loop_constants_of(constants: Constants) -> tuple[tuple[Any, ...], tuple[float, ...]]:
    """What the loops read of a system: arrays with a number a device, (K,), and numbers."""
    server, radio, budgets = constants.scenario.server, constants.scenario.radio, constants.scenario.budgets
    cycles, server_cycles = constants.work.cycles_per_sample, constants.scenario.server_cycles_per_sample
    of_devices = (
        radio.noise_w_per_hz * constants.bandwidth_hz,
        constants.bandwidth_hz / math.log(2),
        constants.work.upload_bit,
        cycles,
        constants.capacitance_j_s2 * cycles,
        constants.battery_capacity_j,
        constants.gradient_noise_weight,
    )
    numbers = (
        server_cycles,
        server.capacitance_j_s2 * server_cycles,
        server.overhead_factor,
        radio.downlink_s,
        radio.downlink_j,
        budgets.delay_s,
        budgets.energy_j,
        budgets.max_rounds,
    )
    return of_devices, tuple(map(float, numbers))


def step(
    constants: Constants,
    loop_constants: tuple[tuple[Any, ...], tuple[float, ...]],
    state: State,
    conditions: Conditions,
    allocation: Allocation,
) -> tuple[State, Outcome]:
    """As `dynamics.step`, with `loop_constants_of` them; arrays (B, K) have to lie device by device in memory."""
    of_devices, numbers = loop_constants
    gain, harvest_w = (array.T for array in conditions)
    decided = (*allocation[:3], *(array.T for array in allocation[3:]))
    snr = np.empty_like(gain)
    ratio_of(of_devices[0], decided[4], gain, snr)
    pretrained = constants.bound.after_pretrain_round(state.bound_terms.pretrain_term, allocation.server_batch)
    before = (*state[:5], state.battery_j.T, *state.bound_terms, pretrained)

    num_devices, batch_size = gain.shape
    # Rows as arrays of their own, since the compiler does not tell rows of one array apart.
    flags, counts = tuple(np.empty((3, batch_size), dtype=bool)), tuple(np.empty((2, batch_size), dtype=np.int64))
    totals, of_each = tuple(np.empty((9, batch_size))), tuple(np.empty((6, num_devices, batch_size)))
    play(of_devices, numbers, before, harvest_w, decided, np.log1p(snr, out=snr), flags, counts, totals, of_each)

    (finetuning, ended, counted), (round_index, end_reason) = flags, counts
    elapsed_s, spent_j, *progress, duration_s, energy_j, server_j = totals
    battery_j, *devices = (array.T for array in of_each)
    after = State(round_index, finetuning, ended, elapsed_s, spent_j, battery_j, BoundTerms(*progress))
    objective = constants.bound.value(after.bound_terms)
    outcome = Outcome(
        counted=counted,
        end_reason=end_reason,
        reward=np.log(constants.bound.value(state.bound_terms)) - np.log(objective),
        objective=objective,
        duration_s=duration_s,
        energy_j=energy_j,
        server_j=server_j,
        devices=DeviceRound(*devices),
    )
    return after, outcome


@compiled
def ratio_of(noise_w, power_w, gain, snr):
    """Write p g / (N_0 W), the signal to noise ratio of each uplink."""
    for k in range(len(snr)):
        for b in range(snr.shape[1]):
            snr[k, b] = power_w[k, b] * gain[k, b] / noise_w[k]


@compiled
def play(of_devices, numbers, before, harvest_w, decided, log_term, flags, counts, totals, of_each):
    """Write the state after the round, and what it did; `log_term` is ln(1 + snr)."""
    device_j, noise = np.empty_like(harvest_w), np.empty_like(harvest_w)
    longest_s, unpayable = np.zeros(harvest_w.shape[1]), np.zeros(harvest_w.shape[1], dtype=np.bool_)
    scratch = (device_j, noise, longest_s, unpayable)
    finetune_round(of_devices, before[5], harvest_w, decided, log_term, of_each, scratch)
    sum_up(device_j)
    sum_up(noise)
    count_round(numbers, before, decided, scratch, flags, counts, totals)
    keep_what_counts(of_devices[5], before[5], harvest_w, flags[0], flags[2], totals[6], of_each)


@compiled
def finetune_round(of_devices, battery_j, harvest_w, decided, log_term, of_each, scratch):
    """Write `dynamics.finetune_round`, what each device spends and adds to the noise, and the round's longest time."""
    _, bandwidth, upload_bit, cycles, capacitance, capacity_j, weight = of_devices
    _, _, _, freq_hz, power_w, batch = decided
    _, wait_s, compute_s, upload_s, compute_j, upload_j = of_each
    device_j, noise, longest_s, unpayable = scratch
    num_devices, num_episodes = device_j.shape
    for k in range(num_devices):
        # What the inner loops share is read before them, and each writes few arrays: only then do they become vectors.
        width, size, per_sample, per_square = bandwidth[k], upload_bit[k], cycles[k], capacitance[k]
        most_j, share = capacity_j[k], weight[k]
        for b in range(num_episodes):
            rate = width * log_term[k, b]
            silent = rate <= 0
            upload = size / (rate + silent)
            upload = math.inf if silent else upload
            upload_s[k, b], upload_j[k, b] = upload, power_w[k, b] * upload
            compute_j[k, b] = per_square * batch[k, b] * (freq_hz[k, b] * freq_hz[k, b])
            compute_s[k, b] = per_sample * batch[k, b] / freq_hz[k, b]
        for b in range(num_episodes):
            spent_j = compute_j[k, b] + upload_j[k, b]
            missing_j, dark = spent_j - battery_j[k, b], harvest_w[k, b] <= 0
            wait = max(missing_j, 0.0) / (harvest_w[k, b] + dark)
            wait = math.inf if dark & (missing_j > 0) else wait
            finish = wait + compute_s[k, b] + upload_s[k, b]
            wait_s[k, b], device_j[k, b] = wait, spent_j
            longest_s[b] = max(longest_s[b], finish)
            unpayable[b] |= (spent_j > most_j) | (finish == math.inf)
        for b in range(num_episodes):
            noise[k, b] = share / batch[k, b]


@compiled
def sum_up(values):
    """Write `arrays.sum_over_devices` into the first row; the others are overwritten."""
    length, num_episodes = values.shape
    while length > 1:
        half = length // 2
        for k in range(half):
            for b in range(num_episodes):
                values[k, b] += values[half + k, b]
        if length % 2:
            values[half] = values[length - 1]
        length = half + length % 2


@compiled
def count_round(numbers, before, decided, scratch, flags, counts, totals):
    """Write whether the round is counted, why it is not, and what the episode has used and reached after it."""
    server_cycles, server_capacitance, overhead, downlink_s, downlink_j, delay_s, most_j, horizon = numbers
    round_index, was_finetuning, was_ended, elapsed_s, spent_j = before[:5]
    pretrained, finetuned, pretrain_term, finetune_term, next_pretrain_term = before[6:]
    switch, freq_hz, batch, _, _, _ = decided
    device_j, noise, longest_s, unpayable = scratch
    for b in range(len(unpayable)):
        finetuning = was_finetuning[b] | switch[b]
        computed_j = overhead * (server_capacitance * batch[b] * (freq_hz[b] * freq_hz[b]))
        server_j = 0.0 if finetuning else computed_j
        round_s = longest_s[b] + downlink_s if finetuning else server_cycles * batch[b] / freq_hz[b]
        round_j = device_j[0, b] + downlink_j if finetuning else server_j
        reason = RUNNING
        if not spent_j[b] + round_j <= most_j:
            reason = ENERGY
        if not elapsed_s[b] + round_s <= delay_s:
            reason = DELAY
        if finetuning & unpayable[b]:
            reason = BATTERY
        counted = (reason == RUNNING) & (not was_ended[b])
        round_s, round_j = round_s if counted else 0.0, round_j if counted else 0.0
        rounds = round_index[b] + counted
        last = counted & (rounds >= horizon)
        general, special = counted & (not finetuning), counted & finetuning
        flags[0][b] = finetuning if counted else was_finetuning[b]
        flags[1][b], flags[2][b] = (not counted) | last, counted
        counts[0][b], counts[1][b] = rounds, LAST_ROUND if last else reason
        totals[0][b], totals[1][b] = elapsed_s[b] + round_s, spent_j[b] + round_j
        totals[2][b], totals[3][b] = pretrained[b] + general, finetuned[b] + special
        totals[4][b] = next_pretrain_term[b] if general else pretrain_term[b]
        totals[5][b] = finetune_term[b] + (noise[0, b] if special else 0.0)
        totals[6][b], totals[7][b], totals[8][b] = round_s, round_j, server_j if counted else 0.0


@compiled
def keep_what_counts(capacity_j, battery_j, harvest_w, finetuning, counted, duration_s, of_each):
    """Set to 0 what devices did in rounds that do not count, and write the batteries after the round."""
    after_j, wait_s, compute_s, upload_s, compute_j, upload_j = of_each
    num_devices, num_episodes = after_j.shape
    for k in range(num_devices):
        most_j = capacity_j[k]
        for b in range(num_episodes):
            tuned = finetuning[b] & counted[b]
            wait_s[k, b] = wait_s[k, b] if tuned else 0.0
            compute_s[k, b] = compute_s[k, b] if tuned else 0.0
            upload_s[k, b] = upload_s[k, b] if tuned else 0.0
            compute_j[k, b] = compute_j[k, b] if tuned else 0.0
            upload_j[k, b] = upload_j[k, b] if tuned else 0.0
            stored_j = battery_j[k, b] - (compute_j[k, b] + upload_j[k, b]) + harvest_w[k, b] * duration_s[b]
            after_j[k, b] = min(stored_j, most_j)
