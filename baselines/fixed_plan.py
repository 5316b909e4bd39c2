"""The fixed policy: a static design, played open loop whatever happens."""

import numpy as np

from edgelearn_env.baselines.clairvoyant import clairvoyant
from edgelearn_env.baselines.plan import Plan
from edgelearn_env.scenario import Scenario
from edgelearn_env.tape import Tape


def average_tape(scenario: Scenario) -> Tape:
    """The tape on which every round is as on average: no fading, steady harvest; (T, K)."""
    shape = (scenario.budgets.max_rounds, scenario.num_devices)
    gain, harvest_w = scenario.mean_channel_gain, scenario.energy.harvest_mean_w
    return Tape(np.broadcast_to(gain, shape).copy(), np.broadcast_to(harvest_w, shape).copy())


def fixed_plan(scenario: Scenario) -> Plan:
    """The best plan, in whole batches, for a system in which every round is as on average."""
    return clairvoyant(scenario, average_tape(scenario)).whole_plan
