"""A two-stage scenario to take prices from, whatever memories and budgets allow."""

import numpy as np

from edgelearn_env.baselines.layer_tuning.model.net_levels import NetLevels
from edgelearn_env.baselines.stages.model.restriction import Stages
from edgelearn_env.baselines.stages.static.rounds import StaticConstants
from edgelearn_env.baselines.stages.static.search import Best, best_rounds
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


def typical_design(net: NetLevels, stages: Stages = "both") -> tuple[Best, float]:
    """The static design in which everyone trains as much of a net as half of the devices can.

    Returns:
        The design, and what a unit of its noise adds to the numerator of the net's bound.
    """
    blocks = max(int(np.median(np.sum(net.fits, axis=0))), 1)
    design = roomy_design(net.scenario, net.depth, blocks)
    theirs, ours = design.bound.quotient_form(0), net.scenario.bound_of(net.place).quotient_form(0)
    # Their weight is counted without the share of the blocks.
    ratio = net.share[blocks - 1] * ours.participation_weight / theirs.participation_weight
    return best_rounds(StaticConstants.of(design), stages), float(theirs.finetune_weight * ratio)
