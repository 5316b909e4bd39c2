"""Episodes of two-stage edge learning compiled: a round of a block of them in one pass, the same to the last bit.

    decode the actions -> play the round -> draw the next round of the tapes -> encode what is observed

The formulas are those of `dynamics`, `stages.encoding` and `tapes.law`, in the same order of operations. Blocks stay in
a fast cache from beginning to end; exponentials, logarithms and tangents are numpy's own loops.

Arrays of a block: `one[FIELD, b]` and `each[FIELD, k, b]`, as `compiled_buffers` lays them out.
"""

import math

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.arrays.numpy_loops import apply, loop_of
from edgelearn_env.physics.budgets import DELAY, ENERGY, LAST_ROUND, RUNNING
from edgelearn_env.stages.encoding import OBSERVED_OF_EPISODE, TINY
from edgelearn_env.tapes.compiled_law import draw
from edgelearn_env.tapes.law import ROWS_BEFORE
from edgelearn_env.two_stage.compiled_buffers import (
    BATCH,
    BATTERY_J,
    CHANNEL_GAIN,
    COMPUTE_J,
    COMPUTE_S,
    COUNTED,
    DURATION_S,
    ELAPSED_S,
    END_REASON,
    ENDED,
    ENERGY_J,
    FINETUNE_ROUNDS,
    FINETUNE_TERM,
    FINETUNING,
    FREQ_HZ,
    HARVEST_W,
    IMAGINARY,
    IS_GIVEN,
    LOG_PSI,
    OBJECTIVE,
    ON,
    PARTICIPATES,
    PARTICIPATION,
    POWER_W,
    PRETRAIN_ROUNDS,
    PRETRAIN_TERM,
    REAL,
    REWARD,
    ROUND_INDEX,
    SERVER_BATCH,
    SERVER_FREQ_HZ,
    SERVER_J,
    SHADOWED_GAIN,
    SPENT_J,
    SWITCH,
    UPLOAD_J,
    UPLOAD_S,
)
from edgelearn_env.two_stage.compiled_constants import (
    ACTION_HIGH,
    ACTION_LOG_RATIO,
    ACTION_LOW,
    BANDWIDTH_PER_NAT,
    BATTERY_CAPACITY_J,
    BATTERY_INITIAL_J,
    CAPACITANCE_BY_CYCLES,
    CYCLES_PER_SAMPLE,
    DEVICE_WEIGHT,
    GRADIENT_NOISE_WEIGHT,
    HARVEST_UNIT_W,
    MEAN_GAIN,
    NOISE_W,
    NUM_NUMBERS,
    ON_W,
    UPLOAD_BIT,
    Numbers,
)

NUM_SHARED = len(OBSERVED_OF_EPISODE)

# Numpy's loops, in the order in which compiled functions are handed their addresses.
LOOPS = np.stack([loop_of(ufunc) for ufunc in (np.log, np.tan, np.exp, np.log1p)])
LOG, TAN, EXP, LOG1P = range(4)

NATS_PER_DB = math.log(10) / 10

# What a block needs on the way, of each device: three random numbers, or what is observed of it; then logarithms and
# parts of sums.
LOG_TERM, DEVICE_J, NOISE, WEIGHT, LOG_GAIN = range(3, 8)
NUM_ON_THE_WAY = LOG_GAIN + 1


@compiled
def play(first, last, values, devices, loops, of_episode, of_device, key, given, action, observed, reward, ended):
    """Do one round in each episode of the blocks from `first` to before `last`, and write what is then observed.

    Args:
        first, last: blocks.
        values, devices: `numbers_of` and `devices_of` the scenario.
        loops: LOOPS.
        of_episode, of_device, key: `Buffers`.
        given: gains and harvests of tapes of the caller's, (2, B, T, K); of no length where there is none.
        action: (B, 3 + 3 K).
        observed, reward, ended: where to, float32, (B, 5 + 3 K), and (B,).
    """
    numbers = Numbers(*to_fixed_tuple(values, NUM_NUMBERS))
    _, _, num_devices, lanes = of_device.shape
    scratch = np.empty((NUM_ON_THE_WAY, num_devices, lanes))
    for block in range(first, last):
        one, each = of_episode[block], of_device[block]
        decode(numbers, devices, loops, block * lanes, action, one, each)
        finetune(numbers, devices, loops, one, each, scratch)
        count(numbers, loops, one, scratch)
        settle(devices, one, each)
        bring(numbers, devices, loops, block * lanes, one, each, key[block], given, scratch)
        encode(numbers, devices, loops, block * lanes, one, each, scratch, observed)
        for b in range(min(lanes, len(reward) - block * lanes)):
            reward[block * lanes + b], ended[block * lanes + b] = one[REWARD, b], one[ENDED, b] > 0


