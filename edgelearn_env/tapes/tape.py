"""Tapes: all that an episode does not decide, drawn before it starts.

A tape holds the channel gain and the harvested power of every device in every round. It is a function of the scenario
and a seed, never of actions, so every policy and every form of the environment meets the same future.
"""

import reprlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import existing_file, written_atomically
from edgelearn_env.scenarios.scenario import Scenario, checked_scenario
from edgelearn_env.scenarios.systems import SYSTEMS, located, system_named
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.law import Conditions


class Tape(NamedTuple):
    """Channel gains and harvested powers by global round index; with or without a leading batch axis.

    Attributes:
        channel_gain: g[t, k], (T, K) or (B, T, K).
        harvest_w: h[t, k], W, (T, K) or (B, T, K).
        hidden: what shows only when a round has been played, by round and device likewise: the record that the system
            names in `SYSTEMS`; nothing where it names none.
    """

    channel_gain: np.ndarray
    harvest_w: np.ndarray
    hidden: Any = ()

    @classmethod
    def stack(cls, tapes: "Sequence[Tape]") -> Self:
        """Several tapes as one batch."""
        return cls(*mapped(lambda *arrays: np.stack(arrays), *tapes))

    def each(self) -> "list[Tape]":
        """The tapes of a batch, one by one."""
        return [self.rows(index) for index in range(len(self.channel_gain))]

    def rows(self, rows: Any) -> "Tape":
        """One tape of a batch, or those at some indices as a batch."""
        return mapped(lambda array: array[rows], self)

    def conditions(self, round_index: np.ndarray) -> Conditions:
        """What round `round_index[b]` brings to episode b, for a batch of tapes.

        Past the last round the last one is repeated: an episode that is over still has a last observation.
        """
        episode = np.arange(len(round_index))
        last = np.minimum(round_index, self.channel_gain.shape[1] - 1)
        return Conditions(*mapped(lambda array: array[episode, last], self))

    def save(self, path: str | Path) -> None:
        """Write an npz file, atomically."""
        if Path(path).suffix != ".npz":
            raise InvalidInputError(f"tape path must end in .npz, got {str(path)!r}")
        hidden: dict[str, Any] = {f"{_HIDDEN}{name}": array for name, array in _fields_of(self.hidden).items()}
        with written_atomically(path) as temporary:
            np.savez_compressed(temporary, channel_gain=self.channel_gain, harvest_w=self.harvest_w, **hidden)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an npz file written by `save`.

        Raises:
            InvalidInputError: no such file, or not a tape.
        """
        path = existing_file(path, "tape")
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                hidden = {name.removeprefix(_HIDDEN): arrays[name] for name in arrays if name.startswith(_HIDDEN)}
                return cls(arrays["channel_gain"], arrays["harvest_w"], hidden_record(hidden))
        except Exception as error:  # whatever damaged bytes lead the zip, zlib and header parsers to
            raise InvalidInputError(f"tape file {str(path)!r} is damaged or not a tape") from error

    @classmethod
    def from_csv(cls, channel_gain: str | Path, harvest_w: str | Path) -> Self:
        """Read two trace files, each with one line a round and one comma-separated number a device.

        Lines that start with `#` are comments.

        Raises:
            InvalidInputError: no such file, or something that is not a number.
        """
        return cls(trace_of(channel_gain, "channel gain"), trace_of(harvest_w, "harvest"))

    def checked(self, scenario: Scenario) -> Self:
        """This tape, once it is known to fit the scenario.

        Raises:
            InvalidInputError: wrong or unequal shapes, a value that is not a finite, non-negative number, or a scenario
                that is none.
        """
        checked_scenario(scenario, Scenario)
        fields = dict(zip(("channel_gain", "harvest_w"), self[:2], strict=True))
        arrays = {name: checked_numbers(name, values) for name, values in fields.items()}
        for name, array in arrays.items():
            require_shape(name, array, (scenario.budgets.max_rounds, scenario.num_devices), "devices.num_devices")
        if arrays["harvest_w"].shape != arrays["channel_gain"].shape:
            sentence = f"tape.harvest_w must have the shape of tape.channel_gain, {arrays['channel_gain'].shape}"
            raise InvalidInputError(f"{sentence}, got {arrays['harvest_w'].shape}")
        return self._replace(**arrays, hidden=self._checked_hidden(scenario, arrays["channel_gain"].shape[:-1]))

    def _checked_hidden(self, scenario: Scenario, axes: tuple[int, ...]) -> Any:
        """What is hidden, once it is known to be what the scenario's system needs, with these leading axes."""
        place = system_named(scenario.system).hidden
        if not place:
            if not isinstance(self.hidden, tuple) or self.hidden:
                sentence = f"tape.hidden must be empty for system {scenario.system!r}"
                raise InvalidInputError(f"{sentence}, got {type(self.hidden).__name__}")
            return ()
        kind = located(place)
        if not isinstance(self.hidden, kind):
            sentence = f"tape.hidden must be a {kind.__name__} for system {scenario.system!r}"
            raise InvalidInputError(f"{sentence}, got {type(self.hidden).__name__}")
        return self.hidden.checked(scenario, axes)


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
    # The model of a scenario holds the law of its tapes.
    law = located(system_named(scenario.system).model)(scenario, "numpy")
    beginning = law.before_first_round(stream_keys(np.array([seed]), np.array([episode])))
    _, rounds = law.next_rounds(beginning, scenario.budgets.max_rounds)
    return Tape(*mapped(lambda array: array[:, :, 0], rounds))


def checked_numbers(name: str, values: Any, at_least: float = 0.0) -> np.ndarray:
    """`values` as float64, once they are known to be finite and large enough.

    Raises:
        InvalidInputError: they are not; text, nothing, truth values, complex numbers and ragged lists are refused too.
    """
    content = f"tape.{name} must hold finite numbers of at least {at_least:g}"
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise InvalidInputError(f"{content}, got {reprlib.repr(values)}")
    usable = np.isfinite(array) & (array >= at_least)
    if not np.all(usable):
        raise InvalidInputError(f"{content}, got {array[~usable][0]:g}")
    return array.astype(np.float64, copy=False)


def require_shape(name: str, array: np.ndarray, expected: tuple[int, int], columns: str) -> None:
    """Raise unless an array of a tape is one of so many rounds and columns, or a batch of such."""
    if array.shape[-2:] != expected or array.ndim > 3 or array.size == 0:
        sentence = f"tape.{name} must have shape {expected} (budgets.max_rounds, {columns})"
        raise InvalidInputError(f"{sentence}, got {array.shape}")


def hidden_record(arrays: Mapping[str, np.ndarray]) -> Any:
    """The record of a system with just those fields, or nothing without any."""
    if not arrays:
        return ()
    kinds = [located(system.hidden) for system in SYSTEMS.values() if system.hidden]
    kind = next(kind for kind in kinds if set(kind._fields) == arrays.keys())
    return kind(**arrays)


def trace_of(path: str | Path, what: str) -> np.ndarray:
    """The table in a trace file: one line a round, one comma-separated number a device; `#` begins a comment.

    Raises:
        InvalidInputError: no such file, or something that is not a number.
    """
    path = existing_file(path, f"{what} trace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of an empty file numpy only warns
            return np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8-sig")
    except (ValueError, UserWarning) as error:
        raise InvalidInputError(f"{what} trace file {str(path)!r} is not a table of numbers: {error}") from error


# What the names of hidden arrays begin with in a file.
_HIDDEN = "hidden."


def _fields_of(record: Any) -> dict[str, np.ndarray]:
    """The arrays of a record by name; none of an empty one."""
    return record._asdict() if record else {}
