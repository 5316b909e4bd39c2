"""What an allocation may be: the scenario's limits, checked where a policy of a user decides."""

from typing import Any

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.quantities import shown
from edgelearn_env.stages.records import Allocation
from edgelearn_env.stages.scenario import StagedScenario


def checked_allocation(scenario: StagedScenario, allocation: Any, num_episodes: int) -> Allocation:
    """`allocation`, once it is known to be one for every episode and to lie within the scenario's limits.

    A value at a limit may miss it by the rounding of its own floating-point type.

    Raises:
        InvalidInputError: it is not, or does not; the model has no meaning outside of the limits.
    """
    require_record(allocation, Allocation)
    for name, value in allocation._asdict().items():
        of_devices = name in ("freq_hz", "power_w", "batch")
        shape = (num_episodes, scenario.num_devices) if of_devices else (num_episodes,)
        if np.shape(value) != shape:
            raise InvalidInputError(f"allocation.{name} must have shape {shape}, got {np.shape(value)}")
    if allocation.switch.dtype != bool:
        raise InvalidInputError(f"allocation.switch must hold truth values, got {allocation.switch.dtype} numbers")
    limits = _limits(scenario)
    checked: Allocation = allocation._replace(
        **{name: _within(name, getattr(allocation, name), *limits[name], or_zero=name == "batch") for name in limits}
    )
    return checked


def require_record(allocation: Any, kind: Any) -> None:
    """Raise unless an allocation is that record of a system.

    Raises:
        InvalidInputError: it is another's, or none.
    """
    if not isinstance(allocation, kind):
        found = ", ".join(getattr(allocation, "_fields", ())) or type(allocation).__name__
        raise InvalidInputError(f"allocation must have the fields {', '.join(kind._fields)}, got {found}")


def require_array(name: str, values: np.ndarray, shape: tuple[int, ...], kinds: str, content: str) -> None:
    """Raise unless a decision is an array of that shape and of one of these kinds of numbers, as `dtype.kind` has them.

    Raises:
        InvalidInputError: it is not; `content` says what it must hold.
    """
    if np.shape(values) != shape:
        raise InvalidInputError(f"allocation.{name} must have shape {shape}, got {np.shape(values)}")
    if values.dtype.kind not in kinds:
        raise InvalidInputError(f"allocation.{name} must hold {content}, got {values.dtype} numbers")


def _limits(scenario: StagedScenario) -> dict[str, tuple[np.ndarray | float, np.ndarray | float]]:
    """Least and largest value of each decision; a least power of 0 is one that must be passed.

    A device's batch may be 0 besides, for one that sits the round out.
    """
    server, devices = scenario.server, scenario.devices
    return {
        "server_freq_hz": (server.freq_min_hz, server.freq_max_hz),
        "server_batch": (1.0, server.batch_max),
        "freq_hz": (devices.freq_min_hz, devices.freq_max_hz),
        "power_w": (0.0, devices.power_max_w),
        "batch": (1.0, devices.batch_max),
    }


def _within(
    name: str, value: np.ndarray, low: np.ndarray | float, high: np.ndarray | float, *, or_zero: bool
) -> np.ndarray:
    """A decision as float64, once it is known to lie between these ends, or to be 0 where that is allowed."""
    rounding = max(_ROUNDING, float(np.finfo(value.dtype).eps) if value.dtype.kind == "f" else 0.0)
    exact = value.astype(np.float64, copy=False)
    inside = (exact >= low * (1 - rounding)) & (exact <= high * (1 + rounding)) & (exact > 0)
    if or_zero:
        inside |= exact == 0
    if not np.all(inside):
        ends = f"{shown(np.asarray(low))} and {shown(np.asarray(high))}{' or be 0' * or_zero}"
        raise InvalidInputError(f"allocation.{name} must lie between {ends}, got {exact[~inside].flat[0]:.9g}")
    if or_zero and np.any(short := (exact < low) & (exact > 0)):
        # A device whose only sample lacks a rounding would be silent.
        return np.where(short, low, exact)
    return exact


# Of limits that were computed.
_ROUNDING = 1e-9
