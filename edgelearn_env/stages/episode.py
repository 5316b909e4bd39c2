"""One episode cut out of a trajectory: the rounds that were counted, and how it ended."""

import dataclasses
from typing import Self

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.model import Allocation, Outcome, State
from edgelearn_env.physics.budgets import DELAY, ENERGY, LAST_ROUND, RUNNING
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.trajectory import Trajectory

_HOW_IT_ENDED = {
    RUNNING: "still running",
    DELAY: "ended: the next round would pass the delay budget",
    ENERGY: "ended: the next round would pass the energy budget",
    LAST_ROUND: "ended: the last round was played",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PlayedEpisode:
    """T counted rounds of one episode; T is 0 before the first.

    Attributes:
        scenario: the system that was played.
        states: before the first round and after each, (T + 1, ...).
        conditions: of each round, (T, ...).
        allocations: what was decided, (T, ...).
        outcomes: what each round did, (T, ...).
        end_reason: index into END_REASONS.
    """

    scenario: StagedScenario
    states: State
    conditions: Conditions
    allocations: Allocation
    outcomes: Outcome
    end_reason: int

    @classmethod
    def of(cls, trajectory: Trajectory, episode: int = 0) -> Self:
        """Episode number `episode` of a batch, finished or not.

        Raises:
            InvalidInputError: the batch has no such episode.
        """
        batch_size = len(trajectory.final_state.round_index)
        if not 0 <= episode < batch_size:
            raise InvalidInputError(f"episode must be from 0 to {batch_size - 1}, got {episode}")
        num_rounds = int(np.sum(np.asarray(trajectory.outcomes.counted)[episode]))
        reasons = np.asarray(trajectory.outcomes.end_reason)[episode]
        reasons = reasons[reasons != RUNNING]
        conditions, allocations, outcomes = mapped(
            lambda array: np.asarray(array)[episode, :num_rounds],
            (trajectory.observed.conditions, trajectory.allocations, trajectory.outcomes),
        )

        def then(before: np.ndarray, last: np.ndarray) -> np.ndarray:
            return np.concatenate([np.asarray(before)[episode, :num_rounds], np.asarray(last)[episode : episode + 1]])

        return cls(
            scenario=StagedScenario.load(trajectory.scenario),
            states=mapped(then, trajectory.observed.state, trajectory.final_state),
            conditions=conditions,
            allocations=allocations,
            outcomes=outcomes,
            # A batch goes on until its last episode is over: only the first reason is this episode's own.
            end_reason=int(reasons[0]) if reasons.size else RUNNING,
        )

    @property
    def heading(self) -> str:
        """The scenario's name and size, in words."""
        num_devices = self.scenario.num_devices
        return f"{self.scenario.name}: {num_devices} device{'s' if num_devices > 1 else ''}"

    @property
    def num_rounds(self) -> int:
        """T = M + N."""
        return len(self.outcomes.counted)

    @property
    def num_pretrain_rounds(self) -> int:
        """M."""
        return int(self.states.bound_terms.num_pretrain_rounds[-1])

    @property
    def num_finetune_rounds(self) -> int:
        """N."""
        return int(self.states.bound_terms.num_finetune_rounds[-1])

    @property
    def objective(self) -> np.ndarray:
        """Psi before the first round and after each, (T + 1,); the last entry is Phi."""
        objective: np.ndarray = self.scenario.bound.value(self.states.bound_terms)
        return objective

    @property
    def device_finish_s(self) -> np.ndarray:
        """When each device had computed and uploaded, from the start of the round, s, 0 if silent, (T, K)."""
        devices = self.outcomes.devices
        finish_s: np.ndarray = devices.compute_s + devices.upload_s
        return finish_s

    @property
    def how_it_ended(self) -> str:
        """The end reason in words."""
        return _HOW_IT_ENDED[self.end_reason]
