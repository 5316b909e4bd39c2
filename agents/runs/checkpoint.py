"""Checkpoints: a trained agent as one small zip file of plain arrays and JSON, which acts without torch."""

import dataclasses
import importlib.metadata
import io
import json
import platform
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgelearn_env.agents.actor.actor import (
    NUM_TRAITS,
    Actor,
    Features,
    Network,
    Sizes,
    Start,
    codec_of,
)
from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import existing_file, written_atomically
from edgelearn_env.scenarios.scenario import Scenario, first_difference
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.trajectory import Policy

RECIPES = ("apg", "ppo", "sac", "imitation")
FORMAT, VERSION = "edgelearn-env checkpoint", 3
_ABOUT = "checkpoint.json"
_SHIPPED = Path(__file__).parents[1] / "checkpoints"
_LIBRARIES = ("edgelearn-env", "gymnasium", "numpy", "stable-baselines3", "torch")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A trained agent, with all that is needed to act again and to train it again.

    Attributes:
        actor: the network.
        scenario: what it was trained for, its objective included.
        recipe: the module that trained it.
        trims: whether its rounds are `trimmed` before they are played.
        config: the recipe's choices.
        seed: that training was started with.
        steps: environment steps until this state.
        validation_objective: geometric mean of Phi on the validation tapes.
        num_validation_tapes: their number.
        versions: of Python and the libraries that trained it.
    """

    actor: Actor
    scenario: StagedScenario
    recipe: str
    trims: bool
    config: Mapping[str, Any]
    seed: int
    steps: int
    validation_objective: float
    num_validation_tapes: int
    versions: Mapping[str, str]


def shipped_checkpoints() -> tuple[str, ...]:
    """Names of the checkpoints that come with the package, `<recipe>-<scenario>-<seed>`."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.zip")))


def shipped_runs(name: str) -> tuple[str, ...]:
    """Names of those of one recipe on one scenario, `<recipe>-<scenario>`: its training runs."""
    return tuple(found for found in shipped_checkpoints() if found.rpartition("-")[0] == name)


def shipped_runs_on(scenario: Scenario, recipe: str) -> tuple[str, ...]:
    """Names of a recipe's training runs on a scenario.

    Raises:
        InvalidInputError: none comes with the package.
    """
    runs = shipped_runs(f"{recipe}-{scenario.name}")
    if not runs:
        command = f"edgelearn train --recipe {recipe} -s {scenario.name}"
        sentence = f"no checkpoint of {recipe} on {scenario.name!r} comes with the package"
        raise InvalidInputError(f"{sentence}: train one (`{command}`) and name its file")
    return runs


def installed_versions() -> dict[str, str]:
    """Versions of Python and of those libraries that decide what training does."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def save(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a checkpoint, atomically; equal checkpoints make equal files."""
    if Path(path).suffix != ".zip":
        raise InvalidInputError(f"checkpoint path must end in .zip, got {str(path)!r}")
    names = [field.name for field in dataclasses.fields(checkpoint) if field.name not in ("actor", "scenario")]
    about = {name: getattr(checkpoint, name) for name in names}
    about |= {"format": FORMAT, "version": VERSION, "scenario": checkpoint.scenario.to_dict()}
    with written_atomically(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
        file.writestr(zipfile.ZipInfo(_ABOUT), json.dumps(about, indent=1), zipfile.ZIP_DEFLATED)
        for name, array in _arrays(checkpoint.actor):
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)


def load(path_or_name: str | Path) -> Checkpoint:
    """Read a checkpoint: a file's path, or the name of one that comes with the package.

    Raises:
        InvalidInputError: there is no such file, or it is damaged or not a checkpoint.
    """
    path = _file(path_or_name)
    try:
        with zipfile.ZipFile(path) as file:
            about = json.loads(file.read(_ABOUT))
            if about.pop("format", None) != FORMAT or about.pop("version", None) != VERSION:
                raise ValueError(f"it does not say {FORMAT!r} of version {VERSION}")
            arrays = {name.removesuffix(".npy"): _array(file.read(name)) for name in file.namelist() if name != _ABOUT}
        scenario = StagedScenario.from_dict(about.pop("scenario"))
        return Checkpoint(actor=_checked_actor(arrays, scenario), scenario=scenario, **about)
    except Exception as error:  # whatever damaged bytes lead the zip, JSON and header parsers to
        raise InvalidInputError(f"checkpoint file {str(path)!r} is damaged or not a checkpoint: {error}") from error


