"""The devices' hardware in rounds whose stragglers are known, as the closed forms read it."""

import numpy as np

from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.model.hardware import Hardware, device_processors, uplinks
from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario


def slowed_processors(scenario: GradientCodingScenario, hidden: Hidden) -> Processor:
    """Processors in T rounds, (T, K).

    One that is slowed x times takes x times as long for the same energy: x a cycles at capacitance kappa / x.
    """
    devices = device_processors(scenario)
    return devices._replace(
        cycles_per_sample=devices.cycles_per_sample * hidden.slowdown,
        capacitance_j_s2=devices.capacitance_j_s2 / hidden.slowdown,
        stall_s=hidden.stall_s,
    )


def repeated_uplinks(scenario: GradientCodingScenario, channel_gain: np.ndarray, hidden: Hidden) -> Uplink:
    """Uplinks in T rounds, (T, K): N tries are one upload of N times as much.

    What passes besides is the device's start-up, and all tries of its edge node.
    """
    uplink, coding = uplinks(scenario, channel_gain), scenario.coding
    relayed_s = coding.edge_s * np.repeat(hidden.edge_tries, scenario.devices_per_edge, axis=-1)
    return uplink._replace(nats_s=uplink.nats_s * hidden.tries, wait_s=coding.start_s + relayed_s)


def straggling_hardware(scenario: GradientCodingScenario, channel_gain: np.ndarray, hidden: Hidden) -> Hardware:
    """Both, (T, K)."""
    return Hardware(slowed_processors(scenario, hidden), repeated_uplinks(scenario, channel_gain, hidden))
