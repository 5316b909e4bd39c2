"""Scenarios of two-stage edge learning."""

import dataclasses
from typing import ClassVar

from edgelearn_env.stages.scenario import StagedScenario


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TwoStageScenario(StagedScenario):
    """One two-stage edge-learning system; per-device fields are read-only arrays of shape (K,).

    Raises:
        InvalidInputError: a value is out of its limits, an array has the wrong length, or a budget cannot pay for a
            single fine-tuning round.
    """

    system: ClassVar[str] = "two-stage"
