"""One learning round: the transition of the whole system, pure, batched, in any array library.

    Scenario --initial_state--> State --step(conditions, allocation)--> State, Outcome

Every form of the environment and every rollout runs this one `step`.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of, sum_over_devices
from edgelearn_env.physics.battery import battery_after_round_j, waiting_time_s
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.physics.federated import DeviceWork, synchronous_duration_s
from edgelearn_env.physics.uplink import uplink_rate_bps, upload_time_s
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.two_stage.bounds import BoundTerms, LearningBound

END_REASONS = ("running", "delay budget", "energy budget", "battery", "last round")
RUNNING, DELAY, ENERGY, BATTERY, LAST_ROUND = range(len(END_REASONS))


class Constants(NamedTuple):
    """A scenario in the arrays of one library: what `step` reads besides plain numbers."""

    scenario: Scenario
    bound: LearningBound
    work: DeviceWork
    capacitance_j_s2: Array
    bandwidth_hz: Array
    battery_initial_j: Array
    battery_capacity_j: Array
    gradient_noise_weight: Array


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
        batch: b_k, samples, (B, K).
    """

    switch: Array
    server_freq_hz: Array
    server_batch: Array
    freq_hz: Array
    power_w: Array
    batch: Array


class DeviceRound(NamedTuple):
    """A fine-tuning round, device by device; every array (B, K)."""

    wait_s: Array
    compute_s: Array
    upload_s: Array
    compute_j: Array
    upload_j: Array


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
        devices: wait, compute and upload of each device, (B, K).
    """

    counted: Array
    end_reason: Array
    reward: Array
    objective: Array
    duration_s: Array
    energy_j: Array
    server_j: Array
    devices: DeviceRound


def constants_of(scenario: Scenario, xp: Any = np, **placement: Any) -> Constants:
    """The scenario as float64 arrays of the library `xp`; `placement` may hold its `device=`."""

    def array(values: Any) -> Array:
        return xp.asarray(np.array(values), dtype=xp.float64, **placement)

    return Constants(
        scenario=scenario,
        bound=scenario.bound,
        work=DeviceWork(
            cycles_per_sample=array(scenario.device_cycles_per_sample),
            upload_bit=array(np.full(scenario.num_devices, scenario.learning.upload_bit)),
        ),
        capacitance_j_s2=array(scenario.devices.capacitance_j_s2),
        bandwidth_hz=array(scenario.radio.bandwidth_hz),
        battery_initial_j=array(scenario.energy.battery_initial_j),
        battery_capacity_j=array(scenario.energy.battery_capacity_j),
        gradient_noise_weight=array(scenario.gradient_noise_weight),
    )


def initial_state(constants: Constants, batch_size: int) -> State:
    """B episodes before their first round."""
    battery_j = constants.battery_initial_j
    xp = namespace_of(battery_j)
    zero = xp.zeros(batch_size, dtype=battery_j.dtype, device=battery_j.device)
    count = xp.zeros(batch_size, dtype=xp.int64, device=battery_j.device)
    return State(
        round_index=count,
        finetuning=count > 0,
        ended=count > 0,
        elapsed_s=zero,
        spent_j=zero + 0.0,
        # Device by device in memory, so that what an episode shares with its devices broadcasts along it.
        battery_j=(battery_j[:, None] + zero).T,
        bound_terms=BoundTerms(zero + 0.0, zero + 0.0, zero + constants.bound.pretrain_start, zero + 0.0),
    )


def step(constants: Constants, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
    """Do one round in each of B episodes.

    A round that would pass a budget, or for which a battery can never pay, is not counted and ends the episode, as does
    the last round of the tape. An episode that has ended stays as it is.

    Args:
        constants: the scenario in the arrays' library.
        state: before the round.
        conditions: channel gains and harvested powers of this round, (B, K).
        allocation: what was decided, within the scenario's limits.

    Returns:
        The state after the round, and what the round did. Inputs are not written to, outputs alias none of them.
    """
    xp = namespace_of(state.battery_j)
    finetuning = state.finetuning | allocation.switch
    server_s, server_j = pretrain_round(constants, allocation)
    devices = finetune_round(constants, state.battery_j, conditions, allocation)
    radio = constants.scenario.radio
    finish_s = devices.wait_s + devices.compute_s + devices.upload_s
    device_j = devices.compute_j + devices.upload_j

    server_j = xp.where(finetuning, 0.0, server_j)
    duration_s = xp.where(finetuning, synchronous_duration_s(finish_s, radio.downlink_s), server_s)
    energy_j = xp.where(finetuning, sum_over_devices(device_j) + radio.downlink_j, server_j)
    reason = _reason_to_refuse(constants, state, finetuning, duration_s, energy_j, device_j, finish_s)
    counted = (reason == RUNNING) & ~state.ended

    duration_s, energy_j = xp.where(counted, duration_s, 0.0), xp.where(counted, energy_j, 0.0)
    # A product with 0 or 1 costs a fraction of a choice; what is counted is finite and stays as it is.
    tuned = xp.astype(counted & finetuning, duration_s.dtype)[:, None]
    devices = DeviceRound(*(xp.minimum(array, _LARGEST) * tuned for array in devices))
    battery_j = battery_after_round_j(
        state.battery_j,
        devices.compute_j + devices.upload_j,
        conditions.harvest_w,
        duration_s[:, None],
        constants.battery_capacity_j,
    )
    bound_terms = _progress_after(constants, state.bound_terms, counted, finetuning, allocation)
    round_index = state.round_index + xp.astype(counted, state.round_index.dtype)
    last = counted & (round_index >= constants.scenario.budgets.max_rounds)
    objective = constants.bound.value(bound_terms)
    outcome = Outcome(
        counted=counted,
        end_reason=xp.where(last, LAST_ROUND, reason),
        reward=xp.log(constants.bound.value(state.bound_terms)) - xp.log(objective),
        objective=objective,
        duration_s=duration_s,
        energy_j=energy_j,
        server_j=xp.where(counted, server_j, 0.0),
        devices=devices,
    )
    after = State(
        round_index=round_index,
        finetuning=xp.where(counted, finetuning, state.finetuning),
        ended=~counted | last,
        elapsed_s=state.elapsed_s + duration_s,
        spent_j=state.spent_j + energy_j,
        battery_j=battery_j,
        bound_terms=bound_terms,
    )
    return after, outcome


def pretrain_round(constants: Constants, allocation: Allocation) -> tuple[Array, Array]:
    """Duration a_s b_s / f_s in s and energy rho kappa_s a_s b_s f_s^2 in J of a server round, each (B,)."""
    server, cycles = constants.scenario.server, constants.scenario.server_cycles_per_sample
    batch, freq_hz = allocation.server_batch, allocation.server_freq_hz
    computed_j = compute_energy_j(server.capacitance_j_s2, cycles, batch, freq_hz)
    return compute_time_s(cycles, batch, freq_hz), server.overhead_factor * computed_j


def finetune_round(
    constants: Constants, battery_j: Array, conditions: Conditions, allocation: Allocation
) -> DeviceRound:
    """Wait, compute and upload of every device, as if no budget applied; arrays (B, K)."""
    work, power_w = constants.work, allocation.power_w
    rate_bps = uplink_rate_bps(
        power_w, conditions.channel_gain, constants.bandwidth_hz, constants.scenario.radio.noise_w_per_hz
    )
    upload_s = upload_time_s(work.upload_bit, rate_bps)
    upload_j = power_w * upload_s
    compute_j = compute_energy_j(
        constants.capacitance_j_s2, work.cycles_per_sample, allocation.batch, allocation.freq_hz
    )
    return DeviceRound(
        wait_s=waiting_time_s(compute_j + upload_j, battery_j, conditions.harvest_w),
        compute_s=compute_time_s(work.cycles_per_sample, allocation.batch, allocation.freq_hz),
        upload_s=upload_s,
        compute_j=compute_j,
        upload_j=upload_j,
    )


def _reason_to_refuse(
    constants: Constants,
    state: State,
    finetuning: Array,
    duration_s: Array,
    energy_j: Array,
    device_j: Array,
    finish_s: Array,
) -> Array:
    """Why the round cannot be counted, as an index into END_REASONS, (B,); RUNNING where it can."""
    xp = namespace_of(duration_s)
    budgets = constants.scenario.budgets
    unpayable = (device_j > constants.battery_capacity_j) | (finish_s == math.inf)
    reason = xp.zeros_like(state.round_index)
    for index, refused in (
        (ENERGY, ~(state.spent_j + energy_j <= budgets.energy_j)),
        (DELAY, ~(state.elapsed_s + duration_s <= budgets.delay_s)),
        (BATTERY, finetuning & xp.any(unpayable, axis=-1)),
    ):
        reason = xp.where(refused, index, reason)
    return reason


def _progress_after(
    constants: Constants, bound_terms: BoundTerms, counted: Array, finetuning: Array, allocation: Allocation
) -> BoundTerms:
    """The bound's progress after the round; only the stage that was played moves."""
    xp = namespace_of(bound_terms.pretrain_term)
    dtype = bound_terms.pretrain_term.dtype
    pretrained, finetuned = counted & ~finetuning, counted & finetuning
    noise = sum_over_devices(constants.gradient_noise_weight / allocation.batch)
    pretrain_term = constants.bound.after_pretrain_round(bound_terms.pretrain_term, allocation.server_batch)
    return BoundTerms(
        num_pretrain_rounds=bound_terms.num_pretrain_rounds + xp.astype(pretrained, dtype),
        num_finetune_rounds=bound_terms.num_finetune_rounds + xp.astype(finetuned, dtype),
        pretrain_term=xp.where(pretrained, pretrain_term, bound_terms.pretrain_term),
        finetune_term=bound_terms.finetune_term + xp.where(finetuned, noise, 0.0),
    )


# Stands for an infinite time or energy where a product with 0 is wanted.
_LARGEST = 1e300
