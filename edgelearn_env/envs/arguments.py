"""What callers of an environment hand in, once it is known to be right."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgelearn_env.errors import InvalidInputError, UnexpectedArgumentError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape

ScenarioSource = Scenario | str | Path | Mapping[str, Any]
Kind = TypeVar("Kind", bound=Scenario)

SAME_SEED = -1


def configured_scenario(
    kind: type[Kind], source: ScenarioSource, objective: str | None, changes: Mapping[str, Any]
) -> Kind:
    """The scenario that an environment's arguments name, made once.

    Args:
        kind: class of the system's scenarios.
        source: anything `Scenario.load` takes.
        objective: replaces `learning.objective`, unless None.
        changes: scenario parts with their changed fields, as for `Scenario.replace`.

    Raises:
        UnexpectedArgumentError: one of `changes` is no scenario part.
        InvalidInputError: a wrong value.
    """
    _require_parts(changes, ("name", *kind.parts()))
    if objective is not None:
        changes = {**changes, "learning": {**changes.get("learning", {}), "objective": objective}}
    return kind.load(source, **changes)


def checked_num_envs(num_envs: Any) -> int:
    """`num_envs`, once it is known to be a whole number of at least 1."""
    if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
        raise InvalidInputError(f"num_envs must be a whole number of at least 1, got {num_envs!r}")
    return int(num_envs)


def checked_render_mode(render_mode: str | None, known: Sequence[str]) -> str | None:
    """`render_mode`, once it is known to be one."""
    if render_mode is not None and render_mode not in known:
        raise InvalidInputError(f"render_mode must be None or one of {', '.join(known)}, got {render_mode!r}")
    return render_mode


def checked_action(action: Any, shape: tuple[int, ...], ignored: np.ndarray | None = None) -> np.ndarray:
    """`action` as float64, or float32 if it is, once it is known to have that shape and to hold finite numbers only.

    Args:
        action: what a caller handed in.
        shape: of one action, or of a batch of them.
        ignored: indices of rows of a batch that count as zeros, whatever they hold.
    """
    single = isinstance(action, np.ndarray) and action.dtype == np.float32
    try:
        values = np.asarray(action, dtype=np.float32 if single else np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(f"action must be an array of numbers, got {action!r}") from None
    if values.shape != shape:
        raise InvalidInputError(f"action must have shape {shape}, got {values.shape}")
    if ignored is not None and ignored.size:
        values = values.copy()
        values[ignored] = 0.0
    # The largest and the smallest tell it for all of them.
    if not (math.isfinite(values.max()) and math.isfinite(values.min())):
        finite = np.isfinite(values)
        index = tuple(np.argwhere(~finite)[0].tolist())
        where = ", ".join(map(str, index))
        raise InvalidInputError(f"action[{where}] must be a finite number, got {values[index]}")
    return values


def checked_seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> np.ndarray:
    """One seed an environment, SAME_SEED where it keeps its own, (B,).

    Args:
        seed: of the first environment, which the others count up from; or a list of all; None keeps all.
        num_envs: B.
    """
    if seed is None:
        return np.full(num_envs, SAME_SEED)
    if not isinstance(seed, Sequence | np.ndarray):
        return _checked_seed(seed, num_envs) + np.arange(num_envs)
    if len(seed) != num_envs:
        raise InvalidInputError(f"seed must be one number or {num_envs} numbers (num_envs), got {len(seed)}")
    return np.array([SAME_SEED if value is None else _checked_seed(value, 1) for value in seed])


def checked_options(options: Mapping[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """The reset options, once each is known to be one."""
    for name in options or {}:
        if name not in known:
            raise InvalidInputError(f"unknown reset option {name!r}: choose one of {', '.join(known)}")
    return dict(options or {})


def checked_tape(tape: Any, scenario: Scenario, num_envs: int) -> Tape | None:
    """A tape of one episode or of all B, once it is known to fit; None where none is given."""
    if tape is None:
        return None
    if not isinstance(tape, Tape):
        raise InvalidInputError(f"option 'tape' must be a Tape, got {type(tape).__name__}")
    checked = tape.checked(scenario)
    # All arrays of a checked tape have the same leading axes.
    gain = checked.channel_gain
    if gain.ndim == 3 and len(gain) != num_envs:
        episodes = "1 episode" if num_envs == 1 else f"1 episode or {num_envs}"
        raise InvalidInputError(f"tape.channel_gain must hold {episodes}, got {len(gain)}")
    return checked


def checked_reset_mask(mask: Any, num_envs: int) -> np.ndarray:
    """Which environments to reset, (B,) booleans; all of them without a mask."""
    if mask is None:
        return np.ones(num_envs, dtype=bool)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,):
        raise InvalidInputError(f"option 'reset_mask' must be a boolean array of shape ({num_envs},), got {mask!r}")
    if not mask.any():
        raise InvalidInputError("option 'reset_mask' must hold True for at least one environment")
    return mask


def _require_parts(changes: Mapping[str, Any], parts: Sequence[str]) -> None:
    """Raise, in the words in which Python refuses a keyword, unless all changes are of these parts."""
    for name in changes:
        if name not in parts:
            known = ", ".join(parts)
            raise UnexpectedArgumentError(f"got an unexpected keyword argument {name!r}: scenario parts are {known}")


def _checked_seed(seed: Any, num_envs: int) -> int:
    """`seed`, once it is known that it and those that count up from it fit into 63 bits, as items of `info` must."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not (whole and 0 <= seed <= 2**63 - num_envs):
        raise InvalidInputError(f"seed must be a whole number from 0 to 2^63 - {num_envs}, got {seed!r}")
    return int(seed)
