"""What an allocation of layer tuning may be: the scenario's limits, checked where a policy of a user decides."""

from typing import Any

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning.records import Allocation
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages import limits as stages


def checked_allocation(scenario: LayerTuningScenario, allocation: Any, num_episodes: int) -> Allocation:
    """`allocation`, once it is known to be one for every episode and to lie within the scenario's limits.

    Raises:
        InvalidInputError: it is not, or does not; the model has no meaning outside of the limits.
    """
    stages.require_record(allocation, Allocation)
    staged = stages.checked_allocation(scenario, allocation.staged, num_episodes)
    stages.require_array("depth", allocation.depth, (num_episodes,), "iu", "whole numbers")
    stages.require_array("blocks", allocation.blocks, (num_episodes, scenario.num_devices), "iu", "whole numbers")
    depths = np.asarray(scenario.networks.depths)
    if np.any(unknown := ~np.isin(allocation.depth, depths)):
        sentence = f"allocation.depth must be one of networks.depths, {', '.join(map(str, depths.tolist()))}"
        raise InvalidInputError(f"{sentence}, got {allocation.depth[unknown][0]}")
    most = scenario.networks.most_blocks
    if np.any(outside := (allocation.blocks < 0) | (allocation.blocks > most)):
        sentence = f"allocation.blocks must lie between 0 and {most}, the blocks of the deepest net"
        raise InvalidInputError(f"{sentence}, got {allocation.blocks[outside][0]}")
    checked: Allocation = allocation._replace(**staged._asdict())
    return checked
