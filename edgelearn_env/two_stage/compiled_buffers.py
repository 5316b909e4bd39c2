"""Where compiled episodes keep what they know: numbers of blocks of episodes, side by side in memory.

A block holds some tens of episodes, `lanes`, so that all that a round reads and writes of them stays in a fast cache.
Flags and counts are float64 like all else, 0.0 and 1.0, and become what they are in records.
"""

from typing import NamedTuple

import numpy as np

from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.stages.records import Allocation, DeviceRound, Outcome, State
from edgelearn_env.tapes.tape import Conditions

# What is kept of each episode, in the order in which it lies in memory: state, decision of the server, outcome.
(
    ROUND_INDEX,
    FINETUNING,
    ENDED,
    ELAPSED_S,
    SPENT_J,
    PRETRAIN_ROUNDS,
    FINETUNE_ROUNDS,
    PRETRAIN_TERM,
    FINETUNE_TERM,
    PARTICIPATION,
    LOG_PSI,
    SWITCH,
    SERVER_FREQ_HZ,
    SERVER_BATCH,
    COUNTED,
    END_REASON,
    REWARD,
    OBJECTIVE,
    DURATION_S,
    ENERGY_J,
    SERVER_J,
    IS_GIVEN,
) = range(22)
NUM_OF_EPISODE = IS_GIVEN + 1

# The same of each device: state, decision, outcome; then, of no concern to `info`, conditions, and where the law of its
# tape stands.
(
    BATTERY_J,
    FREQ_HZ,
    POWER_W,
    BATCH,
    PARTICIPATES,
    COMPUTE_S,
    UPLOAD_S,
    COMPUTE_J,
    UPLOAD_J,
    CHANNEL_GAIN,
    HARVEST_W,
    REAL,
    IMAGINARY,
    ON,
    SHADOWED_GAIN,
) = range(15)
NUM_OF_DEVICE = SHADOWED_GAIN + 1

MOST_LANES = 64


class Buffers(NamedTuple):
    """What is known of B episodes, in blocks; lanes beyond the last episode hold copies that nobody reads.

    Attributes:
        of_episode: (blocks, NUM_OF_EPISODE, lanes).
        of_device: (blocks, NUM_OF_DEVICE, K, lanes).
        key: random stream of each tape, (blocks, lanes) integers.
    """

    of_episode: np.ndarray
    of_device: np.ndarray
    key: np.ndarray

    @classmethod
    def of(cls, num_episodes: int, num_devices: int) -> "Buffers":
        """Of that many episodes, all numbers 0."""
        lanes = min(num_episodes, MOST_LANES)
        blocks = -(-num_episodes // lanes)
        return cls(
            np.zeros((blocks, NUM_OF_EPISODE, lanes)),
            np.zeros((blocks, NUM_OF_DEVICE, num_devices, lanes)),
            np.zeros((blocks, lanes), dtype=np.int64),
        )

    def conditions(self, num_episodes: int) -> Conditions:
        """Of the round to come, in arrays that are nobody else's."""
        return Conditions(*self._of_devices(slice(CHANNEL_GAIN, HARVEST_W + 1), num_episodes))

    def played(self, num_episodes: int, rows: np.ndarray | None = None) -> tuple[State, Allocation, Outcome]:
        """Where the episodes stand, or those at `rows`, what was decided last and what it did; likewise."""
        if rows is None:
            one = self.of_episode.transpose(1, 0, 2).copy().reshape(NUM_OF_EPISODE, -1)[:, :num_episodes]
            each = self._of_devices(slice(CHANNEL_GAIN), num_episodes)
        else:
            block, lane = np.divmod(rows, self.key.shape[1])
            one = np.ascontiguousarray(self.of_episode[block, :, lane].T)
            each = np.ascontiguousarray(self.of_device[block, :CHANNEL_GAIN, :, lane].transpose(1, 0, 2))
        state = State(
            round_index=one[ROUND_INDEX].astype(np.int64),
            finetuning=one[FINETUNING] > 0,
            ended=one[ENDED] > 0,
            elapsed_s=one[ELAPSED_S],
            spent_j=one[SPENT_J],
            battery_j=each[BATTERY_J],
            bound_terms=BoundTerms(*one[PRETRAIN_ROUNDS : PARTICIPATION + 1]),
        )
        allocation = Allocation(one[SWITCH] > 0, one[SERVER_FREQ_HZ], one[SERVER_BATCH], *each[FREQ_HZ : BATCH + 1])
        outcome = Outcome(
            counted=one[COUNTED] > 0,
            end_reason=one[END_REASON].astype(np.int64),
            reward=one[REWARD],
            objective=one[OBJECTIVE],
            duration_s=one[DURATION_S],
            energy_j=one[ENERGY_J],
            server_j=one[SERVER_J],
            devices=DeviceRound(each[PARTICIPATES] > 0, *each[COMPUTE_S : UPLOAD_J + 1]),
        )
        return state, allocation, outcome

    def _of_devices(self, some: slice, num_episodes: int) -> np.ndarray:
        """Some fields of devices, each (B, K), device by device in memory."""
        fields = self.of_device[:, some]
        by_device = fields.transpose(1, 2, 0, 3).copy().reshape(*fields.shape[1:3], -1)
        return by_device[:, :, :num_episodes].transpose(0, 2, 1)
