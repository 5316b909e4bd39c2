"""One learning round: the transition of the two-stage system, pure, batched, in any array library.

    Scenario --initial_state--> State --step(conditions, allocation)--> State, Outcome

This array code is the statement of the physics. Two others are tied to it by tests: the compiled loops in
`compiled_round`, which environments run where numba is installed, bit for bit (tests/two_stage/test_compiled.py); and a
scalar transcription in pure Python, to rounding (tests/two_stage/golden). The conic program of the optimum is tied to
it by replaying its plans.
"""

from typing import NamedTuple

from edgelearn_env.arrays.namespaces import Array, namespace_of, sum_over_devices
from edgelearn_env.physics.battery import battery_after_round_j
from edgelearn_env.physics.budgets import LAST_ROUND, RUNNING, reason_to_refuse
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.physics.uplink import uplink_rate_bps, upload_time_s
from edgelearn_env.scenarios.parts import Radio
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.two_stage.bounds import BoundTerms
from edgelearn_env.two_stage.constants import Constants
from edgelearn_env.two_stage.records import Allocation, DeviceRound, Outcome, State


class PlannedRound(NamedTuple):
    """What a round would be if no budget applied.

    Attributes:
        finetuning: in which stage it is, (B,) booleans.
        duration_s: D, s, (B,).
        energy_j: server, devices and overhead together, J, (B,).
        server_j: the server's part of it, J, (B,).
        devices: who takes part; compute and upload of each device, (B, K); whatever the stage.
    """

    finetuning: Array
    duration_s: Array
    energy_j: Array
    server_j: Array
    devices: DeviceRound


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
        bound_terms=BoundTerms(
            num_pretrain_rounds=zero + 0.0,
            num_finetune_rounds=zero + 0.0,
            pretrain_term=zero + constants.bound.pretrain_start,
            finetune_term=zero + 0.0,
            participation=zero + 0.0,
        ),
    )


