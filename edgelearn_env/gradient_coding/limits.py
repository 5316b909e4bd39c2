"""What an allocation with a code may be: the scenario's limits, checked where a policy of a user decides."""

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.stages import limits as stages


def checked_allocation(scenario: GradientCodingScenario, allocation: Allocation, num_episodes: int) -> Allocation:
    """`allocation`, once it is known to be one for every episode and to lie within the scenario's limits.

    Raises:
        InvalidInputError: it is not, or does not; the model has no meaning outside of the limits.
    """
    staged = stages.checked_allocation(scenario, allocation.staged, num_episodes)
    coding = scenario.coding
    for name, most in (
        ("edge_stragglers", coding.stored_edge_stragglers),
        ("device_stragglers", coding.stored_device_stragglers),
    ):
        number = getattr(allocation, name)
        if np.shape(number) != (num_episodes,) or number.dtype.kind != "i":
            raise InvalidInputError(f"allocation.{name} must hold {num_episodes} whole numbers, got {number!r}")
        if np.any(outside := (number < 0) | (number > most)):
            sentence = f"allocation.{name} must lie between 0 and coding.stored_{name} = {most}"
            raise InvalidInputError(f"{sentence}, got {number[outside][0]}")
    shape = (num_episodes, scenario.num_devices)
    if np.shape(allocation.asked) != shape or allocation.asked.dtype != bool:
        raise InvalidInputError(f"allocation.asked must hold truth values of shape {shape}, got {allocation.asked!r}")
    return allocation._replace(**staged._asdict())
