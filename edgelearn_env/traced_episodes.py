"""Episodes in lockstep, played from a list of what a model's array code does: its numbers, without its calls."""

from typing import Any

import numpy as np

from edgelearn_env.arrays.records import arrays_of, mapped
from edgelearn_env.arrays.threads import in_parts
from edgelearn_env.arrays.traced.compiled_interpreter import LOOPS, begin, play
from edgelearn_env.model import Allocation, Model, Observed, Outcome
from edgelearn_env.model_programs import ModelPrograms
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.tape import Tape

# Of a block of episodes, whose registers are to stay in a fast cache; and blocks done before a second thread has begun.
_MOST_LANES, _BLOCKS_OF_A_THREAD = 64, 4


class TracedEpisodes:
    """`edgelearn_env.model.Episodes` of a model; its class is called once, with arrays that note what is done to them.

    Attributes:
        ended: whether each episode is over, (B,).
        reward: of the last round, (B,).
    """

    def __init__(self, model: Model, num_episodes: int) -> None:
        self._num_episodes = num_episodes
        self._programs = programs = ModelPrograms.of(model)
        num_blocks = -(-num_episodes // _MOST_LANES)
        lanes = -(-num_episodes // num_blocks)
        self._kept = np.zeros((num_blocks, programs.num_kept, lanes), dtype=np.int64)
        # What tapes of the caller's say, once there is one.
        self._given = np.zeros((0, 0, 0))
        self._observed = np.zeros((num_episodes, model.codec.observation_size), dtype=np.float32)
        self.ended, self.reward = np.zeros(num_episodes, dtype=bool), np.zeros(num_episodes)
        every_lane = np.arange(len(self._kept) * lanes)
        self._begin(every_lane, np.zeros_like(every_lane), is_given=False)

    def begin(self, rows: np.ndarray, seed: np.ndarray, episode: np.ndarray) -> None:
        """Begin an episode at these indices, on `sample_tape(scenario, seed, episode)`, each (R,)."""
        self._begin(rows, stream_keys(seed, episode), is_given=False)

    def begin_given(self, rows: np.ndarray, tape: Tape) -> None:
        """Begin an episode at these indices on a tape for all, (T, K), or on theirs of a batch, (B, T, K)."""
        said = np.concatenate([np.asarray(array, dtype=float) for array in arrays_of(tape)], axis=-1)
        shape = (self._num_episodes, *said.shape[-2:])
        if not self._given.size:
            self._given = np.zeros(shape)
        self._given[rows] = np.broadcast_to(said, shape)[rows]
        self._begin(rows, np.zeros(len(rows), dtype=np.int64), is_given=True)

    def play(self, action: np.ndarray) -> None:
        """Do one round in every episode; actions are finite, (B, action_size)."""
        shared = (
            *self._programs.round,
            LOOPS,
            self._programs.marks,
            self._kept,
            self._given,
            np.ascontiguousarray(action),
            self._observed,
            self.reward,
            self.ended,
        )
        in_parts(lambda first, last: play(first, last, *shared), len(self._kept), _BLOCKS_OF_A_THREAD)

    def observation(self, rows: np.ndarray | None = None) -> np.ndarray:
        """What is observed now, in all episodes or in those at `rows`, (R, observation_size)."""
        return self._observed.copy() if rows is None else self._observed[rows]

    def info(self, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The last round item by item, in all episodes or in those at `rows`, (R,) or (R, K)."""
        kept = self._kept_of(rows)
        return {name: place.of_many(*kept) for name, place in self._programs.info.items()}

    def only_info(self) -> dict[str, Any]:
        """The same of the only episode, in plain numbers, and arrays (K,)."""
        bits = self._kept[0, :, 0]
        values = {"f": bits.view(np.float64), "i": bits, "b": bits != 0}
        return {name: place.of_one(values[place.dtype.kind]) for name, place in self._programs.info.items()}

    def records(self) -> tuple[Observed, Allocation, Outcome]:
        """What is observed now, what was decided last and what it did; arrays of their own."""
        kept = self._kept_of(None)
        state, conditions, allocation, outcome = mapped(lambda place: place.of_many(*kept), self._programs.records)
        return Observed(state, conditions.seen), allocation, outcome

    def _kept_of(self, rows: np.ndarray | None) -> tuple[np.ndarray, int]:
        """What is kept of all episodes, (num_kept, blocks, lanes), or of those at `rows`, (num_kept, R); how many."""
        if rows is None:
            return self._kept.transpose(1, 0, 2), self._num_episodes
        block, lane = np.divmod(rows, self._kept.shape[2])
        return self._kept[block, :, lane].T, len(rows)

    def _begin(self, rows: np.ndarray, keys: np.ndarray, *, is_given: bool) -> None:
        known = rows[rows < self._num_episodes]
        self.ended[known], self.reward[known] = False, 0.0
        begin(*self._programs.beginning, LOOPS, self._kept, self._given, rows, keys, is_given, self._observed)
