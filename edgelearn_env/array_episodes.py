"""Episodes in lockstep, played by a model's own arrays: what serves every system, and every loop is measured by."""

from typing import Any

import numpy as np

from edgelearn_env.arrays.records import Record, mapped, write_rows
from edgelearn_env.model import Allocation, Model, Observed, Outcome
from edgelearn_env.tapes.reader import TapeReader
from edgelearn_env.tapes.tape import Conditions, Tape


class ArrayEpisodes:
    """`edgelearn_env.model.Episodes` of any model in numpy's arrays."""

    def __init__(self, model: Model, num_episodes: int) -> None:
        self._model = model
        first = model.initial_state(1)
        self._beginning = (first, *model.no_round(first))
        self._state, self._allocation, self._outcome = _repeated(self._beginning, num_episodes)
        self._tapes = TapeReader(model, num_episodes)

    @property
    def ended(self) -> np.ndarray:
        """Whether each episode is over, (B,)."""
        ended: np.ndarray = self._state.ended
        return ended

    @property
    def reward(self) -> np.ndarray:
        """Of the last round, (B,)."""
        reward: np.ndarray = self._outcome.reward
        return reward

    def begin(self, rows: np.ndarray, seed: np.ndarray, episode: np.ndarray) -> None:
        """Begin an episode at these indices, on `sample_tape(scenario, seed, episode)`, each (R,)."""
        self._tapes.begin(rows, seed, episode)
        write_rows((self._state, self._allocation, self._outcome), rows, self._beginning)

    def begin_given(self, rows: np.ndarray, tape: Tape) -> None:
        """Begin an episode at these indices on a tape for all, (T, K), or on theirs of a batch, (B, T, K)."""
        self._tapes.begin_given(rows, tape)
        write_rows((self._state, self._allocation, self._outcome), rows, self._beginning)

    def play(self, action: np.ndarray) -> None:
        """Do one round in every episode; actions are finite, (B, action_size)."""
        self._allocation = self._model.decode(action)
        self._state, self._outcome = self._model.step(self._state, self._tapes.conditions, self._allocation)
        self._tapes.advance(self._state.ended)

    def observation(self, rows: np.ndarray | None = None) -> np.ndarray:
        """What is observed now, in all episodes or in those at `rows`, (R, observation_size)."""
        seen = (self._state, self._tapes.conditions)
        if rows is not None:
            # Taken out of transposed arrays, so that devices stay the slower axis in memory.
            seen = mapped(lambda array: array.T[..., rows].T, seen)
        observation: np.ndarray = self._model.encode(*seen)
        return observation

    def info(self, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The last round item by item, in all episodes or in those at `rows`, (R,) or (R, K)."""
        taken = slice(None) if rows is None else rows
        items = self._model.info(self._state, self._allocation, self._outcome)
        return {name: np.array(item[taken]) for name, item in items.items()}

    def only_info(self) -> dict[str, Any]:
        """The same of the only episode, in plain numbers, and arrays (K,)."""
        items = self._model.info(self._state, self._allocation, self._outcome)
        return {name: item[0].copy() if item.ndim > 1 else item.item() for name, item in items.items()}

    def records(self) -> tuple[Observed, Allocation, Outcome]:
        """What is observed now, what was decided last and what it did; of arrays that no later call writes to."""
        conditions: Conditions = self._tapes.conditions.seen
        records: tuple[Observed, Allocation, Outcome] = (
            Observed(self._state, conditions),
            self._allocation,
            self._outcome,
        )
        return mapped(np.copy, records)


def _repeated(record: Record, count: int) -> Record:
    """A record of (1, ...) arrays as one of (count, ...) arrays of their own, device by device in memory."""
    return mapped(lambda array: np.asfortranarray(np.repeat(array, count, axis=0)), record)
