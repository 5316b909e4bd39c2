"""The two-stage model in array operations, of numpy or torch: what plays a scenario."""

from typing import Any

import numpy as np

from edgelearn_env.stages.records import Allocation, FinetuneRound, State
from edgelearn_env.stages.staged_model import StagedModel
from edgelearn_env.stages.synchronous import synchronous_round
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.trajectory import Trajectory


class ArrayModel(StagedModel):
    """`edgelearn_env.model.Model` of a two-stage scenario."""

    def finetuning(self, state: State, conditions: Conditions, allocation: Allocation) -> FinetuneRound:
        """As `stages.synchronous.synchronous_round`."""
        return synchronous_round(self.constants, state.battery_j, conditions, allocation)

    def frame(self, trajectory: Trajectory, episode: int, *, as_text: bool) -> np.ndarray | str:
        """One episode as `rendering` draws or writes it."""
        from edgelearn_env.two_stage import rendering

        return rendering.ansi(trajectory, episode) if as_text else rendering.rgb_array(trajectory, episode)

    def figure(self, trajectory: Trajectory, episode: int, title: str) -> Any:
        """One episode as `rendering.episode_figure` draws it."""
        from edgelearn_env.two_stage import rendering

        return rendering.episode_figure(trajectory, episode, title)