def load_policy(path_or_name: str | Path, scenario: Scenario, *, transfer: bool = False) -> Policy:
    """The trained policy, playing its mean action; for `rollout` in the scenario that it was trained for.

    Args:
        path_or_name: as for `load`; or a recipe's name, for its first run that comes with the package for the scenario
            of that name.
        scenario: to play.
        transfer: whether it may be another one, of any number of devices: networks stay as they are, and start at that
            scenario's own `starting_point`.

    Raises:
        InvalidInputError: the file cannot be read, or was trained for another scenario.
    """
    if path_or_name in RECIPES:
        path_or_name = shipped_runs_on(scenario, str(path_or_name))[0]
    return policy_of(load(path_or_name), path_or_name, scenario, transfer=transfer)


def policy_of(
    checkpoint: Checkpoint, path_or_name: str | Path, scenario: Scenario, *, transfer: bool = False
) -> Policy:
    """The policy of a checkpoint that is loaded already; `load_policy` says the rest.

    Args:
        checkpoint: to play.
        path_or_name: where it comes from, for errors.
        scenario, transfer: as for `load_policy`.

    Raises:
        InvalidInputError: it was trained for another scenario.
    """
    difference = first_difference(checkpoint.scenario, scenario)
    if difference is not None and transfer and checkpoint.scenario.system == scenario.system:
        other = StagedScenario.load(scenario)
        moved = checkpoint.actor._replace(start=starting_point(other))
        return moved.policy(other, trims=checkpoint.trims)
    if difference is not None:
        raise InvalidInputError(f"checkpoint {str(path_or_name)!r} was trained for another scenario: {difference}")
    return checkpoint.actor.policy(checkpoint.scenario, trims=checkpoint.trims)


def _file(path_or_name: str | Path) -> Path:
    name = str(path_or_name)
    if name in shipped_checkpoints():
        return _SHIPPED / f"{name}.zip"
    if not name.endswith(".zip"):
        choice = ", ".join([*shipped_checkpoints(), "or give a path ending in .zip"])
        raise InvalidInputError(f"unknown checkpoint {name!r}: choose one of {choice}")
    return existing_file(path_or_name, "checkpoint")


# Records that hold arrays, by their place in an actor; those within others come first.
_RECORDS: Mapping[str, Any] = {
    "start.mean": Features,
    "start.std": Features,
    "start": Start,
    "server": Network,
    "device": Network,
}
_NAMES = {f"{place}.{field}" for place, kind in _RECORDS.items() for field in kind._fields} - set(_RECORDS)


def _arrays(record: Any, place: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of an actor by name: `start.mean.shared`, ..., `device.bias_3`."""
    for name, value in record._asdict().items():
        if isinstance(value, tuple):
            yield from _arrays(value, f"{place}{name}.")
        else:
            yield place + name, value


def _array(content: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def _checked_actor(arrays: Mapping[str, np.ndarray], scenario: StagedScenario) -> Actor:
    """The actor that these arrays make up, once they are known to be finite and to fit the scenario."""
    if set(arrays) != _NAMES:
        raise ValueError(f"missing or foreign arrays {', '.join(sorted(_NAMES ^ set(arrays)))}")
    parts: dict[str, Any] = dict(arrays)
    for place, kind in _RECORDS.items():
        parts[place] = kind(*(parts[f"{place}.{field}"] for field in kind._fields))
    actor = Actor(*(parts[name] for name in Actor._fields))
    expected = dict(_expected_shapes(actor, Sizes.of(codec_of(scenario).layout), scenario.num_devices))
    for name, array in arrays.items():
        if array.shape != expected[name] or array.dtype != np.float32 or not np.all(np.isfinite(array)):
            raise ValueError(f"{name} must hold finite float32 numbers of shape {expected[name]}")
    return actor


def _expected_shapes(actor: Actor, sizes: Sizes, num_devices: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Shape of each array, from the sizes of the system and the numbers of devices and of hidden units."""
    for name in ("start.mean", "start.std"):
        yield f"{name}.shared", (sizes.shared,)
        yield f"{name}.own", (num_devices, sizes.own)
    yield from {
        "start.server_weight": (sizes.decided_for_all, sizes.shared),
        "start.server_bias": (sizes.decided_for_all,),
        "start.own_weight": (num_devices, sizes.decided_for_device, sizes.own),
        "start.own_bias": (num_devices, sizes.decided_for_device),
        "start.traits": (num_devices, NUM_TRAITS),
        "start.log_bound": (),
    }.items()
    networks = {
        "server": (sizes.context, sizes.decided_for_all),
        "device": (sizes.of_device, sizes.decided_for_device),
    }
    for name, (inputs, outputs) in networks.items():
        hidden = len(getattr(actor, name).bias_1)
        layers = ((hidden, inputs), (hidden, hidden), (outputs, hidden + inputs))
        for index, shape in enumerate(layers, start=1):
            yield f"{name}.weight_{index}", shape
            yield f"{name}.bias_{index}", shape[:1]
