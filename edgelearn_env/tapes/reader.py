"""What the tapes of a batch bring, round by round, drawn only as far as the episodes get."""

from typing import Protocol, runtime_checkable

import numpy as np

from edgelearn_env.arrays.records import arrays_of, mapped
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.law import Conditions, LawState
from edgelearn_env.tapes.tape import Tape


@runtime_checkable
class LawOfTapes(Protocol):
    """What a reader is given: the law of a scenario's tapes; see `law` for both functions."""

    @property
    def scenario(self) -> Scenario:
        """Whose tapes they are."""

    def before_first_round(self, key: np.ndarray) -> LawState:
        """Where the law begins, for the random streams of B episodes."""

    def next_rounds(self, law_state: LawState, num_rounds: int) -> tuple[LawState, Conditions]:
        """What the next R rounds bring, arrays (R, K, B)."""


class TapeReader:
    """Reads B tapes side by side: drawn ones, exactly as `sample_tape` draws them, and given ones.

    Rounds are drawn in blocks for all episodes together: long ones for few episodes, where each call costs more than
    its numbers, single rounds for many.

    Attributes:
        conditions: of the round that is read now, (B, K), laid out device by device.
    """

    conditions: Conditions

    def __init__(self, law: LawOfTapes, num_episodes: int) -> None:
        self._law = law
        self._horizon = law.scenario.budgets.max_rounds
        self._length = int(np.clip(_NUMBERS_IN_A_BLOCK // num_episodes, 1, _LONGEST_BLOCK))
        # What this draws is overwritten before it is read; it has the shapes.
        self._law_state, self._block = law.next_rounds(
            law.before_first_round(np.zeros(num_episodes, dtype=np.int64)), self._length
        )
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
        beginning = self._law.before_first_round(stream_keys(seed, episode))
        law_state, rounds = self._law.next_rounds(beginning, self._length - self._position)
        self._is_given[rows] = False
        for array, values in zip(arrays_of(self._law_state), arrays_of(law_state), strict=True):
            array[..., rows] = values
        for array, values in zip(arrays_of(self._block), arrays_of(rounds), strict=True):
            array[self._position :, :, rows] = values
        self._show()

    def begin_given(self, rows: np.ndarray, tape: Tape) -> None:
        """Go to the first round of a tape for all, (T, K), or of those in `rows` of a batch, (B, T, K)."""
        if self._given is None:
            self._given = mapped(lambda array: np.zeros((len(self._is_given), *array.shape[-2:])), tape)
        for array, given in zip(arrays_of(self._given), arrays_of(tape), strict=True):
            array[rows] = np.broadcast_to(given, array.shape)[rows]
        self._is_given[rows] = True
        self._law_state.round_index[rows] = self._length - self._position
        self._copy_given(rows, self._position)
        self._show()

    def advance(self, standing: np.ndarray) -> None:
        """Go to the next round, except where an episode stands still, (B,)."""
        before = self.conditions
        self._position += 1
        if self._position == self._length:
            self._law_state, self._block = self._law.next_rounds(self._law_state, self._length)
            self._position = 0
            self._copy_given(np.flatnonzero(self._is_given), 0)
        if standing.any():
            for array, last in zip(arrays_of(self._block), arrays_of(before), strict=True):
                array[self._position][:, standing] = last.T[:, standing]
        self._show()

    def _copy_given(self, rows: np.ndarray, position: int) -> None:
        """Write given tapes over what was drawn for these episodes, from `position` to the end of the block."""
        if self._given is None:
            return
        ahead = np.arange(position, self._length) - self._length
        index = np.minimum(self._law_state.round_index[rows] + ahead[:, None], self._horizon - 1)
        for array, given in zip(arrays_of(self._block), arrays_of(self._given), strict=True):
            array[position:, :, rows] = given[rows, index].transpose(0, 2, 1)

    def _show(self) -> None:
        self.conditions = mapped(lambda array: array[self._position].T, self._block)


_NUMBERS_IN_A_BLOCK, _LONGEST_BLOCK = 256, 16
