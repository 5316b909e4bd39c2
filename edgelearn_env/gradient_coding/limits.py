"""What an allocation with a code may be: the scenario's limits, checked where a policy of a user decides."""

from typing import Any

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.stages import limits as stages


def checked_allocation(scenario: GradientCodingScenario, allocation: Any, num_episodes: int) -> Allocation:
    """`allocation`, once it is known to be one for every episode and to lie within the scenario's limits.

    Raises:
        InvalidInputError: it is not, or does not; the model has no meaning outside of the limits.
    """
    stages.require_record(allocation, Allocation)
    staged = stages.checked_allocation(scenario, allocation.staged, num_episodes)
    coding = scenario.coding
    for name, most in (
        ("edge_stragglers", coding.stored_edge_stragglers),
        ("device_stragglers", coding.stored_device_stragglers),
    ):
        number = getattr(allocation, name)
        stages.require_array(name, number, (num_episodes,), "iu", "whole numbers")
        if np.any(outside := (number < 0) | (number > most)):
            sentence = f"allocation.{name} must lie between 0 and coding.stored_{name} = {most}"
            raise InvalidInputError(f"{sentence}, got {number[outside][0]}")
    stages.require_array("asked", allocation.asked, (num_episodes, scenario.num_devices), "b", "truth values")
    checked: Allocation = allocation._replace(**staged._asdict())
    return checked