@compiled
def begin(values, devices, loops, of_episode, of_device, key, given, rows, keys, is_given, observed):
    """Begin an episode at each of `rows`, on the tape of stream `keys` or on the given one; as `play` otherwise."""
    numbers = Numbers(*to_fixed_tuple(values, NUM_NUMBERS))
    _, _, num_devices, lanes = of_device.shape
    scratch = np.empty((NUM_ON_THE_WAY, num_devices, lanes))
    one, each = np.zeros(of_episode.shape[1:]), np.zeros(of_device.shape[1:])
    key_of, seen = np.zeros(lanes, dtype=np.int64), np.empty((lanes, observed.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), lanes):
        some = rows[start : start + lanes]
        key_of[: len(some)] = keys[start : start + lanes]
        one[:], each[:] = 0.0, 0.0
        one[PRETRAIN_TERM] = numbers.pretrain_start
        for k in range(num_devices):
            each[BATTERY_J, k] = devices[BATTERY_INITIAL_J, k]
        value_of(numbers, one)
        one[LOG_PSI] = one[OBJECTIVE]
        apply(loops[LOG], one[LOG_PSI])
        draw_beginning(numbers, devices, loops, key_of, each, scratch)
        draw_next(numbers, devices, loops, one, each, key_of, scratch)
        for b in range(len(some)):
            if is_given:
                one[IS_GIVEN, b] = 1.0
                take_given(some[b], 0, b, each, given)
        encode(numbers, devices, loops, 0, one, each, scratch, seen)
        for b in range(len(some)):
            block, lane = some[b] // lanes, some[b] % lanes
            of_episode[block, :, lane] = one[:, b]
            of_device[block, :, :, lane] = each[:, :, b]
            key[block, lane] = key_of[b]
            # Lanes beyond the last episode are begun too, so that they hold sound numbers.
            if some[b] < len(observed):
                observed[some[b]] = seen[b]


@compiled
def decode(numbers, devices, loops, first_row, action, one, each):
    """As `Codec.decode`, the block's actions being those from `first_row` on."""
    num_devices, lanes = each.shape[1:]
    last_row, first_entry = len(action) - 1, 3
    for b in range(lanes):
        row = action[min(first_row + b, last_row)]
        one[SWITCH, b] = 1.0 if row[0] > 0 else 0.0
        one[SERVER_FREQ_HZ, b] = share_of(row[1]) * numbers.server_freq_log_ratio
        one[SERVER_BATCH, b] = share_of(row[2]) * numbers.server_batch_log_ratio
    entries = each[FREQ_HZ : BATCH + 1]
    for kind in range(3):
        for k in range(num_devices):
            ratio, entry, values = (
                devices[ACTION_LOG_RATIO + kind, k],
                first_entry + kind * num_devices + k,
                entries[kind, k],
            )
            for b in range(lanes):
                values[b] = share_of(action[min(first_row + b, last_row), entry]) * ratio
    apply(loops[EXP], one[SERVER_FREQ_HZ : SERVER_BATCH + 1])
    apply(loops[EXP], entries)
    for b in range(lanes):
        one[SERVER_FREQ_HZ, b] = min(numbers.server_freq_low * one[SERVER_FREQ_HZ, b], numbers.server_freq_high)
        one[SERVER_BATCH, b] = np.rint(min(numbers.server_batch_low * one[SERVER_BATCH, b], numbers.server_batch_high))
    for kind in range(3):
        for k in range(num_devices):
            low, high, values = devices[ACTION_LOW + kind, k], devices[ACTION_HIGH + kind, k], entries[kind, k]
            for b in range(lanes):
                values[b] = min(low * values[b], high)
    for k in range(num_devices):
        batch = each[BATCH, k]
        for b in range(lanes):
            batch[b] = np.rint(batch[b])


@compiled
def share_of(entry):
    """Where an entry lies between -1 and 1, as a share of the way."""
    return min(max(np.float64(entry), -1.0), 1.0) * 0.5 + 0.5


