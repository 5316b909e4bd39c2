"""What a round of two-stage edge learning reads of its scenario, in the arrays of one library."""

from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.scenarios.scenario import checked_scenario
from edgelearn_env.stages.bounds import LearningBound
from edgelearn_env.stages.scenario import StagedScenario


class Constants(NamedTuple):
    """A scenario, and what devices differ in as arrays of one library, (K,).

    Attributes:
        scenario: plain numbers are read from it.
        bound: its learning bound.
        cycles_per_sample: a_k, clock cycles of device k for one sample.
        upload_bit: Q_k, size of what device k uploads, bit.
        capacitance_j_s2: kappa_k, J s^2.
        bandwidth_hz: W_k, Hz.
        battery_initial_j, battery_capacity_j: charge at the start, and the most that a battery holds, J.
        device_weight: omega_k, what device k counts in the aggregation.
        gradient_noise_weight: omega_k^2 sigma_k^2, what 1/b_k counts in the bound.
    """

    scenario: StagedScenario
    bound: LearningBound
    cycles_per_sample: Array
    upload_bit: Array
    capacitance_j_s2: Array
    bandwidth_hz: Array
    battery_initial_j: Array
    battery_capacity_j: Array
    device_weight: Array
    gradient_noise_weight: Array


def constants_of(scenario: StagedScenario, xp: Any = np, **placement: Any) -> Constants:
    """The constants as float64 arrays of the library `xp`; `placement` may hold its `device=`.

    Raises:
        InvalidInputError: it is no scenario, or one of another system.
    """
    checked_scenario(scenario, StagedScenario)
    values = {
        "cycles_per_sample": scenario.device_cycles_per_sample,
        "upload_bit": np.full(scenario.num_devices, scenario.learning.upload_bit),
        "capacitance_j_s2": scenario.devices.capacitance_j_s2,
        "bandwidth_hz": scenario.radio.bandwidth_hz,
        "battery_initial_j": scenario.energy.battery_initial_j,
        "battery_capacity_j": scenario.energy.battery_capacity_j,
        "device_weight": scenario.learning.device_weight,
        "gradient_noise_weight": scenario.gradient_noise_weight,
    }
    arrays = {name: xp.asarray(np.array(each), dtype=xp.float64, **placement) for name, each in values.items()}
    return Constants(scenario=scenario, bound=scenario.bound, **arrays)
