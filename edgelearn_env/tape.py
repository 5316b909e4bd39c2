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
from edgelearn_env.scenario import Scenario
from edgelearn_env.units import db_to_ratio


class Conditions(NamedTuple):
    """What one round brings: the only part of a tape that an online policy may see.

    Attributes:
        channel_gain: g, power gain of each uplink, (B, K).
        harvest_w: h, power harvested by each device, W, (B, K).
    """

    channel_gain: np.ndarray
    harvest_w: np.ndarray


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
        return Conditions(self.channel_gain[episode, last], self.harvest_w[episode, last])

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
            InvalidInputError: wrong or unequal shapes, or a value that is not a finite, non-negative number.
        """
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
    """Draw the tape of one episode.

    Channel: g[t, k] = g_1 d_k^-alpha s_k |c[t, k]|^2 with Rayleigh fading c and optional log-normal shadowing s_k.
    Harvest: each device is on or off; on, it harvests twice its mean power.

    Args:
        scenario: the system.
        seed: names the sequence of tapes that an environment seeded with it plays, at least 0.
        episode: which tape of that sequence; an environment plays 0, 1, 2, ...

    Returns:
        A tape of shape (T, K), the same for the same arguments on every machine.
    """
    for name, value in (("seed", seed), ("episode", episode)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise InvalidInputError(f"{name} must be a whole number of at least 0, got {value!r}")
    rng = np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=(int(episode),)))
    shape = (scenario.budgets.max_rounds, scenario.num_devices)
    radio, energy = scenario.radio, scenario.energy
    shadowing = db_to_ratio(radio.shadowing_std_db * rng.standard_normal(scenario.num_devices))
    fading = rayleigh_power(rng, shape, radio.fading_correlation)
    on = on_off(rng, shape, energy.harvest_flip_probability)
    return Tape(scenario.mean_channel_gain * shadowing * fading, 2.0 * energy.harvest_mean_w * on)


def rayleigh_power(rng: np.random.Generator, shape: tuple[int, int], correlation: float) -> np.ndarray:
    """|c[t, k]|^2 of Gauss-Markov Rayleigh fading with unit mean, (T, K).

    c[t] = r c[t-1] + sqrt(1 - r^2) z[t], with c[0] and z[t] standard complex normal.
    """
    num_rounds = shape[0]
    normal = rng.standard_normal((*shape, 2)) * np.sqrt(0.5)
    normal[1:] *= np.sqrt(1 - correlation**2)
    reach = 1
    # The first-order recursion by doubling: after j passes each entry sums the last 2^j innovations.
    while reach < num_rounds:
        normal[reach:] += correlation**reach * normal[:-reach].copy()
        reach *= 2
    return np.sum(normal**2, axis=-1)


def on_off(rng: np.random.Generator, shape: tuple[int, int], flip_probability: float) -> np.ndarray:
    """Symmetric two-state Markov chains, started in their stationary law: 1.0 where on, (T, K)."""
    flips = rng.random(shape)
    starts_on = flips[:1] < 0.5
    return np.cumsum(np.concatenate([starts_on, flips[1:] < flip_probability]), axis=0) % 2.0


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
            return np.loadtxt(path, delimiter=",", ndmin=2)
    except (ValueError, UserWarning) as error:
        raise InvalidInputError(f"{what} trace file {str(path)!r} is not a table of numbers: {error}") from error
