"""The last step of agents that know the model: a fine-tuning round is trimmed where that costs nothing.

* A device that the others would have to wait for, or that has to pay much, sits the round out where that is better. The
  sets of devices that are done by the time one of them is, at most K, are compared by the Phi that each would lead to
  if all that is left went into rounds like this one. How many those are is the harmonic mean of the number that time is
  left for and the number that energy is left for.
* A device that would be ready before the slowest one slows its clock until it is ready with it: the round takes as long
  and spends less, since computing costs as the square of the clock frequency. So one takes part whose battery covers
  no more than that.
* Once what is left of the budgets is for three rounds or fewer like this one, it is shared out among them: all devices
  are ready when the round's share of the time is over, and all batches grow or shrink by one factor c, so that its
  share of the energy is spent. Computing costs kappa a^3 b^3 / t^2 in a time t, so c^3 is the energy that there is for
  computing over what the batches would cost.

Other devices that are silent, by choice or for want of charge, stay as they were decided. Formulas of the model decide
this, nothing is learnt.
"""

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of, sum_over_last_axis
from edgelearn_env.arrays.records import mapped
from edgelearn_env.model import Observed, State
from edgelearn_env.physics.compute import compute_energy_j
from edgelearn_env.scenarios.parts import Budgets
from edgelearn_env.stages.constants import Constants
from edgelearn_env.stages.records import Allocation, DeviceRound
from edgelearn_env.stages.synchronous import finetune_round, synchronous_duration_s

_LAST_ROUNDS = 3

# Of what is left, so that rounding cannot take the last round beyond a budget.
_USED = 1 - 1e-9

# Where half a round to one and a half is left, batches change by no more than this. What asks for more is another case:
# one deep fade, say, that makes this very round last as long as many others.
_LEAST_FACTOR, _LARGEST_FACTOR = 0.5, 1.5

# Stands for nothing where a quotient needs something.
_NOTHING = float(np.finfo(np.float64).tiny)


def trimmed(constants: Constants, budgets: Budgets, observed: Observed, allocation: Allocation) -> Allocation:
    """The round to play instead of the one decided; the part that concerns pre-training stays as it is.

    Args:
        constants: the scenario in the arrays' library; those of devices (K,), or (B, K) where they depend on the round.
        budgets: of a whole episode.
        observed: state and conditions before the round.
        allocation: what was decided.
    """
    kept = worth_waiting_for(constants, budgets, observed, allocation)
    chosen = allocation._replace(batch=namespace_of(kept).where(kept, allocation.batch, 0.0))
    return _sharing_the_rest(constants, budgets, observed, ready_together(constants, observed, chosen))


def worth_waiting_for(constants: Constants, budgets: Budgets, observed: Observed, allocation: Allocation) -> Array:
    """The devices that need not sit the round out for the sake of the others, (B, K) booleans.

    Those that are silent as it is are among them.

    Args:
        constants, budgets, observed, allocation: as for `trimmed`.
    """
    xp = namespace_of(allocation.batch)
    devices = finetune_round(constants, observed.state.battery_j, observed.conditions, allocation)
    finish_s = devices.compute_s + devices.upload_s
    # A set for each device, (B, K, K): those that are done by the time it is.
    done = devices.participates[:, None, :] & (finish_s[:, None, :] <= finish_s[:, :, None])
    value = _value_of_rounds_alike(constants, budgets, observed.state, allocation, devices, done)
    best = xp.argmin(xp.where(xp.any(done, axis=-1), value, xp.inf), axis=-1, keepdims=True)
    return finish_s <= xp.take_along_axis(finish_s, best, axis=-1)


def _value_of_rounds_alike(
    constants: Constants, budgets: Budgets, state: State, allocation: Allocation, devices: DeviceRound, done: Array
) -> Array:
    """Phi if all that is left went into rounds like this one of each of those sets of devices, (B, K).

    Psi becomes (A + n a) / (P + n Omega), where a and Omega are what one such round adds.
    """
    xp, radio, bound = namespace_of(done), constants.scenario.radio, constants.bound
    constants = _of_sets(constants)
    batch, upload_s, upload_j = (each[:, None, :] for each in (allocation.batch, devices.upload_s, devices.upload_j))
    ready_s = devices.compute_s + devices.upload_s
    freq_hz = _just_in_time_hz(constants, batch, xp.where(done, ready_s[:, :, None] - upload_s, 1.0))

    def over_set(values: Array) -> Array:
        return sum_over_last_axis(xp.where(done, values, 0.0))

    round_j = over_set(_compute_j(constants, batch, freq_hz) + upload_j) + radio.downlink_j
    left_s, left_j, left = (
        (budgets.delay_s - state.elapsed_s)[:, None],
        (budgets.energy_j - state.spent_j)[:, None],
        (budgets.max_rounds - state.round_index)[:, None],
    )
    in_time, in_energy = left_s / (ready_s + radio.downlink_s), left_j / round_j
    mean = 2 * in_time * in_energy / xp.maximum(in_time + in_energy, _NOTHING)
    num_rounds = xp.minimum(mean, xp.astype(left, mean.dtype))

    participation = over_set(constants.device_weight)
    noise = over_set(constants.gradient_noise_weight / xp.maximum(batch, 1.0))
    terms = mapped(lambda term: term[:, None], state.bound_terms)
    value: Array = bound.value(
        terms._replace(
            finetune_term=terms.finetune_term + num_rounds * bound.finetune_round(noise, participation),
            participation=terms.participation + num_rounds * participation,
        )
    )
    return value