def step(constants: Constants, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
    """Do one round in each of B episodes.

    A round that would pass a budget is not counted and ends the episode, as does the last round of the tape. An episode
    that has ended stays as it is.

    Args:
        constants: of the scenario, in the arrays' library.
        state: before the round.
        conditions: channel gains and harvested powers of this round, (B, K).
        allocation: what was decided, within the scenario's limits.

    Returns:
        The state after the round, and what the round did. Inputs are not written to, outputs alias none of them.
    """
    planned = planned_round(constants, state, conditions, allocation)
    used_s, used_j = state.elapsed_s + planned.duration_s, state.spent_j + planned.energy_j
    reason = reason_to_refuse(constants.scenario.budgets, used_s, used_j)
    counted = (reason == RUNNING) & ~state.ended
    done = _as_far_as_counted(planned, counted)
    after = _state_after(constants, state, conditions, allocation, done, counted)
    objective = constants.bound.value(after.bound_terms)
    xp = namespace_of(objective)
    outcome = Outcome(
        counted=counted,
        end_reason=xp.where(counted & after.ended, LAST_ROUND, reason),
        reward=xp.log(constants.bound.value(state.bound_terms)) - xp.log(objective),
        objective=objective,
        duration_s=done.duration_s,
        energy_j=done.energy_j,
        server_j=done.server_j,
        devices=done.devices,
    )
    return after, outcome


def planned_round(constants: Constants, state: State, conditions: Conditions, allocation: Allocation) -> PlannedRound:
    """What the round would be: a server round before the switch, one of the devices from it on."""
    xp, radio = namespace_of(state.battery_j), constants.scenario.radio
    finetuning = state.finetuning | allocation.switch
    server_s, server_j = pretrain_round(constants, allocation)
    devices = finetune_round(constants, state.battery_j, conditions, allocation)
    finetune_j = sum_over_devices(devices.compute_j + devices.upload_j) + radio.downlink_j
    server_j = xp.where(finetuning, 0.0, server_j)
    return PlannedRound(
        finetuning=finetuning,
        duration_s=xp.where(finetuning, synchronous_duration_s(devices, radio), server_s),
        energy_j=xp.where(finetuning, finetune_j, server_j),
        server_j=server_j,
        devices=devices,
    )


def synchronous_duration_s(devices: DeviceRound, radio: Radio) -> Array:
    """Duration of a round that waits for all who take part: max_k (compute_k + upload_k) + downlink overhead, s, (B,).

    One in which nobody takes part lasts `radio.idle_s`.
    """
    xp = namespace_of(devices.compute_s)
    finish_s = xp.max(devices.compute_s + devices.upload_s, axis=-1)
    return xp.where(xp.any(devices.participates, axis=-1), finish_s + radio.downlink_s, radio.idle_s)


def pretrain_round(constants: Constants, allocation: Allocation) -> tuple[Array, Array]:
    """Duration a_s b_s / f_s in s and energy rho kappa_s a_s b_s f_s^2 in J of a server round, each (B,)."""
    server, cycles = constants.scenario.server, constants.scenario.server_cycles_per_sample
    batch, freq_hz = allocation.server_batch, allocation.server_freq_hz
    computed_j = compute_energy_j(server.capacitance_j_s2, cycles, batch, freq_hz)
    return compute_time_s(cycles, batch, freq_hz), server.overhead_factor * computed_j


def finetune_round(
    constants: Constants, battery_j: Array, conditions: Conditions, allocation: Allocation
) -> DeviceRound:
    """Who takes part, and their compute and upload, as if no budget applied; arrays (B, K).

    A device takes part if it is given a batch of at least one sample, and its battery covers what the round costs it:
    kappa a b f^2 + p u <= battery. Else it is silent, for which it neither computes nor uploads. What is not a number
    is no excuse: such a device makes a round that no budget allows.
    """
    xp, power_w = namespace_of(battery_j), allocation.power_w
    rate_bps = uplink_rate_bps(
        power_w, conditions.channel_gain, constants.bandwidth_hz, constants.scenario.radio.noise_w_per_hz
    )
    upload_s = upload_time_s(constants.upload_bit, rate_bps)
    compute_j = compute_energy_j(
        constants.capacitance_j_s2, constants.cycles_per_sample, allocation.batch, allocation.freq_hz
    )
    compute_s = compute_time_s(constants.cycles_per_sample, allocation.batch, allocation.freq_hz)
    participates = ~((allocation.batch < 1) | (compute_j + power_w * upload_s > battery_j))
    compute_s, upload_s, compute_j = (xp.where(participates, array, 0.0) for array in (compute_s, upload_s, compute_j))
    # An infinite time is out of the product now, whose gradient it would spoil.
    return DeviceRound(participates, compute_s, upload_s, compute_j, power_w * upload_s)


def _as_far_as_counted(planned: PlannedRound, counted: Array) -> PlannedRound:
    """The round with zeros where it is not counted, and for devices where they had no part in it."""
    xp = namespace_of(counted)
    tuned = (counted & planned.finetuning)[:, None]
    return planned._replace(
        duration_s=xp.where(counted, planned.duration_s, 0.0),
        energy_j=xp.where(counted, planned.energy_j, 0.0),
        server_j=xp.where(counted, planned.server_j, 0.0),
        devices=DeviceRound(
            planned.devices.participates & tuned, *(xp.where(tuned, array, 0.0) for array in planned.devices[1:])
        ),
    )


def _state_after(
    constants: Constants,
    state: State,
    conditions: Conditions,
    allocation: Allocation,
    done: PlannedRound,
    counted: Array,
) -> State:
    """Where each episode stands after what was done of its round."""
    xp = namespace_of(state.battery_j)
    round_index = state.round_index + xp.astype(counted, state.round_index.dtype)
    battery_j = battery_after_round_j(
        state.battery_j,
        done.devices.compute_j + done.devices.upload_j,
        conditions.harvest_w,
        done.duration_s[:, None],
        constants.battery_capacity_j,
    )
    return State(
        round_index=round_index,
        finetuning=xp.where(counted, done.finetuning, state.finetuning),
        ended=~counted | (round_index >= constants.scenario.budgets.max_rounds),
        elapsed_s=state.elapsed_s + done.duration_s,
        spent_j=state.spent_j + done.energy_j,
        battery_j=battery_j,
        bound_terms=_bound_terms_after(constants, state.bound_terms, counted, done, allocation),
    )


def _bound_terms_after(
    constants: Constants, bound_terms: BoundTerms, counted: Array, done: PlannedRound, allocation: Allocation
) -> BoundTerms:
    """The terms of the bound after the round; only the stage that was played moves."""
    xp, bound = namespace_of(bound_terms.pretrain_term), constants.bound
    dtype = bound_terms.pretrain_term.dtype
    pretrained, finetuned = counted & ~done.finetuning, counted & done.finetuning
    # Only who took part in a round that counts has a share in it.
    share = xp.astype(done.devices.participates, dtype)
    batch = xp.where(done.devices.participates, allocation.batch, 1.0)
    participation = sum_over_devices(constants.device_weight * share)
    noise = sum_over_devices(constants.gradient_noise_weight * share / batch)
    pretrain_term = bound.after_pretrain_round(bound_terms.pretrain_term, allocation.server_batch)
    return BoundTerms(
        num_pretrain_rounds=bound_terms.num_pretrain_rounds + xp.astype(pretrained, dtype),
        num_finetune_rounds=bound_terms.num_finetune_rounds + xp.astype(finetuned, dtype),
        pretrain_term=xp.where(pretrained, pretrain_term, bound_terms.pretrain_term),
        finetune_term=bound_terms.finetune_term + bound.finetune_round(noise, participation),
        participation=bound_terms.participation + participation,
    )
