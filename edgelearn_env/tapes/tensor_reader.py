"""What the tapes of a batch bring, round by round, as tensors: drawn where they are used, and never waited for."""

from typing import Any

import numpy as np
import torch

from edgelearn_env.arrays.records import mapped
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.law import Conditions
from edgelearn_env.tapes.reader import LawOfTapes
from edgelearn_env.tapes.tape import Tape

_NO_SEED = -1

# Stands for no gain at all. No budget or battery can pay for that upload either, but its derivatives are finite.
_LEAST_GAIN = 1e-100


class TensorTapes:
    """Reads B tapes side by side: drawn ones, as `sample_tape` draws them, and given ones.

    Whatever differs between episodes is chosen element by element, so that nothing has to be known on the host.

    Attributes:
        conditions: of the round that is read now, (B, K), laid out device by device.
    """

    conditions: Conditions

    def __init__(self, law: LawOfTapes, num_episodes: int, device: Any) -> None:
        self._law, self._device = law, device
        self._last_round = law.scenario.budgets.max_rounds - 1
        # Known on the host, where new ones come from, and on the device, where tapes are drawn.
        self._seeds = np.full(num_episodes, _NO_SEED)
        self._key_seed = torch.full((num_episodes,), _NO_SEED, device=device)
        self._episode = torch.full((num_episodes,), _NO_SEED, device=device)
        self._is_given = torch.zeros(num_episodes, dtype=torch.bool, device=device)
        self._given: Conditions | None = None

    @property
    def seed(self) -> torch.Tensor:
        """`sample_tape`'s seed of each tape, (B,); -1 for a given one."""
        return self._unless_given(self._key_seed)

    @property
    def episode(self) -> torch.Tensor:
        """`sample_tape`'s episode of each tape, (B,); -1 for a given one."""
        return self._unless_given(self._episode)

    def name_sequences(self, seeds: np.ndarray) -> None:
        """Say which sequences of tapes to play from now on.

        Args:
            seeds: of each sequence, played from its beginning; negative to go on with the present one, which is drawn
                where there is none, (B,).
        """
        drawn = np.random.default_rng().integers(2**63, size=len(seeds))
        chosen = np.where(seeds >= 0, seeds, np.where(self._seeds >= 0, self._seeds, drawn))
        goes_on = torch.asarray((seeds < 0) & (self._seeds >= 0), device=self._device)
        self._seeds = chosen
        self._key_seed = torch.asarray(chosen, device=self._device)
        self._episode = torch.where(goes_on, self._episode, _NO_SEED)

    def begin(self, tape: Tape | None = None) -> None:
        """Go to the first round of the next tape of each sequence, or of a given tape, (T, K), or tapes, (B, T, K)."""
        self._given = None
        if tape is not None:
            self._take(tape)
        else:
            self._episode = self._episode + 1
        self._law_state = self._law.before_first_round(stream_keys(self._key_seed, self._episode))
        self._read(torch.zeros_like(self._episode))

    def advance(self, round_index: torch.Tensor, ended: torch.Tensor, *, begin_next: bool) -> None:
        """Go to the next round, and where an episode has ended to the next tape of its sequence, or nowhere.

        Args:
            round_index: t of the round to go to, (B,).
            ended: whether an episode is over, (B,).
            begin_next: whether the next one begins there; else it stands still.
        """
        before = self.conditions
        if begin_next:
            self._restart(ended)
        self._read(round_index)
        if not begin_next:
            standing = ended[:, None]
            self.conditions = mapped(lambda old, new: torch.where(standing, old, new), before, self.conditions)

    def _restart(self, ended: torch.Tensor) -> None:
        self._episode = self._episode + ended
        first = self._law.before_first_round(stream_keys(self._key_seed, self._episode))
        self._law_state = mapped(lambda new, old: torch.where(ended, new, old), first, self._law_state)
        if self._given is not None:
            self._is_given = self._is_given & ~ended

    def _read(self, round_index: torch.Tensor) -> None:
        self._law_state, drawn = self._law.next_rounds(self._law_state, 1)
        rounds = mapped(lambda array: array[0], drawn)
        if self._given is not None:
            index = torch.clamp(round_index, max=self._last_round)
            rounds = mapped(lambda given, new: self._unless_drawn(given, index, new), self._given, rounds)
        self.conditions = mapped(lambda array: array.T, rounds)

    def _unless_drawn(self, given: torch.Tensor, index: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """That round of a given array, (T, K, B), where there is one, else what was drawn, (K, B)."""
        return torch.where(self._is_given, given.gather(0, index.expand(1, *drawn.shape))[0], drawn)

    def _take(self, tape: Tape) -> None:
        num_episodes = len(self._seeds)

        def episodes_last(array: np.ndarray) -> torch.Tensor:
            alone = torch.tensor(array, device=self._device)
            # One tape for all is not multiplied in memory.
            last = alone[..., None] if alone.ndim == 2 else alone.permute(1, 2, 0).contiguous()
            return last.expand(*last.shape[:2], num_episodes)

        audible = tape._replace(channel_gain=np.maximum(tape.channel_gain, _LEAST_GAIN))
        self._given = Conditions(*mapped(episodes_last, audible))
        self._is_given = torch.ones_like(self._is_given)

    def _unless_given(self, name: torch.Tensor) -> torch.Tensor:
        return name.clone() if self._given is None else torch.where(self._is_given, _NO_SEED, name)
