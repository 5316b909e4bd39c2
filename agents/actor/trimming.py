"""The last step of agents that know the model: a fine-tuning round is trimmed where that costs nothing.

* A device that would be ready before the slowest one slows its clock until it is ready with it: the round takes as long
  and spends less, since computing costs as the square of the clock frequency.
* Once what is left of the budgets is for three rounds or fewer like this one, it is shared out among them: all devices
  are ready when the round's share of the time is over, and all batches grow or shrink by one factor c, so that its
  share of the energy is spent. Computing costs kappa a^3 b^3 / t^2 in a time t, so c^3 is the energy that there is for
  computing over what the batches would cost.

Formulas of the model decide this, nothing is learnt.
"""

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of, sum_over_devices
from edgelearn_env.model import Observed
from edgelearn_env.physics.compute import compute_energy_j
from edgelearn_env.scenarios.parts import Budgets
from edgelearn_env.two_stage.constants import Constants
from edgelearn_env.two_stage.dynamics import finetune_round
from edgelearn_env.two_stage.records import Allocation

_LAST_ROUNDS = 3

# Of what is left, so that rounding cannot take the last round beyond a budget.
_USED = 1 - 1e-9

# Where half a round to one and a half is left, batches change by no more than this. What asks for more is another case:
# one deep fade, say, that makes this very round last as long as many others.
_LEAST_FACTOR, _LARGEST_FACTOR = 0.5, 1.5


def trimmed(constants: Constants, budgets: Budgets, observed: Observed, allocation: Allocation) -> Allocation:
    """The round to play instead of the one decided; the part that concerns pre-training stays as it is.

    Args:
        constants: the scenario in the arrays' library.
        budgets: of a whole episode.
        observed: state and conditions before the round.
        allocation: what was decided.
    """
    return _sharing_the_rest(constants, budgets, observed, ready_together(constants, observed, allocation))


def ready_together(constants: Constants, observed: Observed, allocation: Allocation) -> Allocation:
    """The first half of `trimmed`: clocks as slow as the slowest device lets them be. Gradients pass through."""
    xp, least_hz = namespace_of(allocation.freq_hz), constants.scenario.devices.freq_min_hz
    devices = finetune_round(constants, observed.state.battery_j, observed.conditions, allocation)
    # Where somebody can never pay, a number in the place of infinity keeps derivatives finite.
    payable = xp.all(devices.wait_s < xp.inf, axis=-1)[:, None]
    idle_s = xp.where(payable, devices.wait_s, 0.0) + devices.upload_s
    ready_s = xp.max(idle_s + devices.compute_s, axis=-1, keepdims=True)
    freq_hz = constants.cycles_per_sample * allocation.batch / (ready_s - idle_s)
    slowed_hz = xp.maximum(freq_hz, _as_array(least_hz, freq_hz))
    return allocation._replace(freq_hz=xp.where(payable, slowed_hz, allocation.freq_hz))


def _sharing_the_rest(constants: Constants, budgets: Budgets, observed: Observed, allocation: Allocation) -> Allocation:
    """The round with its share of what is left, if it is one of the last and that is possible; else as it is."""
    xp, state, radio = namespace_of(allocation.freq_hz), observed.state, constants.scenario.radio
    limits, cycles, capacitance = (
        constants.scenario.devices,
        constants.cycles_per_sample,
        constants.capacitance_j_s2,
    )
    devices = finetune_round(constants, state.battery_j, observed.conditions, allocation)
    left_s, left_j = budgets.delay_s - state.elapsed_s, budgets.energy_j - state.spent_j
    round_s = xp.max(devices.compute_s + devices.upload_s, axis=-1) + radio.downlink_s
    round_j = sum_over_devices(devices.compute_j + devices.upload_j) + radio.downlink_j
    num_rounds = xp.maximum(xp.round(xp.minimum(left_s / round_s, left_j / round_j)), 1.0)

    compute_s = (_USED * left_s / num_rounds - radio.downlink_s)[:, None] - devices.upload_s
    in_time = xp.all(compute_s > 0, axis=-1)
    compute_s = xp.where(in_time[:, None], compute_s, 1.0)
    cost_j = sum_over_devices(
        compute_energy_j(capacitance, cycles, allocation.batch, cycles * allocation.batch / compute_s)
    )
    compute_j = _USED * left_j / num_rounds - radio.downlink_j - sum_over_devices(devices.upload_j)
    factor = xp.maximum(compute_j / cost_j, 0.0) ** (1 / 3)
    scaled = xp.minimum(factor[:, None] * allocation.batch, _as_array(limits.batch_max, allocation.batch))
    batch = xp.floor(xp.maximum(scaled, 1.0))
    freq_hz = xp.maximum(cycles * batch / compute_s, _as_array(limits.freq_min_hz, compute_s))

    energy_j = compute_energy_j(capacitance, cycles, batch, freq_hz) + devices.upload_j
    affordable = (energy_j <= state.battery_j) & (devices.wait_s == 0)
    possible = xp.all((freq_hz <= _as_array(limits.freq_max_hz, freq_hz)) & affordable, axis=-1)
    meant = (num_rounds <= _LAST_ROUNDS) & (factor > _LEAST_FACTOR) & (factor < _LARGEST_FACTOR)
    chosen = (in_time & possible & meant)[:, None]
    return allocation._replace(
        freq_hz=xp.where(chosen, freq_hz, allocation.freq_hz), batch=xp.where(chosen, batch, allocation.batch)
    )


def _as_array(values: np.ndarray | float, other: Array) -> Array:
    """Values of a scenario in the library of another array."""
    return namespace_of(other).asarray(np.array(values), dtype=other.dtype)
