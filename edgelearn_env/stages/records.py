"""What episodes of all systems are made of: states, allocations, rounds, outcomes; named tuples of arrays."""

from typing import NamedTuple

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.stages.bounds import BoundTerms


class State(NamedTuple):
    """Where each of B episodes stands before a round.

    Attributes:
        round_index: t, rounds done, (B,) integers.
        finetuning: whether the one-way switch has been made, (B,).
        ended: whether the episode is over, (B,).
        elapsed_s: time used, s, (B,).
        spent_j: energy used by server, devices and overheads, J, (B,).
        battery_j: charge of each device, J, (B, K).
        bound_terms: of the learning bound.
    """

    round_index: Array
    finetuning: Array
    ended: Array
    elapsed_s: Array
    spent_j: Array
    battery_j: Array
    bound_terms: BoundTerms


class Allocation(NamedTuple):
    """What is decided for one round; which part counts depends on the stage.

    Attributes:
        switch: go over to fine-tuning with this round, (B,) booleans; ignored once fine-tuning.
        server_freq_hz: f_s, Hz, (B,).
        server_batch: b_s, samples, (B,).
        freq_hz: f_k, Hz, (B, K).
        power_w: p_k, W, (B, K).
        batch: b_k, samples, 0 for a device that is to sit the round out, (B, K).
    """

    switch: Array
    server_freq_hz: Array
    server_batch: Array
    freq_hz: Array
    power_w: Array
    batch: Array


class DeviceRound(NamedTuple):
    """A fine-tuning round, device by device; every array (B, K), and 0 for those that are silent.

    Attributes:
        participates: whether the device takes part, booleans.
        compute_s, upload_s: how long it computes and uploads, s.
        compute_j, upload_j: what it spends on that, J.
    """

    participates: Array
    compute_s: Array
    upload_s: Array
    compute_j: Array
    upload_j: Array


class FinetuneRound(NamedTuple):
    """What a fine-tuning round would be if no budget applied.

    Attributes:
        duration_s: D, s, (B,).
        devices: who takes part; compute and upload of each device, (B, K).
        contributes: whose data the round counts, (B, K) booleans.
    """

    duration_s: Array
    devices: DeviceRound
    contributes: Array


class PlannedRound(NamedTuple):
    """What a round of either stage would be if no budget applied.

    Attributes:
        finetuning: in which stage it is, (B,) booleans.
        duration_s: D, s, (B,).
        energy_j: server, devices and overhead together, J, (B,).
        server_j: the server's part of it, J, (B,).
        devices: who takes part; compute and upload of each device, (B, K); whatever the stage.
        contributes: whose data a fine-tuning round counts, (B, K) booleans.
    """

    finetuning: Array
    duration_s: Array
    energy_j: Array
    server_j: Array
    devices: DeviceRound
    contributes: Array


class Outcome(NamedTuple):
    """What a round did. All durations and energies are 0 where it was not counted, or belonged to the other stage.

    Attributes:
        counted: whether the round was done, within all budgets, (B,).
        end_reason: index into END_REASONS, (B,) integers.
        reward: log Psi before minus log Psi after the round, (B,).
        objective: Psi after the round, (B,).
        duration_s: D, s, (B,).
        energy_j: server, devices and overhead together, J, (B,).
        server_j: the server's part of it, J, (B,).
        devices: who takes part; compute and upload of each device, (B, K).
    """

    counted: Array
    end_reason: Array
    reward: Array
    objective: Array
    duration_s: Array
    energy_j: Array
    server_j: Array
    devices: DeviceRound