@compiled
def finetune(numbers, devices, loops, one, each, scratch):
    """As `synchronous.finetune_round`; sums over devices end up in the first rows of `scratch`."""
    num_devices, lanes = each.shape[1:]
    for k in range(num_devices):
        log_term, power_w, gain, noise_w = (
            scratch[LOG_TERM, k],
            each[POWER_W, k],
            each[CHANNEL_GAIN, k],
            devices[NOISE_W, k],
        )
        for b in range(lanes):
            log_term[b] = power_w[b] * gain[b] / noise_w
    apply(loops[LOG1P], scratch[LOG_TERM])
    # How long the round takes and how many take part, which the count below makes use of.
    one[DURATION_S], one[COUNTED] = 0.0, 0.0
    longest_s, taking_part = one[DURATION_S], one[COUNTED]
    for k in range(num_devices):
        # What the inner loops share is read before them, and each writes few arrays: only then do they become vectors.
        width, size = devices[BANDWIDTH_PER_NAT, k], devices[UPLOAD_BIT, k]
        per_sample, per_square = devices[CYCLES_PER_SAMPLE, k], devices[CAPACITANCE_BY_CYCLES, k]
        counts, share = devices[DEVICE_WEIGHT, k], devices[GRADIENT_NOISE_WEIGHT, k]
        freq_hz, power_w, batch, battery_j = each[FREQ_HZ, k], each[POWER_W, k], each[BATCH, k], each[BATTERY_J, k]
        compute_s, upload_s = each[COMPUTE_S, k], each[UPLOAD_S, k]
        compute_j, upload_j, participates = each[COMPUTE_J, k], each[UPLOAD_J, k], each[PARTICIPATES, k]
        log_term, device_j, noise, weight = (
            scratch[LOG_TERM, k],
            scratch[DEVICE_J, k],
            scratch[NOISE, k],
            scratch[WEIGHT, k],
        )
        for b in range(lanes):
            rate = width * log_term[b]
            no_channel = rate <= 0
            upload = size / (rate + no_channel)
            upload = math.inf if no_channel else upload
            upload_s[b], upload_j[b] = upload, power_w[b] * upload
        for b in range(lanes):
            compute_j[b] = per_square * batch[b] * (freq_hz[b] * freq_hz[b])
            compute_s[b] = per_sample * batch[b] / freq_hz[b]
        for b in range(lanes):
            spent_j = compute_j[b] + upload_j[b]
            part = not ((batch[b] < 1) | (spent_j > battery_j[b]))
            participates[b] = 1.0 if part else 0.0
            device_j[b] = spent_j if part else 0.0
            longest_s[b] = max(longest_s[b], compute_s[b] + upload_s[b] if part else 0.0)
        for b in range(lanes):
            part = participates[b] > 0
            noise[b] = share / batch[b] if part else 0.0
            weight[b] = counts if part else 0.0
            taking_part[b] += participates[b]
    sum_up(scratch[DEVICE_J])
    sum_up(scratch[NOISE])
    sum_up(scratch[WEIGHT])


@compiled
def sum_up(values):
    """Write `arrays.sum_over_last_axis` into the first row; the others are overwritten."""
    length, lanes = values.shape
    while length > 1:
        half = length // 2
        for k in range(half):
            for b in range(lanes):
                values[k, b] += values[half + k, b]
        if length % 2:
            values[half] = values[length - 1]
        length = half + length % 2


@compiled
def count(numbers, loops, one, scratch):
    """Whether the round is counted, why it is not, and what the episode has used and reached after it."""
    device_j, noise, weight = scratch[DEVICE_J, 0], scratch[NOISE, 0], scratch[WEIGHT, 0]
    for b in range(one.shape[1]):
        was_finetuning, elapsed_s, spent_j = one[FINETUNING, b] > 0, one[ELAPSED_S, b], one[SPENT_J, b]
        freq_hz, batch = one[SERVER_FREQ_HZ, b], one[SERVER_BATCH, b]
        finetuning = was_finetuning | (one[SWITCH, b] > 0)
        computed_j = numbers.server_capacitance * batch * (freq_hz * freq_hz)
        server_j = 0.0 if finetuning else numbers.overhead_factor * computed_j
        server_s = numbers.server_cycles * batch / freq_hz
        finetune_s = one[DURATION_S, b] + numbers.downlink_s if one[COUNTED, b] > 0 else numbers.idle_s
        round_s = finetune_s if finetuning else server_s
        round_j = device_j[b] + numbers.downlink_j if finetuning else server_j
        within_j, within_s = spent_j + round_j <= numbers.energy_j, elapsed_s + round_s <= numbers.delay_s
        reason = (RUNNING if within_j else ENERGY) if within_s else DELAY
        counted = within_j & within_s & (one[ENDED, b] == 0)
        round_s, round_j = round_s if counted else 0.0, round_j if counted else 0.0
        rounds = one[ROUND_INDEX, b] + (1.0 if counted else 0.0)
        last = counted & (rounds >= numbers.max_rounds)
        general, special = counted & (not finetuning), counted & finetuning
        one[ROUND_INDEX, b], one[FINETUNING, b] = rounds, 1.0 if (finetuning if counted else was_finetuning) else 0.0
        one[ENDED, b] = 1.0 if (not counted) | last else 0.0
        one[ELAPSED_S, b], one[SPENT_J, b] = elapsed_s + round_s, spent_j + round_j
        one[PRETRAIN_ROUNDS, b] += 1.0 if general else 0.0
        one[FINETUNE_ROUNDS, b] += 1.0 if special else 0.0
        term = one[PRETRAIN_TERM, b]
        pretrained = numbers.contraction * term + numbers.drift + numbers.server_noise / batch
        one[PRETRAIN_TERM, b] = pretrained if general else term
        noise_b, share = noise[b] if special else 0.0, weight[b] if special else 0.0
        apart = min(share, (1 - share) * (1 - share) / max(share, TINY))
        one[FINETUNE_TERM, b] += numbers.device_noise * noise_b + numbers.dissimilarity * apart
        one[PARTICIPATION, b] += share
        one[COUNTED, b], one[END_REASON, b] = 1.0 if counted else 0.0, LAST_ROUND if last else reason
        one[DURATION_S, b], one[ENERGY_J, b], one[SERVER_J, b] = round_s, round_j, server_j if counted else 0.0
    value_of(numbers, one)
    one[REWARD] = one[LOG_PSI]
    one[LOG_PSI] = one[OBJECTIVE]
    apply(loops[LOG], one[LOG_PSI])
    for b in range(one.shape[1]):
        one[REWARD, b] -= one[LOG_PSI, b]


