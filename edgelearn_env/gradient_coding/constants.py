"""What a round with codes reads of its scenario, in the arrays of one library."""

from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.stages.constants import Constants, constants_of


class CodingConstants(NamedTuple):
    """A scenario with codes.

    Attributes:
        scenario: plain numbers are read from it.
        staged: what every system reads.
        start_s: c_0, start-up time of each device, s, (K,).
    """

    scenario: GradientCodingScenario
    staged: Constants
    start_s: Array

    @classmethod
    def of(cls, scenario: GradientCodingScenario, xp: Any = np, **placement: Any) -> Self:
        """The constants as float64 arrays of the library `xp`; `placement` may hold its `device=`."""
        start_s = xp.asarray(np.array(scenario.coding.start_s), dtype=xp.float64, **placement)
        return cls(scenario, constants_of(scenario, xp, **placement), start_s)
