"""Declared quantities: a dataclass field that knows its symbol, unit and limits, and checks them.

A part of a scenario declares each field with `quantity(...)` and derives from `Quantities`; construction then converts,
copies and checks every value and raises one sentence that names the field and the value.
"""

import dataclasses
import functools
import math
import numbers
from typing import Any

import numpy as np

from edgelearn_env.errors import InvalidInputError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a quantity is (`symbol`, `unit`, `meaning`) and which values it may take."""

    meaning: str
    symbol: str
    unit: str
    above: float = -math.inf
    at_least: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf
    integer: bool = False
    per_device: bool = False
    sums_to_one: bool = False

    def complaint(self, value: np.ndarray) -> str | None:
        """What `value` violates ('above 0'), or None."""
        rules = [
            (np.isfinite(value), "a finite number"),
            (value > self.above, f"above {self.above:g}"),
            (value >= self.at_least, f"at least {self.at_least:g}"),
            (value <= self.at_most, f"at most {self.at_most:g}"),
            (value < self.below, f"below {self.below:g}"),
        ]
        if self.integer:
            rules.append((value == np.round(value), "a whole number"))
        return next((text for holds, text in rules if not np.all(holds)), None)


def quantity(meaning: str, symbol: str, unit: str = "1", *, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A dataclass field holding a checked number, or one number a device if `per_device=True`."""
    metadata = {"limits": Limits(meaning=meaning, symbol=symbol, unit=unit, **limits)}
    return dataclasses.field(default=default, metadata=metadata)


class Quantities:
    """Mixin of a frozen dataclass: checks each `quantity` on construction, compares arrays by value."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            limits = field.metadata.get("limits")
            if limits is not None:
                checked = _checked(self.name_of(field.name), getattr(self, field.name), limits)
                object.__setattr__(self, field.name, checked)

    @classmethod
    def name_of(cls, field: str) -> str:
        """The name users see, as in a scenario file: `devices.power_max_w`."""
        return f"{cls.__name__.lower()}.{field}"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        # Copies and pickles are constructed anew: numpy does not keep an array's being read-only.
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        return functools.partial(type(self), **values), ()

    def require(self, holds: Any, field: str, sentence: str) -> None:
        """Raise unless `holds`: '<part>.<field> <sentence>, got <value>'."""
        if not np.all(holds):
            raise InvalidInputError(f"{self.name_of(field)} {sentence}, got {shown(getattr(self, field))}")


def shown(value: Any) -> str:
    """A value as an error message shows it: short, arrays as lists."""
    if isinstance(value, np.ndarray) and value.ndim:
        items = [shown(item) for item in value[:4]]
        return "[" + ", ".join(items) + (", ...]" if len(value) > 4 else "]")
    return f"{value:g}" if isinstance(value, int | float | np.number | np.ndarray) else repr(value)


def _checked(name: str, value: Any, limits: Limits) -> Any:
    """`value` as a float, an int or a read-only float64 array, once it obeys `limits`."""
    kind = "a number, or one for each device" if limits.per_device else "a number"
    array = _real_numbers(value)
    if array is None or array.ndim > int(limits.per_device) or array.size == 0:
        raise InvalidInputError(f"{name} must be {kind}, got {value!r}")
    complaint = limits.complaint(array)
    if complaint is not None:
        raise InvalidInputError(f"{name} must be {complaint}, got {shown(array)}")
    if array.ndim == 0:
        return int(array) if limits.integer else float(array)
    array.flags.writeable = False
    return array


def _real_numbers(value: Any) -> np.ndarray | None:
    """A float64 copy of `value`, or None unless all in it are real numbers; numpy would take text and truth values."""
    try:
        items = np.array(value, dtype=object)
        if not all(isinstance(item, numbers.Real) and not isinstance(item, bool) for item in items.flat):
            return None
        return items.astype(np.float64)
    except (ValueError, OverflowError):
        return None
