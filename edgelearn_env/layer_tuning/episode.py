"""One episode of layer tuning: the bound on the task loss, round by round."""

import dataclasses

import numpy as np

from edgelearn_env.layer_tuning.constants import LayerConstants
from edgelearn_env.layer_tuning.dynamics import objective
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages.episode import PlayedEpisode


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LayerEpisode(PlayedEpisode):
    """`PlayedEpisode` of a scenario of layer tuning; its `objective` is Psi of the net in charge."""

    scenario: LayerTuningScenario

    @property
    def loss(self) -> np.ndarray:
        """J before the first round and after each, (T + 1,)."""
        loss: np.ndarray = objective(LayerConstants.of(self.scenario), self.states)
        return loss

    @property
    def depth(self) -> int:
        """l of the chosen net, 0 before one is chosen."""
        return int(self.states.depth[-1])
