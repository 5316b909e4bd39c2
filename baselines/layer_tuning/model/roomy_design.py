"""A two-stage scenario to take prices from, whatever memories and budgets allow."""

import numpy as np

from edgelearn_env.layer_tuning.one_level import as_two_stage
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages.scenario import StagedScenario

# Bytes of a memory, and rounds that budgets allow at least.
_ALL_THERE_IS, _FEW = 1e18, 3.0


def roomy_design(scenario: LayerTuningScenario, depth: int, blocks: int) -> StagedScenario:
    """Everyone at one level, with memory for everything and budgets for a few rounds."""
    devices, radio, budgets = scenario.devices, scenario.radio, scenario.budgets
    flops_per_cycle = scenario.levels.flops_per_cycle[scenario.networks.place_of(depth), blocks - 1]
    cycles = scenario.learning.flops_per_sample / flops_per_cycle
    round_s = radio.downlink_s + float(np.min(cycles / devices.freq_max_hz))
    round_j = radio.downlink_j + float(np.min(devices.capacitance_j_s2 * cycles * devices.freq_min_hz**2))
    roomy = scenario.replace(
        memory={"limit_byte": _ALL_THERE_IS},
        budgets={"delay_s": max(budgets.delay_s, _FEW * round_s), "energy_j": max(budgets.energy_j, _FEW * round_j)},
    )
    return StagedScenario.load(as_two_stage(roomy, depth, blocks))
