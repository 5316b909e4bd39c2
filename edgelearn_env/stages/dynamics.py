"""What a round of every system has in common: pre-training, budgets, batteries and bound around its own fine-tuning.

    Scenario --initial_state--> State --step(conditions, allocation, fine-tuning round)--> State, Outcome

Pure and batched, in any array library. What a fine-tuning round takes and brings is a system's own; see the `dynamics`
of each.
"""

from edgelearn_env.arrays.namespaces import Array, namespace_of, sum_over_last_axis
from edgelearn_env.model import State
from edgelearn_env.physics.battery import battery_after_round_j
from edgelearn_env.physics.budgets import LAST_ROUND, RUNNING, reason_to_refuse
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.stages import records
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.stages.constants import Constants
from edgelearn_env.stages.records import Allocation, DeviceRound, FinetuneRound, Outcome, PlannedRound
from edgelearn_env.tapes.tape import Conditions


def initial_state(constants: Constants, batch_size: int) -> records.State:
    """B episodes before their first round."""
    battery_j = constants.battery_initial_j
    xp = namespace_of(battery_j)
    zero = xp.zeros(batch_size, dtype=battery_j.dtype, device=battery_j.device)
    count = xp.zeros(batch_size, dtype=xp.int64, device=battery_j.device)
    return records.State(
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


def step(
    constants: Constants, state: State, conditions: Conditions, allocation: Allocation, finetuning: FinetuneRound
) -> tuple[State, Outcome]:
    """Do one round in each of B episodes.

    A round that would pass a budget is not counted and ends the episode, as does the last round of the tape. An episode
    that has ended stays as it is.

    Args:
        constants: of the scenario, in the arrays' library.
        state: before the round; `records.State`, or a record of the system's own that has its fields too.
        conditions: channel gains and harvested powers of this round, (B, K).
        allocation: what was decided, within the scenario's limits.
        finetuning: what it would be if it were a fine-tuning round and no budget applied.

    Returns:
        The state after the round, and what the round did. Inputs are not written to, outputs alias none of them.
    """
    planned = planned_round(constants, state, allocation, finetuning)
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


def planned_round(
    constants: Constants, state: State, allocation: Allocation, finetuning: FinetuneRound
) -> PlannedRound:
    """What the round would be if no budget applied: a server round before the switch, one of devices from it on."""
    xp = namespace_of(state.battery_j)
    switched = state.finetuning | allocation.switch
    server_s, server_j = pretrain_round(constants, allocation)
    devices = finetuning.devices
    finetune_j = sum_over_last_axis(devices.compute_j + devices.upload_j) + constants.scenario.radio.downlink_j
    server_j = xp.where(switched, 0.0, server_j)
    return PlannedRound(
        finetuning=switched,
        duration_s=xp.where(switched, finetuning.duration_s, server_s),
        energy_j=xp.where(switched, finetune_j, server_j),
        server_j=server_j,
        devices=devices,
        contributes=finetuning.contributes,
    )


def pretrain_round(constants: Constants, allocation: Allocation) -> tuple[Array, Array]:
    """Duration a_s b_s / f_s in s and energy rho kappa_s a_s b_s f_s^2 in J of a server round, each (B,)."""
    server, cycles = constants.scenario.server, constants.scenario.server_cycles_per_sample
    batch, freq_hz = allocation.server_batch, allocation.server_freq_hz
    computed_j = compute_energy_j(server.capacitance_j_s2, cycles, batch, freq_hz)
    return compute_time_s(cycles, batch, freq_hz), server.overhead_factor * computed_j


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
        contributes=planned.contributes & tuned,
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
    return state._replace(
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
    # Only whose data entered a round that counts has a share in it.
    share = xp.astype(done.contributes, dtype)
    batch = xp.where(done.contributes, allocation.batch, 1.0)
    participation = sum_over_last_axis(constants.device_weight * share)
    noise = sum_over_last_axis(constants.gradient_noise_weight * share / batch)
    pretrain_term = bound.after_pretrain_round(bound_terms.pretrain_term, allocation.server_batch)
    return BoundTerms(
        num_pretrain_rounds=bound_terms.num_pretrain_rounds + xp.astype(pretrained, dtype),
        num_finetune_rounds=bound_terms.num_finetune_rounds + xp.astype(finetuned, dtype),
        pretrain_term=xp.where(pretrained, pretrain_term, bound_terms.pretrain_term),
        finetune_term=bound_terms.finetune_term + bound.finetune_round(noise, participation),
        participation=bound_terms.participation + participation,
    )
