"""Tapes: all that an episode does not decide, drawn before it starts.

A tape holds the channel gain and the harvested power of every device in every round. It is a function of the scenario
and a seed, never of actions, so every policy and every form of the environment meets the same future.
"""

import reprlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import existing_file, written_atomically
from edgelearn_env.scenarios.scenario import Scenario, checked_scenario
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.law import Conditions, TapeLaw, before_first_round, next_rounds


class Tape(NamedTuple):
    """Channel gains and harvested powers by global round index; with or without a leading batch axis.

    Attributes:
        channel_gain: g[t, k], (T, K) or (B, T, K).
        harvest_w: h[t, k], W, (T, K) or (B, T, K).
    """

    channel_gain: np.ndarray
    harvest_w: np.ndarray

    @classmethod
    def stack(cls, tapes: "Sequence[Tape]") -> Self:
        """Several tapes as one batch."""
        return cls(*(np.stack(arrays) for arrays in zip(*tapes, strict=True)))

    def conditions(self, round_index: np.ndarray) -> Conditions:
        """What round `round_index[b]` brings to episode b, for a batch of tapes.

        Past the last round the last one is repeated: an episode that is over still has a last observation.
        """
        episode = np.arange(len(round_index))
        last = np.minimum(round_index, self.channel_gain.shape[1] - 1)
        return Conditions(*(array[episode, last] for array in self))

    def save(self, path: str | Path) -> None:
        """Write an npz file, atomically."""
        if Path(path).suffix != ".npz":
            raise InvalidInputError(f"tape path must end in .npz, got {str(path)!r}")
        with written_atomically(path) as temporary:
            np.savez_compressed(temporary, **self._asdict())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an npz file written by `save`.

        Raises:
            InvalidInputError: no such file, or not a tape.
        """
        path = existing_file(path, "tape")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return cls(arrays["channel_gain"], arrays["harvest_w"])
        except Exception as error:  # whatever damaged bytes lead the zip, zlib and header parsers to
            raise InvalidInputError(f"tape file {str(path)!r} is damaged or not a tape") from error

    @classmethod
    def from_csv(cls, channel_gain: str | Path, harvest_w: str | Path) -> Self:
        """Read two trace files, each with one line a round and one comma-separated number a device.

        Lines that start with `#` are comments.

        Raises:
            InvalidInputError: no such file, or something that is not a number.
        """
        return cls(_trace(channel_gain, "channel gain"), _trace(harvest_w, "harvest"))

    def checked(self, scenario: Scenario) -> Self:
        """This tape, once it is known to fit the scenario.

        Raises:
            InvalidInputError: wrong or unequal shapes, a value that is not a finite, non-negative number, or a scenario
                that is none.
        """
        checked_scenario(scenario, Scenario)
        expected = (scenario.budgets.max_rounds, scenario.num_devices)
        tape = type(self)(*(_numbers(name, values) for name, values in self._asdict().items()))
        for name, array in tape._asdict().items():
            if array.shape[-2:] != expected or array.ndim > 3 or array.size == 0:
                sentence = f"tape.{name} must have shape {expected} (budgets.max_rounds, devices.num_devices)"
                raise InvalidInputError(f"{sentence}, got {array.shape}")
            usable = np.isfinite(array) & (array >= 0)
            if not np.all(usable):
                raise InvalidInputError(f"tape.{name} must {_CONTENT}, got {array[~usable][0]:g}")
        if tape.harvest_w.shape != tape.channel_gain.shape:
            sentence = f"tape.harvest_w must have the shape of tape.channel_gain, {tape.channel_gain.shape}"
            raise InvalidInputError(f"{sentence}, got {tape.harvest_w.shape}")
        return tape


def sample_tape(scenario: Scenario, seed: int, episode: int = 0) -> Tape:
    """Draw the tape of one episode, by the law of `law`.

    Args:
        scenario: the system.
        seed: names the sequence of tapes that an environment seeded with it plays, from 0 to 2^63 - 1.
        episode: which tape of that sequence; an environment plays 0, 1, 2, ...

    Returns:
        A tape of shape (T, K), the same for the same arguments on every machine, to rounding.

    Raises:
        InvalidInputError: the scenario is none, or a number is not one of those.
    """
    checked_scenario(scenario, Scenario)
    for name, value in (("seed", seed), ("episode", episode)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < 2**63:
            raise InvalidInputError(f"{name} must be a whole number from 0 to 2^63 - 1, got {value!r}")
    law = TapeLaw.of(scenario)
    beginning = before_first_round(law, stream_keys(np.array([seed]), np.array([episode])))
    _, rounds = next_rounds(law, beginning, scenario.budgets.max_rounds)
    return Tape(*(array[:, :, 0] for array in rounds))


_CONTENT = "hold finite numbers of at least 0"


def _numbers(name: str, values: Any) -> np.ndarray:
    """`values` as float64; text, nothing, truth values, complex numbers and ragged lists are refused."""
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise InvalidInputError(f"tape.{name} must {_CONTENT}, got {reprlib.repr(values)}")
    return array.astype(np.float64, copy=False)


def _trace(path: str | Path, what: str) -> np.ndarray:
    path = existing_file(path, f"{what} trace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of an empty file numpy only warns
            return np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8-sig")
    except (ValueError, UserWarning) as error:
        raise InvalidInputError(f"{what} trace file {str(path)!r} is not a table of numbers: {error}") from error
