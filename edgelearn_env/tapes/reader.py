"""What the tapes of a batch bring, round by round, drawn only as far as the episodes get."""

import numpy as np

from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.law import LawState
from edgelearn_env.tapes.tape import Conditions, Tape
from edgelearn_env.two_stage.kernels import Kernel


class TapeReader:
    """Reads B tapes side by side: drawn ones, exactly as `sample_tape` draws them, and given ones.

    Rounds are drawn in blocks for all episodes together: long ones for few episodes, where each call costs more than
    its numbers, single rounds for many.

    Attributes:
        conditions: of the round that is read now, (B, K), laid out device by device.
    """

    conditions: Conditions

    def __init__(self, kernel: Kernel, num_episodes: int) -> None:
        self._kernel = kernel
        self._horizon = kernel.scenario.budgets.max_rounds
        self._length = int(np.clip(_NUMBERS_IN_A_BLOCK // num_episodes, 1, _LONGEST_BLOCK))
        shape = (kernel.scenario.num_devices, num_episodes)
        self._law_state = LawState(
            key=np.zeros(num_episodes, dtype=np.int64),
            round_index=np.zeros(num_episodes, dtype=np.int64),
            fading=np.zeros((2, *shape)),
            on=np.zeros(shape),
            gain=np.zeros(shape),
        )
        self._gain = np.zeros((self._length, *shape))
        self._harvest_w = np.zeros((self._length, *shape))
        self._position = 0
        self._is_given = np.zeros(num_episodes, dtype=bool)
        self._given: Tape | None = None
        self._show()

    def begin(self, rows: np.ndarray, seed: np.ndarray, episode: np.ndarray) -> None:
        """Go to the first round of `sample_tape(scenario, seed, episode)`.

        Args:
            rows: whose tape it is, indices, (R,).
            seed, episode: which tapes, (R,).
        """
        law_state = self._kernel.before_first_round(stream_keys(seed, episode))
        self._is_given[rows] = False
        self._write(rows, *self._kernel.next_rounds(law_state, self._length - self._position))
        self._show()

    def begin_given(self, rows: np.ndarray, tape: Tape) -> None:
        """Go to the first round of a tape for all, (T, K), or of those in `rows` of a batch, (B, T, K)."""
        shape = (len(self._is_given), *tape.channel_gain.shape[-2:])
        if self._given is None:
            self._given = Tape(np.zeros(shape), np.zeros(shape))
        for array, given in zip(self._given, tape, strict=True):
            array[rows] = np.broadcast_to(given, shape)[rows]
        self._is_given[rows] = True
        self._law_state.round_index[rows] = self._length - self._position
        self._copy_given(self._position)
        self._show()

    def advance(self, standing: np.ndarray) -> None:
        """Go to the next round, except where an episode stands still, (B,)."""
        before = self.conditions
        self._position += 1
        if self._position == self._length:
            self._law_state, self._gain, self._harvest_w = self._kernel.next_rounds(self._law_state, self._length)
            self._position = 0
            self._copy_given(0)
        if standing.any():
            self._gain[self._position][:, standing] = before.channel_gain.T[:, standing]
            self._harvest_w[self._position][:, standing] = before.harvest_w.T[:, standing]
        self._show()

    def _write(self, rows: np.ndarray, law_state: LawState, gain: np.ndarray, harvest_w: np.ndarray) -> None:
        for array, values in zip(self._law_state, law_state, strict=True):
            array[..., rows] = values
        self._gain[self._position :, :, rows] = gain
        self._harvest_w[self._position :, :, rows] = harvest_w

    def _copy_given(self, position: int) -> None:
        """Write given tapes over what was drawn for their episodes, from `position` to the end of the block."""
        if self._given is None:
            return
        rows = np.flatnonzero(self._is_given)
        ahead = np.arange(position, self._length) - self._length
        index = np.minimum(self._law_state.round_index[rows] + ahead[:, None], self._horizon - 1)
        for block, given in zip((self._gain, self._harvest_w), self._given, strict=True):
            block[position:, :, rows] = given[rows, index].transpose(0, 2, 1)

    def _show(self) -> None:
        self.conditions = Conditions(self._gain[self._position].T, self._harvest_w[self._position].T)


_NUMBERS_IN_A_BLOCK, _LONGEST_BLOCK = 256, 16