def _of_sets(constants: Constants) -> Constants:
    """The constants of devices that are compared in several sets, (B, 1, K) or (1, K)."""
    names = ("cycles_per_sample", "capacitance_j_s2", "device_weight", "gradient_noise_weight")
    return constants._replace(**{name: getattr(constants, name)[..., None, :] for name in names})


def ready_together(constants: Constants, observed: Observed, allocation: Allocation) -> Allocation:
    """The part of `trimmed` that slows clocks, as far as the slowest device lets them. Gradients pass through."""
    xp, battery_j = namespace_of(allocation.freq_hz), observed.state.battery_j
    asked = finetune_round(constants, xp.full_like(battery_j, xp.inf), observed.conditions, allocation)
    finish_s = asked.compute_s + asked.upload_s
    pays = asked.compute_j + asked.upload_j <= battery_j
    ready_s = xp.max(xp.where(pays, finish_s, 0.0), axis=-1, keepdims=True)
    slows = asked.participates & (finish_s <= ready_s)
    # In the place of what is no time to compute in, a number keeps derivatives finite.
    slowed_hz = _just_in_time_hz(constants, allocation.batch, xp.where(slows, ready_s - asked.upload_s, 1.0))
    return allocation._replace(freq_hz=xp.where(slows, slowed_hz, allocation.freq_hz))


def _sharing_the_rest(constants: Constants, budgets: Budgets, observed: Observed, allocation: Allocation) -> Allocation:
    """The round with its share of what is left, if it is one of the last and that is possible; else as it is."""
    xp, state, radio = namespace_of(allocation.freq_hz), observed.state, constants.scenario.radio
    limits = constants.scenario.devices
    devices = finetune_round(constants, state.battery_j, observed.conditions, allocation)
    takes_part = devices.participates
    left_s, left_j = budgets.delay_s - state.elapsed_s, budgets.energy_j - state.spent_j
    round_s = synchronous_duration_s(devices, radio)
    round_j = sum_over_last_axis(devices.compute_j + devices.upload_j) + radio.downlink_j
    num_rounds = xp.maximum(xp.round(xp.minimum(left_s / round_s, left_j / round_j)), 1.0)

    compute_s = (_USED * left_s / num_rounds - radio.downlink_s)[:, None] - devices.upload_s
    in_time = xp.all((compute_s > 0) | ~takes_part, axis=-1) & xp.any(takes_part, axis=-1)
    compute_s = xp.where(takes_part & in_time[:, None], compute_s, 1.0)
    asked_j = _compute_j(constants, allocation.batch, constants.cycles_per_sample * allocation.batch / compute_s)
    cost_j = xp.where(in_time, sum_over_last_axis(xp.where(takes_part, asked_j, 0.0)), 1.0)
    compute_j = _USED * left_j / num_rounds - radio.downlink_j - sum_over_last_axis(devices.upload_j)
    factor = xp.maximum(compute_j / cost_j, 0.0) ** (1 / 3)
    scaled = xp.minimum(factor[:, None] * allocation.batch, _as_array(limits.batch_max, allocation.batch))
    batch = xp.floor(xp.maximum(scaled, 1.0))
    freq_hz = _just_in_time_hz(constants, batch, compute_s)

    affordable = _compute_j(constants, batch, freq_hz) + devices.upload_j <= state.battery_j
    within = affordable & (freq_hz <= _as_array(limits.freq_max_hz, freq_hz))
    possible = in_time & xp.all(within | ~takes_part, axis=-1)
    meant = (num_rounds <= _LAST_ROUNDS) & (factor > _LEAST_FACTOR) & (factor < _LARGEST_FACTOR)
    chosen = takes_part & (possible & meant)[:, None]
    return allocation._replace(
        freq_hz=xp.where(chosen, freq_hz, allocation.freq_hz), batch=xp.where(chosen, batch, allocation.batch)
    )


def _just_in_time_hz(constants: Constants, batch: Array, compute_s: Array) -> Array:
    """The slowest clock that computes a batch in that time, but no slower than a device's slowest."""
    freq_hz = constants.cycles_per_sample * batch / compute_s
    return namespace_of(freq_hz).maximum(freq_hz, _as_array(constants.scenario.devices.freq_min_hz, freq_hz))


def _compute_j(constants: Constants, batch: Array, freq_hz: Array) -> Array:
    """Energy of computing a batch, J."""
    return compute_energy_j(constants.capacitance_j_s2, constants.cycles_per_sample, batch, freq_hz)


def _as_array(values: np.ndarray | float, other: Array) -> Array:
    """Values of a scenario in the library of another array."""
    return namespace_of(other).asarray(np.array(values), dtype=other.dtype)