@compiled
def value_of(numbers, one):
    """Write the bound's value with what has happened so far, `BoundCoefficients.value`."""
    for b in range(one.shape[1]):
        rounds, participation = one[PRETRAIN_ROUNDS, b], one[PARTICIPATION, b]
        weight = numbers.weight_of_round * rounds + numbers.weight_of_participation * participation
        pretrained = numbers.pretrain_factor * one[PRETRAIN_TERM, b] / numbers.pretrain_divisor
        numerator = pretrained + numbers.finetune_factor * one[FINETUNE_TERM, b]
        one[OBJECTIVE, b] = numerator / max(weight, numbers.least_weight)


@compiled
def settle(devices, one, each):
    """Set to 0 what devices did in rounds that do not count, and leave in their batteries what is left."""
    num_devices, lanes = each.shape[1:]
    finetuning, counted, duration_s = one[FINETUNING], one[COUNTED], one[DURATION_S]
    for k in range(num_devices):
        most_j, battery_j, harvest_w = devices[BATTERY_CAPACITY_J, k], each[BATTERY_J, k], each[HARVEST_W, k]
        participates, compute_s, upload_s = each[PARTICIPATES, k], each[COMPUTE_S, k], each[UPLOAD_S, k]
        compute_j, upload_j = each[COMPUTE_J, k], each[UPLOAD_J, k]
        for b in range(lanes):
            participates[b] *= finetuning[b] * counted[b]
        for b in range(lanes):
            compute_s[b] = compute_s[b] if participates[b] > 0 else 0.0
            upload_s[b] = upload_s[b] if participates[b] > 0 else 0.0
        for b in range(lanes):
            compute_j[b] = compute_j[b] if participates[b] > 0 else 0.0
            upload_j[b] = upload_j[b] if participates[b] > 0 else 0.0
        for b in range(lanes):
            stored_j = battery_j[b] - (compute_j[b] + upload_j[b]) + harvest_w[b] * duration_s[b]
            battery_j[b] = min(stored_j, most_j)


@compiled
def bring(numbers, devices, loops, first_row, one, each, key, given, scratch):
    """Go to the next round of each tape, unless its episode has ended."""
    lanes = each.shape[2]
    draw_next(numbers, devices, loops, one, each, key, scratch)
    # Of episodes of drawn tapes no row is asked for here.
    if given.shape[1] > 0:
        last = given.shape[2] - 1
        for b in range(lanes):
            if one[IS_GIVEN, b] > 0:
                take_given(first_row + b, min(np.int64(one[ROUND_INDEX, b]), last), b, each, given)


@compiled
def take_given(row, t, b, each, given):
    """Write round t of the given tape of that row."""
    for k in range(each.shape[1]):
        each[CHANNEL_GAIN, k, b], each[HARVEST_W, k, b] = given[0, row, t, k], given[1, row, t, k]


