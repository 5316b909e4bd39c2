"""Episodes of two-stage edge learning as compiled loops play them: the numbers of array code, sooner."""

from typing import Any

import numpy as np

from edgelearn_env.arrays.threads import in_parts
from edgelearn_env.model import Allocation, Observed, Outcome
from edgelearn_env.stages.bounds import QuotientBound
from edgelearn_env.stages.encoding import Codec
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.two_stage.array_kernel import ArrayModel
from edgelearn_env.two_stage.compiled_buffers import (
    CHANNEL_GAIN,
    COUNTED,
    DURATION_S,
    ELAPSED_S,
    END_REASON,
    ENERGY_J,
    FINETUNE_ROUNDS,
    FINETUNING,
    OBJECTIVE,
    PARTICIPATION,
    PRETRAIN_ROUNDS,
    SERVER_BATCH,
    SERVER_FREQ_HZ,
    SERVER_J,
    SPENT_J,
    Buffers,
)
from edgelearn_env.two_stage.compiled_constants import devices_of, numbers_of
from edgelearn_env.two_stage.compiled_round import LOOPS, begin, play

# Fewer are done before a second thread has begun.
_BLOCKS_OF_A_THREAD = 8


class CompiledEpisodes:
    """`edgelearn_env.model.Episodes` of a two-stage model whose bound is a `QuotientBound`.

    Attributes:
        ended: whether each episode is over, (B,).
        reward: of the last round, (B,).
    """

    def __init__(self, model: ArrayModel, num_episodes: int) -> None:
        self._model, self._num_episodes = model, num_episodes
        scenario, codec, bound = model.scenario, Codec.of(model.scenario), model.constants.bound
        assert isinstance(bound, QuotientBound)
        self._constants = (
            numbers_of(model.constants, codec, model.law, bound.coefficients),
            devices_of(model.constants, codec, model.law),
        )
        self._buffers = Buffers.of(num_episodes, scenario.num_devices)
        # Gains and harvests of tapes of the caller's, once there is one.
        self._given = np.empty((2, 0, 0, 0))
        self._observed = np.zeros((num_episodes, codec.observation_size), dtype=np.float32)
        self.ended, self.reward = np.zeros(num_episodes, dtype=bool), np.zeros(num_episodes)
        every_lane = np.arange(self._buffers.key.size)
        self._begin(every_lane, np.zeros_like(every_lane), is_given=False)

    def begin(self, rows: np.ndarray, seed: np.ndarray, episode: np.ndarray) -> None:
        """Begin an episode at these indices, on `sample_tape(scenario, seed, episode)`, each (R,)."""
        self._begin(rows, stream_keys(seed, episode), is_given=False)

    def begin_given(self, rows: np.ndarray, tape: Tape) -> None:
        """Begin an episode at these indices on a tape for all, (T, K), or on theirs of a batch, (B, T, K)."""
        shape = (self._num_episodes, *tape.channel_gain.shape[-2:])
        if not self._given.size:
            self._given = np.zeros((2, *shape))
        for array, given in zip(self._given, (tape.channel_gain, tape.harvest_w), strict=True):
            array[rows] = np.broadcast_to(given, shape)[rows]
        self._begin(rows, np.zeros(len(rows), dtype=np.int64), is_given=True)

    def play(self, action: np.ndarray) -> None:
        """Do one round in every episode; actions are finite, (B, action_size)."""
        action = np.ascontiguousarray(action)
        results = (self._observed, self.reward, self.ended)
        shared = (*self._constants, LOOPS, *self._buffers, self._given, action, *results)
        in_parts(lambda first, last: play(first, last, *shared), len(self._buffers.key), _BLOCKS_OF_A_THREAD)

    def observation(self, rows: np.ndarray | None = None) -> np.ndarray:
        """What is observed now, in all episodes or in those at `rows`, (R, observation_size)."""
        return self._observed.copy() if rows is None else self._observed[rows]

    def info(self, rows: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The last round item by item, in all episodes or in those at `rows`, (R,) or (R, K)."""
        return self._model.info(*self._buffers.played(self._num_episodes, rows))

    def only_info(self) -> dict[str, Any]:
        """The same of the only episode, in plain numbers, and arrays (K,)."""
        one, each = self._buffers.of_episode[0, :, 0].tolist(), self._buffers.of_device[0, :CHANNEL_GAIN, :, 0].copy()
        battery_j, freq_hz, power_w, batch, participates, compute_s, upload_s, compute_j, upload_j = each
        return {
            "objective": one[OBJECTIVE],
            "counted": one[COUNTED] > 0,
            "end_reason": int(one[END_REASON]),
            "finetuning": one[FINETUNING] > 0,
            "num_pretrain_rounds": int(one[PRETRAIN_ROUNDS]),
            "num_finetune_rounds": int(one[FINETUNE_ROUNDS]),
            "participation": one[PARTICIPATION],
            "elapsed_s": one[ELAPSED_S],
            "spent_j": one[SPENT_J],
            "battery_j": battery_j,
            "duration_s": one[DURATION_S],
            "energy_j": one[ENERGY_J],
            "server_j": one[SERVER_J],
            "participates": participates > 0,
            "compute_s": compute_s,
            "upload_s": upload_s,
            "compute_j": compute_j,
            "upload_j": upload_j,
            "server_freq_hz": one[SERVER_FREQ_HZ],
            "server_batch": one[SERVER_BATCH],
            "freq_hz": freq_hz,
            "power_w": power_w,
            "batch": batch,
        }

    def records(self) -> tuple[Observed, Allocation, Outcome]:
        """What is observed now, what was decided last and what it did; arrays of their own."""
        state, allocation, outcome = self._buffers.played(self._num_episodes)
        return Observed(state, self._buffers.conditions(self._num_episodes)), allocation, outcome

    def _begin(self, rows: np.ndarray, keys: np.ndarray, *, is_given: bool) -> None:
        known = rows[rows < self._num_episodes]
        self.ended[known], self.reward[known] = False, 0.0
        begin(*self._constants, LOOPS, *self._buffers, self._given, rows, keys, is_given, self._observed)
