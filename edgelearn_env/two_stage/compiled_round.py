"""`dynamics.step` compiled: the same round to the last bit, in a few passes over the batch.

The formulas are those of `dynamics` and `physics`, in the same order of operations. The learning bound stays a class of
its own, and logarithms stay numpy's: theirs are faster than compiled ones, which differ in the last bit.

Loops are handed the same records as `dynamics.step`, but with arrays of devices as they lie in memory, (K, B). They
cross the border as plain tuples, since of named ones numba finds the type anew at each call, and get their names back
behind it.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.physics.budgets import DELAY, ENERGY, LAST_ROUND, RUNNING
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.stages.constants import Constants
from edgelearn_env.stages.records import Allocation, DeviceRound, Outcome, State
from edgelearn_env.tapes.tape import Conditions


class LoopConstants(NamedTuple):
    """What the loops read of a scenario: a number each, and arrays with one for each device, (K,)."""

    server_cycles: float
    server_capacitance: float
    overhead_factor: float
    downlink_s: float
    downlink_j: float
    idle_s: float
    delay_s: float
    energy_j: float
    max_rounds: float
    noise_w: np.ndarray
    bandwidth_per_nat: np.ndarray
    upload_bit: np.ndarray
    cycles_per_sample: np.ndarray
    capacitance_by_cycles: np.ndarray
    battery_capacity_j: np.ndarray
    device_weight: np.ndarray
    gradient_noise_weight: np.ndarray


class Scratch(NamedTuple):
    """What a round of devices comes to on the way: energy, noise and weight of each, (K, B); time and number, (B,)."""

    device_j: np.ndarray
    noise: np.ndarray
    weight: np.ndarray
    longest_s: np.ndarray
    num_devices: np.ndarray


def loop_constants_of(constants: Constants) -> LoopConstants:
    """Products that the loops would else form anew in every round, in the order in which `physics` forms them."""
    server, radio, budgets = constants.scenario.server, constants.scenario.radio, constants.scenario.budgets
    server_cycles = constants.scenario.server_cycles_per_sample
    return LoopConstants(
        server_cycles=float(server_cycles),
        server_capacitance=float(server.capacitance_j_s2 * server_cycles),
        overhead_factor=float(server.overhead_factor),
        downlink_s=float(radio.downlink_s),
        downlink_j=float(radio.downlink_j),
        idle_s=float(radio.idle_s),
        delay_s=float(budgets.delay_s),
        energy_j=float(budgets.energy_j),
        max_rounds=float(budgets.max_rounds),
        noise_w=radio.noise_w_per_hz * constants.bandwidth_hz,
        bandwidth_per_nat=constants.bandwidth_hz / math.log(2),
        upload_bit=constants.upload_bit,
        cycles_per_sample=constants.cycles_per_sample,
        capacitance_by_cycles=constants.capacitance_j_s2 * constants.cycles_per_sample,
        battery_capacity_j=constants.battery_capacity_j,
        device_weight=constants.device_weight,
        gradient_noise_weight=constants.gradient_noise_weight,
    )


def step(
    constants: Constants,
    loop_constants: LoopConstants,
    state: State,
    conditions: Conditions,
    allocation: Allocation,
) -> tuple[State, Outcome]:
    """As `dynamics.step`, with `loop_constants_of` them; arrays (B, K) have to lie device by device in memory."""
    bound, gain, harvest_w = constants.bound, conditions.channel_gain.T, conditions.harvest_w.T
    before = state._replace(battery_j=state.battery_j.T)
    decided = allocation._replace(freq_hz=allocation.freq_hz.T, power_w=allocation.power_w.T, batch=allocation.batch.T)
    snr = np.empty_like(gain)
    ratio_of(loop_constants.noise_w, decided.power_w, gain, snr)
    pretrained = bound.after_pretrain_round(state.bound_terms.pretrain_term, allocation.server_batch)
    after, outcome, scratch = _unwritten(gain)
    log_term = np.log1p(snr, out=snr)
    records = map(_plain, (before, decided, after, outcome, scratch))
    play(tuple(loop_constants), harvest_w, log_term, pretrained, *records)

    # The sums of the devices that took part, which the loops leave in the first rows.
    noise, participation = scratch.noise[0], scratch.weight[0]
    terms = after.bound_terms._replace(
        finetune_term=state.bound_terms.finetune_term + bound.finetune_round(noise, participation),
        participation=state.bound_terms.participation + participation,
    )
    after = after._replace(battery_j=after.battery_j.T, bound_terms=terms)
    objective = bound.value(after.bound_terms)
    return after, outcome._replace(
        reward=np.log(bound.value(state.bound_terms)) - np.log(objective),
        objective=objective,
        devices=DeviceRound(*(array.T for array in outcome.devices)),
    )


def _plain(record: tuple[Any, ...]) -> tuple[Any, ...]:
    """A named tuple, and those in it, as plain ones."""
    return tuple([tuple(field) if isinstance(field, tuple) else field for field in record])


def _unwritten(gain: np.ndarray) -> tuple[State, Outcome, Scratch]:
    """Records for the loops to write; reward, objective, and two terms of the bound are none of theirs."""
    nothing, (num_devices, num_episodes) = np.empty(0), gain.shape
    # Rows as arrays of their own, since the compiler does not tell rows of one array apart.
    finetuning, ended, counted = np.empty((3, num_episodes), dtype=bool)
    round_index, end_reason = np.empty((2, num_episodes), dtype=np.int64)
    elapsed_s, spent_j, duration_s, energy_j, server_j = np.empty((5, num_episodes))
    battery_j, device_j, noise, weight, *devices = np.empty((3 + len(DeviceRound._fields), num_devices, num_episodes))
    pretrain_rounds, finetune_rounds, pretrain_term = np.empty((3, num_episodes))
    after = State(
        round_index=round_index,
        finetuning=finetuning,
        ended=ended,
        elapsed_s=elapsed_s,
        spent_j=spent_j,
        battery_j=battery_j,
        bound_terms=BoundTerms(pretrain_rounds, finetune_rounds, pretrain_term, nothing, nothing),
    )
    outcome = Outcome(
        counted=counted,
        end_reason=end_reason,
        reward=nothing,
        objective=nothing,
        duration_s=duration_s,
        energy_j=energy_j,
        server_j=server_j,
        devices=DeviceRound(np.empty((num_devices, num_episodes), dtype=bool), *devices),
    )
    longest_s, taking_part = np.zeros((2, num_episodes))
    return after, outcome, Scratch(device_j, noise, weight, longest_s, taking_part)


@compiled
def ratio_of(noise_w, power_w, gain, snr):
    """Write p g / (N_0 W), the signal to noise ratio of each uplink."""
    for k in range(len(snr)):
        for b in range(snr.shape[1]):
            snr[k, b] = power_w[k, b] * gain[k, b] / noise_w[k]


@compiled
def play(constants, harvest_w, log_term, pretrained, before, decided, after, outcome, scratch):
    """Write the state after the round, and what it did; `log_term` is ln(1 + snr), `pretrained` the next G_m."""
    constants, decided = LoopConstants(*constants), Allocation(*decided)
    before, after, outcome, scratch = State(*before), State(*after), Outcome(*outcome), Scratch(*scratch)
    devices = DeviceRound(*outcome.devices)
    finetune_round(constants, before.battery_j, decided, log_term, devices, scratch)
    sum_up(scratch.device_j)
    sum_up(scratch.noise)
    sum_up(scratch.weight)
    count_round(constants, before, decided, pretrained, scratch, after, outcome)
    keep_what_counts(constants, before.battery_j, harvest_w, after, outcome, devices)


@compiled
def finetune_round(constants, battery_j, decided, log_term, devices, scratch):
    """Write `dynamics.finetune_round`, and what each device spends and adds to the bound's terms and the duration."""
    freq_hz, power_w, batch = decided.freq_hz, decided.power_w, decided.batch
    participates, compute_s, upload_s = devices.participates, devices.compute_s, devices.upload_s
    compute_j, upload_j = devices.compute_j, devices.upload_j
    device_j, noise, weight = scratch.device_j, scratch.noise, scratch.weight
    longest_s, taking_part = scratch.longest_s, scratch.num_devices
    num_devices, num_episodes = device_j.shape
    for k in range(num_devices):
        # What the inner loops share is read before them, and each writes few arrays: only then do they become vectors.
        width, size = constants.bandwidth_per_nat[k], constants.upload_bit[k]
        per_sample, per_square = constants.cycles_per_sample[k], constants.capacitance_by_cycles[k]
        counts, share = constants.device_weight[k], constants.gradient_noise_weight[k]
        for b in range(num_episodes):
            rate = width * log_term[k, b]
            no_channel = rate <= 0
            upload = size / (rate + no_channel)
            upload = math.inf if no_channel else upload
            upload_s[k, b], upload_j[k, b] = upload, power_w[k, b] * upload
            compute_j[k, b] = per_square * batch[k, b] * (freq_hz[k, b] * freq_hz[k, b])
            compute_s[k, b] = per_sample * batch[k, b] / freq_hz[k, b]
        for b in range(num_episodes):
            spent_j = compute_j[k, b] + upload_j[k, b]
            part = not ((batch[k, b] < 1) | (spent_j > battery_j[k, b]))
            participates[k, b], device_j[k, b] = part, spent_j if part else 0.0
            longest_s[b] = max(longest_s[b], compute_s[k, b] + upload_s[k, b] if part else 0.0)
            taking_part[b] += part
        for b in range(num_episodes):
            part = participates[k, b]
            noise[k, b] = share / batch[k, b] if part else 0.0
            weight[k, b] = counts if part else 0.0


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
def count_round(constants, before, decided, pretrained, scratch, after, outcome):
    """Write whether the round is counted, why it is not, and what the episode has used and reached after it."""
    terms, new_terms = BoundTerms(*before.bound_terms), BoundTerms(*after.bound_terms)
    freq_hz, batch = decided.server_freq_hz, decided.server_batch
    for b in range(len(pretrained)):
        was_finetuning, elapsed_s, spent_j = before.finetuning[b], before.elapsed_s[b], before.spent_j[b]
        finetuning = was_finetuning | decided.switch[b]
        computed_j = constants.server_capacitance * batch[b] * (freq_hz[b] * freq_hz[b])
        server_j = 0.0 if finetuning else constants.overhead_factor * computed_j
        server_s = constants.server_cycles * batch[b] / freq_hz[b]
        finetune_s = scratch.longest_s[b] + constants.downlink_s if scratch.num_devices[b] else constants.idle_s
        round_s = finetune_s if finetuning else server_s
        round_j = scratch.device_j[0, b] + constants.downlink_j if finetuning else server_j
        reason = RUNNING
        if not spent_j + round_j <= constants.energy_j:
            reason = ENERGY
        if not elapsed_s + round_s <= constants.delay_s:
            reason = DELAY
        counted = (reason == RUNNING) & (not before.ended[b])
        round_s, round_j = round_s if counted else 0.0, round_j if counted else 0.0
        rounds = before.round_index[b] + counted
        last = counted & (rounds >= constants.max_rounds)
        general, special = counted & (not finetuning), counted & finetuning
        after.round_index[b], after.finetuning[b] = rounds, finetuning if counted else was_finetuning
        after.ended[b] = (not counted) | last
        after.elapsed_s[b], after.spent_j[b] = elapsed_s + round_s, spent_j + round_j
        new_terms.num_pretrain_rounds[b] = terms.num_pretrain_rounds[b] + general
        new_terms.num_finetune_rounds[b] = terms.num_finetune_rounds[b] + special
        new_terms.pretrain_term[b] = pretrained[b] if general else terms.pretrain_term[b]
        scratch.noise[0, b] = scratch.noise[0, b] if special else 0.0
        scratch.weight[0, b] = scratch.weight[0, b] if special else 0.0
        outcome.counted[b], outcome.end_reason[b] = counted, LAST_ROUND if last else reason
        outcome.duration_s[b], outcome.energy_j[b] = round_s, round_j
        outcome.server_j[b] = server_j if counted else 0.0


@compiled
def keep_what_counts(constants, battery_j, harvest_w, after, outcome, devices):
    """Set to 0 what devices did in rounds that do not count, and write the batteries after the round."""
    after_j, duration_s = after.battery_j, outcome.duration_s
    participates, compute_s, upload_s = devices.participates, devices.compute_s, devices.upload_s
    compute_j, upload_j = devices.compute_j, devices.upload_j
    finetuning, counted = after.finetuning, outcome.counted
    num_devices, num_episodes = after_j.shape
    for k in range(num_devices):
        most_j = constants.battery_capacity_j[k]
        for b in range(num_episodes):
            tuned = finetuning[b] & counted[b] & participates[k, b]
            participates[k, b] = tuned
            compute_s[k, b] = compute_s[k, b] if tuned else 0.0
            upload_s[k, b] = upload_s[k, b] if tuned else 0.0
            compute_j[k, b] = compute_j[k, b] if tuned else 0.0
            upload_j[k, b] = upload_j[k, b] if tuned else 0.0
            stored_j = battery_j[k, b] - (compute_j[k, b] + upload_j[k, b]) + harvest_w[k, b] * duration_s[b]
            after_j[k, b] = min(stored_j, most_j)
