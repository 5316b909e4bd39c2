"""What plays a scenario of two stages, in array operations of numpy or torch; each system adds its fine-tuning."""

import importlib
from functools import cached_property
from typing import Any

import numpy as np

from edgelearn_env.array_episodes import ArrayEpisodes
from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.model import Allocation, Codec, Column, Episodes, Outcome, State
from edgelearn_env.stages import encoding, records
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state, step
from edgelearn_env.stages.info import info
from edgelearn_env.stages.limits import checked_allocation
from edgelearn_env.stages.records import DeviceRound, FinetuneRound
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.law import LawState, TapeLaw, before_first_round, next_rounds
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.trajectory import Trajectory


class StagedModel:
    """All of `edgelearn_env.model.Model` but what a system's fine-tuning is, and where its episodes are drawn.

    Its records are those of `stages.records`; a system with more to say has its own, with the same fields first.

    Args:
        scenario: what is fixed.
        xp: library of the arrays.
        placement: may hold their `device=`.
    """

    minimised = Column("objective", "Φ", "bound on the mean squared gradient norm when the episode ends")

    columns: tuple[Column, ...] = (
        Column("num_pretrain_rounds", "M", "pre-training rounds"),
        Column("num_finetune_rounds", "N", "fine-tuning rounds"),
    )

    # Module that draws and writes episodes, loaded when one is looked at.
    rendering: str

    def __init__(self, scenario: StagedScenario, xp: Any = np, **placement: Any) -> None:
        self.scenario = scenario
        self.constants = constants_of(scenario, xp, **placement)
        # One of its arrays stands for their library, which could not be pickled.
        self._array = self.constants.battery_initial_j
        self._in_numpy = xp is np

    @cached_property
    def codec(self) -> Codec:
        """Between records and what an agent sees."""
        return encoding.Codec.of(self.scenario, namespace_of(self._array), device=self._array.device)

    @cached_property
    def law(self) -> TapeLaw:
        """The random law of tapes."""
        return TapeLaw.of(self.scenario, namespace_of(self._array), device=self._array.device)

    def episodes(self, num_episodes: int) -> Episodes:
        """B episodes to be played in lockstep."""
        return ArrayEpisodes(self, num_episodes)

    def initial_state(self, num_episodes: int) -> State:
        """B episodes before their first round."""
        return initial_state(self.constants, num_episodes)

    def no_round(self, state: State) -> tuple[Allocation, Outcome]:
        """What stands for the last round before there was one: nothing decided, nothing counted, Psi as it is."""
        xp = namespace_of(state.battery_j)
        one, each, no = xp.zeros_like(state.elapsed_s), xp.zeros_like(state.battery_j), xp.zeros_like(state.ended)
        decided = {"switch": no, "server_freq_hz": one, "server_batch": one}
        allocation = records.Allocation(**decided, freq_hz=each, power_w=each, batch=each)
        outcome = records.Outcome(
            counted=no,
            end_reason=xp.zeros_like(state.round_index),
            reward=one,
            objective=self.objective(state),
            duration_s=one,
            energy_j=one,
            server_j=one,
            devices=DeviceRound(each > 0, each, each, each, each),
        )
        return allocation, outcome

    def decode(self, action: Array) -> Allocation:
        """As `Codec.decode`, device by device in memory."""
        return self.codec.decode(np.asfortranarray(action) if self._in_numpy else action)

    def finetuning(self, state: State, conditions: Conditions, allocation: Allocation) -> FinetuneRound:
        """What the round would be if it were one of fine-tuning and no budget applied."""
        raise NotImplementedError

    def step(self, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
        """As `dynamics.step`."""
        return step(self.constants, state, conditions, allocation, self.finetuning(state, conditions, allocation))

    def encode(self, state: State, conditions: Conditions) -> Array:
        """As `Codec.encode`, row by row in memory."""
        observation = self.codec.encode(state, conditions)
        return np.ascontiguousarray(observation) if self._in_numpy else observation

    def checked_allocation(self, allocation: Allocation, num_episodes: int) -> Allocation:
        """As `limits.checked_allocation`."""
        return checked_allocation(self.scenario, allocation, num_episodes)

    def objective(self, state: State) -> Array:
        """Psi: the learning bound with what has happened so far, (B,)."""
        return self.constants.bound.value(state.bound_terms)

    def summary(self, state: State) -> dict[str, Array]:
        """M and N so far, (B,)."""
        return {column.name: getattr(state.bound_terms, column.name) for column in self.columns}

    def info(self, state: State, allocation: Allocation, outcome: Outcome) -> dict[str, Array]:
        """As `info.info`."""
        return info(state, allocation, outcome)

    def before_first_round(self, key: Array) -> LawState:
        """As `law.before_first_round`."""
        return before_first_round(self.law, key)

    def next_rounds(self, law_state: LawState, num_rounds: int) -> tuple[LawState, Conditions]:
        """As `law.next_rounds`."""
        return next_rounds(self.law, law_state, num_rounds)

    def frame(self, trajectory: Trajectory, episode: int, *, as_text: bool) -> np.ndarray | str:
        """One episode as `rendering` draws or writes it."""
        drawing = importlib.import_module(self.rendering)
        frame: np.ndarray | str = (drawing.ansi if as_text else drawing.rgb_array)(trajectory, episode)
        return frame

    def figure(self, trajectory: Trajectory, episode: int, title: str) -> Any:
        """One episode as `rendering.episode_figure` draws it."""
        return importlib.import_module(self.rendering).episode_figure(trajectory, episode, title)