@compiled
def draw_beginning(numbers, devices, loops, key, each, scratch):
    """As `law.before_first_round`."""
    num_devices, lanes = each.shape[1:]
    row, draws, shadowing = np.zeros(lanes), scratch[:3], scratch[LOG_GAIN]
    shadowing[:] = 0.0
    if numbers.shadowing_std > 0:
        draw(loops, key, row + 1.0, draws)
        for k in range(num_devices):
            for b in range(lanes):
                shadowing[k, b] = numbers.shadowing_std * draws[0, k, b] * NATS_PER_DB
    apply(loops[EXP], shadowing)
    draw(loops, key, row, draws)
    for k in range(num_devices):
        for b in range(lanes):
            each[REAL, k, b], each[IMAGINARY, k, b] = draws[0, k, b], draws[1, k, b]
            each[ON, k, b] = 1.0 if draws[2, k, b] < 0.5 else 0.0
            each[SHADOWED_GAIN, k, b] = devices[MEAN_GAIN, k] * shadowing[k, b]


@compiled
def draw_next(numbers, devices, loops, one, each, key, scratch):
    """As `law.next_rounds` for one round, where an episode goes on."""
    num_devices, lanes = each.shape[1:]
    correlation, innovation, flip_probability = numbers.fading_correlation, numbers.innovation, numbers.flip_probability
    draws, ended, row = scratch[:3], one[ENDED], scratch[LOG_GAIN, 0]
    for b in range(lanes):
        row[b] = one[ROUND_INDEX, b] + ROWS_BEFORE
    draw(loops, key, row, draws)
    for k in range(num_devices):
        real, imaginary, on, shadowed = each[REAL, k], each[IMAGINARY, k], each[ON, k], each[SHADOWED_GAIN, k]
        gain, harvest_w, on_w = each[CHANNEL_GAIN, k], each[HARVEST_W, k], devices[ON_W, k]
        x, y, uniform = draws[0, k], draws[1, k], draws[2, k]
        for b in range(lanes):
            real[b] = correlation * real[b] + innovation * x[b]
            imaginary[b] = correlation * imaginary[b] + innovation * y[b]
        for b in range(lanes):
            drawn = shadowed[b] * (real[b] * real[b] + imaginary[b] * imaginary[b])
            gain[b] = gain[b] if ended[b] > 0 else drawn
        for b in range(lanes):
            on[b] = abs(on[b] - (1.0 if uniform[b] < flip_probability else 0.0))
            harvest_w[b] = harvest_w[b] if ended[b] > 0 else on_w * on[b]


@compiled
def encode(numbers, devices, loops, first_row, one, each, scratch, observed):
    """As `Codec.encode`, into the rows from `first_row` on."""
    num_devices, lanes = each.shape[1:]
    num_rows = min(lanes, len(observed) - first_row)
    for k in range(num_devices):
        gain, log_gain = each[CHANNEL_GAIN, k], scratch[LOG_GAIN, k]
        for b in range(lanes):
            log_gain[b] = max(gain[b], TINY)
    apply(loops[LOG], scratch[LOG_GAIN])
    for b in range(num_rows):
        row = observed[first_row + b]
        row[0] = one[FINETUNING, b]
        row[1] = unit(1.0 - one[ROUND_INDEX, b] / numbers.max_rounds)
        row[2] = unit(1.0 - one[ELAPSED_S, b] / numbers.delay_s)
        row[3] = unit(1.0 - one[SPENT_J, b] / numbers.energy_j)
        row[4] = unit((one[LOG_PSI, b] - numbers.log_bound_low) / numbers.log_bound_span)
    # First what becomes vectors, lane by lane, then its places in the rows.
    for k in range(num_devices):
        capacity_j, on_w = devices[BATTERY_CAPACITY_J, k], devices[HARVEST_UNIT_W, k]
        battery_j, harvest_w, log_gain = each[BATTERY_J, k], each[HARVEST_W, k], scratch[LOG_GAIN, k]
        battery, gain, harvest = scratch[0, k], scratch[1, k], scratch[2, k]
        for b in range(lanes):
            battery[b] = unit(battery_j[b] / capacity_j)
        for b in range(lanes):
            gain[b] = unit((log_gain[b] - numbers.log_gain_low) / numbers.log_gain_span)
        for b in range(lanes):
            harvest[b] = unit(harvest_w[b] / on_w)
    for b in range(num_rows):
        row = observed[first_row + b]
        for kind in range(3):
            for k in range(num_devices):
                row[NUM_SHARED + kind * num_devices + k] = scratch[kind, k, b]


@compiled
def unit(value):
    """`value`, cut off below 0 and above 1: that and rounding to float32 can be done in either order."""
    return min(max(value, 0.0), 1.0)
