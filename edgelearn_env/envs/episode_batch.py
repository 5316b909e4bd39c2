"""Episodes in lockstep: what the single and the vector environment share, so that they cannot differ."""

from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from edgelearn_env.arrays.kept_memory import keep_freed_memory
from edgelearn_env.arrays.records import Record, mapped
from edgelearn_env.model import Model
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import Round, Trajectory

_NO_SEED = -1


class EpisodeBatch:
    """B episodes of one model, each on a tape of its own; an environment dresses it in Gymnasium's conventions.

    Attributes:
        model: what is played.
        started: whether there are episodes to play.
    """

    def __init__(self, model: Model, num_episodes: int, *, recording: bool = False) -> None:
        keep_freed_memory()
        self.model = model
        self.started = False
        self._episodes = model.episodes(num_episodes)
        self._seed = np.full(num_episodes, _NO_SEED)
        self._next_episode = np.zeros(num_episodes, dtype=np.int64)
        self._tape_seed, self._tape_episode = self._seed.copy(), self._seed.copy()
        self._recorded: list[list[Round]] | None = [[] for _ in range(num_episodes)] if recording else None

    @property
    def ended(self) -> np.ndarray:
        """Whether each episode is over, (B,); the next call may write to it."""
        return self._episodes.ended

    @property
    def reward(self) -> np.ndarray:
        """Of the last round, (B,); likewise."""
        return self._episodes.reward

    def require_started(self, call: str) -> None:
        """Raise ResetNeeded before the first reset, naming the `call` that came too early."""
        if not self.started:
            raise ResetNeeded(f"there is no episode yet: call reset() before {call}")

    def seed(self, mask: np.ndarray, seeds: np.ndarray, rng: np.random.Generator) -> None:
        """Name the sequences of tapes to play from now on.

        Args:
            mask: whom it concerns, (B,) booleans.
            seeds: the seed of each sequence, played from its beginning; negative to go on with the present one, (B,).
            rng: draws a seed for those that never had one.
        """
        given, never = mask & (seeds >= 0), mask & (seeds < 0) & (self._seed < 0)
        self._seed[given] = seeds[given]
        self._next_episode[given] = 0
        self._seed[never] = rng.integers(2**63, size=np.count_nonzero(never))

    def reset(self, rows: np.ndarray, tape: Tape | None = None) -> None:
        """Begin a new episode at these indices, (R,): on `tape` if one is given, else on the next of the seed."""
        if tape is None:
            seed, episode = self._seed[rows], self._next_episode[rows]
            self._tape_seed[rows], self._tape_episode[rows] = seed, episode
            self._next_episode[rows] += 1
            self._episodes.begin(rows, seed, episode)
        else:
            self._tape_seed[rows], self._tape_episode[rows] = _NO_SEED, _NO_SEED
            self._episodes.begin_given(rows, tape)
        self.started = True
        if self._recorded is not None:
            for index in rows:
                self._recorded[index] = []

    def play_round(self, action: np.ndarray) -> None:
        """Do one round; an episode that has ended stays as it is.

        Args:
            action: as `Codec.decode` takes it, finite, (B, action_size).
        """
        if self._recorded is None:
            self._episodes.play(action)
            return
        observed, _, _ = self._episodes.records()
        self._episodes.play(action)
        _, allocation, outcome = self._episodes.records()
        for index, rounds in enumerate(self._recorded):
            rounds.append(_row((observed, allocation, outcome), index))

    def observation(self, rows: np.ndarray | None = None) -> np.ndarray:
        """What is observed now, in all episodes or in those at `rows`: an array of its own, (B, observation_size)."""
        return self._episodes.observation(rows)

    def info(self, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The last round item by item, and which tapes are played; arrays of their own, (B,) or (B, K)."""
        seed, episode = self._tape_seed, self._tape_episode
        named = (seed.copy(), episode.copy()) if rows is None else (seed[rows], episode[rows])
        return self._episodes.info(rows) | dict(zip(("tape_seed", "tape_episode"), named, strict=True))

    def only_info(self) -> dict[str, Any]:
        """The same of the only episode, in plain numbers, and arrays (K,)."""
        info = self._episodes.only_info()
        info["tape_seed"], info["tape_episode"] = self._tape_seed.item(), self._tape_episode.item()
        return info

    def tapes(self) -> tuple[np.ndarray, np.ndarray]:
        """Seeds and episode numbers of the tapes that are played, copies, (B,)."""
        return self._tape_seed.copy(), self._tape_episode.copy()

    def frame(self, index: int, *, as_text: bool) -> np.ndarray | str:
        """One episode as far as it was played, as an image or as text; needs `recording=True`."""
        return self.model.frame(self._trajectory(index), 0, as_text=as_text)

    def _trajectory(self, index: int) -> Trajectory:
        if self._recorded is None:
            raise RuntimeError("rounds are only recorded if recording=True")
        observed, _, _ = self._episodes.records()
        return Trajectory.of_rounds(self.model.scenario, self._recorded[index], _row(observed.state, index))


def _row(record: Record, index: int) -> Record:
    """One row of a record of (B, ...) arrays, as (1, ...) arrays."""
    return mapped(lambda array: array[index : index + 1], record)
