"""Ways to choose a net, and what each device trains of it, once and for all, as its memory allows."""

import numpy as np

from edgelearn_env.baselines.layer_tuning.policies.selection_rule import Selection, StepLimits, most_blocks, selected
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario


def middling_batch(scenario: LayerTuningScenario) -> float:
    """The batch that memories are thought to hold: in the geometric middle of what devices may have."""
    return float(np.floor(np.sqrt(np.min(scenario.devices.batch_max))))


def by_rule(scenario: LayerTuningScenario) -> Selection:
    """As the selection rule says; where every net is too large for somebody, as if it were for those that can."""
    most = _most_blocks(scenario)
    limits = np.asarray(scenario.memory.limit_byte)[np.any(most >= 1, axis=0)]
    try:
        depth = selected(
            scenario.networks, middling_batch(scenario), StepLimits(limits), scenario.memory.optimizer_words
        ).depth
    except InvalidInputError:
        depth = int(np.asarray(scenario.networks.depths)[np.argmax(np.sum(most >= 1, axis=1))])
    return Selection(depth, most[scenario.networks.place_of(depth)])


def deepest(scenario: LayerTuningScenario) -> Selection:
    """Of the deepest net that as many devices as possible can train, as many blocks as each can."""
    most = _most_blocks(scenario)
    able = np.sum(most >= 1, axis=1)
    place = len(able) - 1 - int(np.argmax(able[::-1]))
    return Selection(int(np.asarray(scenario.networks.depths)[place]), most[place])


def whole_net(scenario: LayerTuningScenario) -> Selection:
    """All of the deepest net that as many devices as possible can train whole; others train nothing."""
    most, depths = _most_blocks(scenario), np.asarray(scenario.networks.depths)
    able = np.sum(most == depths[:, None], axis=1)
    place = len(able) - 1 - int(np.argmax(able[::-1]))
    return Selection(int(depths[place]), np.where(most[place] == depths[place], depths[place], 0))


def last_block(scenario: LayerTuningScenario) -> Selection:
    """The head and the last block alone, the least that counts, of the net that the rule says."""
    depth, blocks = by_rule(scenario)
    return Selection(depth, np.minimum(blocks, 1))


def _most_blocks(scenario: LayerTuningScenario) -> np.ndarray:
    """t_c(l) of all nets with a middling batch, (D, K)."""
    limits = StepLimits(np.asarray(scenario.memory.limit_byte))
    return most_blocks(scenario.networks, middling_batch(scenario), limits, scenario.memory.optimizer_words)
