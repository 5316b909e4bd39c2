"""What the tapes of a batch bring, round by round, as tensors: drawn where they are used, and never waited for."""

from typing import Any, NamedTuple

import numpy as np
import torch

from edgelearn_env.arrays.records import mapped
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.law import Conditions, LawState
from edgelearn_env.tapes.reader import LawOfTapes
from edgelearn_env.tapes.tape import Tape

_NO_SEED = -1

# Stands for no gain at all. No budget or battery can pay for that upload either, but its derivatives are finite.
_LEAST_GAIN = 1e-100


class Reading(NamedTuple):
    """Where B tapes are read, side by side.

    Attributes:
        key_seed, episode: of the tapes that are drawn, also where another is given, (B,).
        law_state: where the law of tapes stands, after the round that is read.
        conditions: of that round, (B, K), laid out device by device.
        is_given: whether a tape was handed in, (B,).
        given: those tapes, (T, K, B); nothing if there is none.
    """

    key_seed: torch.Tensor
    episode: torch.Tensor
    law_state: LawState
    conditions: Conditions
    is_given: torch.Tensor
    given: Any = ()


def begun(
    law: LawOfTapes, key_seed: torch.Tensor, episode: torch.Tensor, is_given: torch.Tensor, given: Any = ()
) -> Reading:
    """At the first round of each tape; arguments as `Reading` has them."""
    before = law.before_first_round(stream_keys(key_seed, episode))
    law_state, conditions = _next_round(law, before, torch.zeros_like(episode), is_given, given)
    return Reading(key_seed, episode, law_state, conditions, is_given, given)


def advanced(
    law: LawOfTapes, reading: Reading, round_index: torch.Tensor, ended: torch.Tensor, *, begin_next: bool
) -> Reading:
    """At the next round, and where an episode has ended at the next tape of its sequence, or where it was.

    Whatever differs between episodes is chosen element by element, so that nothing has to be known on the host.

    Args:
        law: of the scenario.
        reading: before.
        round_index: t of the round to go to, (B,).
        ended: whether an episode is over, (B,).
        begin_next: whether the next one begins there; else it stands still.
    """
    law_state, episode, is_given = reading.law_state, reading.episode, reading.is_given
    if begin_next:
        episode, is_given = episode + ended, is_given & ~ended
        first = law.before_first_round(stream_keys(reading.key_seed, episode))
        law_state = mapped(lambda new, old: torch.where(ended, new, old), first, law_state)
    law_state, conditions = _next_round(law, law_state, round_index, is_given, reading.given)
    if not begin_next:
        standing = ended[:, None]
        conditions = mapped(lambda old, new: torch.where(standing, old, new), reading.conditions, conditions)
    return Reading(reading.key_seed, episode, law_state, conditions, is_given, reading.given)


def _next_round(
    law: LawOfTapes, law_state: LawState, round_index: torch.Tensor, is_given: torch.Tensor, given: Any
) -> tuple[LawState, Conditions]:
    """What the law draws next, or that round of given tapes, (B, K)."""
    law_state, drawn = law.next_rounds(law_state, 1)
    rounds = mapped(lambda array: array[0], drawn)
    if given:
        index = torch.clamp(round_index, max=law.scenario.budgets.max_rounds - 1)

        def chosen(tapes: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            return torch.where(is_given, tapes.gather(0, index.expand(1, *new.shape))[0], new)

        rounds = mapped(chosen, given, rounds)
    return law_state, mapped(lambda array: array.T, rounds)


class TensorTapes:
    """Begins B tapes side by side: drawn ones, as `sample_tape` draws them, and given ones.

    Attributes:
        reading: where they are read; whoever reads on with `advanced` puts there what that returns.
    """

    reading: Reading

    def __init__(self, law: LawOfTapes, num_episodes: int, device: Any) -> None:
        self._law, self._device = law, device
        # Known on the host, where new ones come from, and on the device, where tapes are drawn.
        self._seeds = np.full(num_episodes, _NO_SEED)
        none = torch.full((num_episodes,), _NO_SEED, device=device)
        self.reading = begun(law, none, none, none > 0)

    @property
    def seed(self) -> torch.Tensor:
        """`sample_tape`'s seed of each tape, (B,); -1 for a given one."""
        return torch.where(self.reading.is_given, _NO_SEED, self.reading.key_seed)

    @property
    def episode(self) -> torch.Tensor:
        """`sample_tape`'s episode of each tape, (B,); -1 for a given one."""
        return torch.where(self.reading.is_given, _NO_SEED, self.reading.episode)

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
        self.reading = self.reading._replace(
            key_seed=torch.asarray(chosen, device=self._device),
            episode=torch.where(goes_on, self.reading.episode, _NO_SEED),
        )

    def begin(self, tape: Tape | None = None) -> None:
        """Go to the first round of the next tape of each sequence, or of a given tape, (T, K), or tapes, (B, T, K)."""
        key_seed, episode, is_given = self.reading.key_seed, self.reading.episode, self.reading.is_given
        if tape is None:
            self.reading = begun(self._law, key_seed, episode + 1, torch.zeros_like(is_given))
        else:
            self.reading = begun(self._law, key_seed, episode, torch.ones_like(is_given), self._on_device(tape))

    def _on_device(self, tape: Tape) -> Conditions:
        """Of these tapes what `Reading.given` holds."""
        num_episodes = len(self._seeds)

        def episodes_last(array: np.ndarray) -> torch.Tensor:
            alone = torch.tensor(array, device=self._device)
            # One tape for all is not multiplied in memory.
            last = alone[..., None] if alone.ndim == 2 else alone.permute(1, 2, 0).contiguous()
            return last.expand(*last.shape[:2], num_episodes)

        audible = tape._replace(channel_gain=np.maximum(tape.channel_gain, _LEAST_GAIN))
        return Conditions(*mapped(episodes_last, audible))
