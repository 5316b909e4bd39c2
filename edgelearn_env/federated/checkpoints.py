"""Weights on disk, the digest that names them, and runs that go on where they stopped."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.networks import Weights
from edgelearn_env.federated.samples import FederatedSamples
from edgelearn_env.federated.training import PlayedRound, RoundLog, Training, Workforce, played_rounds
from edgelearn_env.files import existing_file, written_atomically

_CHECKPOINT, _LOG = "checkpoint.npz", "log.jsonl"
_ABOUT = "about"


class Checkpoint(NamedTuple):
    """Where a run stands.

    Attributes:
        run: digest of what the run is; another one cannot go on from here.
        log: of the rounds that were played.
        weights: after them.
    """

    run: str
    log: tuple[RoundLog, ...]
    weights: Weights


def digest(weights: Weights) -> str:
    """Sixteen hexadecimal digits of all names, shapes and bits."""
    content = hashlib.sha256()
    for name, array in sorted(weights.items()):
        content.update(f"{name} {array.dtype.str} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


def run_digest(training: Training, weights: Weights) -> str:
    """Sixteen hexadecimal digits of what decides the end of a run: choices, samples, weights to begin with."""
    choices = {field.name: getattr(training, field.name) for field in dataclasses.fields(training)}
    samples = choices.pop("samples")
    text = repr(sorted((name, repr(value)) for name, value in choices.items()))
    return hashlib.sha256((text + _samples_digest(samples) + digest(weights)).encode()).hexdigest()[:16]


def saved_weights(path: str | Path, weights: Weights, about: dict | None = None) -> None:
    """Write weights, and what is to be said of them, as .npz, atomically."""
    with written_atomically(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {_ABOUT: np.array(json.dumps(about or {})), **weights}
        np.savez(file, **arrays)


def loaded_weights(path: str | Path) -> tuple[dict[str, np.ndarray], dict]:
    """What `saved_weights` wrote.

    Raises:
        InvalidInputError: no such file, or another kind of file.
    """
    path = existing_file(path, "weights")
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            about = json.loads(str(arrays[_ABOUT]))
            return {name: arrays[name] for name in arrays.files if name != _ABOUT}, about
    except Exception as error:  # whatever damaged bytes lead the zip, zlib, JSON and header parsers to
        raise InvalidInputError(f"weights file {str(path)!r} is not one that this package wrote: {error}") from error


def another_run(folder: Path) -> InvalidInputError:
    """What is wrong with a folder whose results are of other choices than those that are asked for."""
    return InvalidInputError(f"folder {str(folder)!r} holds another run: name another one, or remove it")


def resumed_rounds(
    training: Training, weights: Weights, folder: Path, every: int = 10, workforce: Workforce | None = None
) -> Iterator[PlayedRound]:
    """Play a schedule, with a checkpoint and a log in `folder`; rounds that are done there are not played again.

    What the folder holds is looked at before the first round is asked for.

    Args:
        training: what to do.
        weights: to begin with.
        folder: for `checkpoint.npz` and `log.jsonl`, one object a line.
        every: rounds between checkpoints; the last round always has one.
        workforce: as for `played_rounds`.

    Raises:
        InvalidInputError: the folder holds a checkpoint of another run, or a damaged one.
    """
    run = run_digest(training, weights)
    known = loaded_checkpoint(folder) if (folder / _CHECKPOINT).is_file() else Checkpoint(run, (), weights)
    if known.run != run:
        raise another_run(folder)
    return _rounds_from(known, training, folder, every, workforce)


def _rounds_from(
    known: Checkpoint, training: Training, folder: Path, every: int, workforce: Workforce | None
) -> Iterator[PlayedRound]:
    log = list(known.log)
    if log:
        # The log that is there to be read may have been lost.
        _write_log(folder, log)
        yield PlayedRound(log[-1], known.weights)
    for played in played_rounds(training, known.weights, len(log), workforce):
        log.append(played.log)
        if len(log) % every == 0 or len(log) == len(training.schedule.rounds):
            _save(folder, Checkpoint(known.run, tuple(log), played.weights))
        yield played


def loaded_checkpoint(folder: Path) -> Checkpoint:
    """Where the run in a folder stands.

    Raises:
        InvalidInputError: there is none.
    """
    weights, about = loaded_weights(folder / _CHECKPOINT)
    return Checkpoint(about["run"], tuple(RoundLog(**line) for line in about["log"]), weights)


def _save(folder: Path, checkpoint: Checkpoint) -> None:
    """The log is within the checkpoint, so that both are of one moment, and once more as a file to read."""
    lines = [line._asdict() for line in checkpoint.log]
    saved_weights(folder / _CHECKPOINT, checkpoint.weights, {"run": checkpoint.run, "log": lines})
    _write_log(folder, checkpoint.log)


def _write_log(folder: Path, log: Sequence[RoundLog]) -> None:
    lines = [line._asdict() for line in log]
    with written_atomically(folder / _LOG) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _samples_digest(samples: FederatedSamples) -> str:
    content = hashlib.sha256(samples.name.encode())
    sites: Sequence = [samples.general, *(device.train for device in samples.devices)]
    for site in sites:
        content.update(np.ascontiguousarray(site.inputs).tobytes() + np.ascontiguousarray(site.targets).tobytes())
    return content.hexdigest()[:16]
