"""Everything that is fixed during an episode: server, devices, radio, energy, budgets, and what a system adds.

All values are SI. A scenario is made from a preset, from a TOML file, or in code; any field can be changed on the way.
"""

import dataclasses
import math
import reprlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import tomli_w

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import existing_file, written_atomically
from edgelearn_env.scenarios.parts import Budgets, Devices, Energy, Radio, Server
from edgelearn_env.scenarios.quantities import Limits, Quantities, shown
from edgelearn_env.scenarios.systems import DEFAULT_SYSTEM, SYSTEMS, System, located, system_named

# Parts of a scenario by name, each a table of fields; beside them may stand `name`, `system` and `preset`.
Tables = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """What is fixed in all episodes of one system; per-device fields are read-only arrays of shape (K,).

    Each system has a subclass, which adds parts of its own and says what they must agree on. Whatever names a scenario
    can be given to any of these classes: `Scenario` makes one of the right subclass, a subclass refuses all others.

    Raises:
        InvalidInputError: a value is out of its limits, or an array has the wrong length.
    """

    # Key of its system in SYSTEMS.
    system: ClassVar[str] = ""

    name: str
    server: Server
    devices: Devices
    radio: Radio
    energy: Energy
    budgets: Budgets

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidInputError(f"name must be a text, got {self.name!r}")
        for part in self.parts():
            object.__setattr__(self, part, _with_device_arrays(getattr(self, part), self.devices.num_devices))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # Nothing in it can change; Gymnasium copies the arguments of every environment.
        return self

    @classmethod
    def parts(cls) -> dict[str, type[Quantities]]:
        """Class of each part by its name, in the order of the fields."""
        return {field.name: field.type for field in dataclasses.fields(cls) if field.name != "name"}  # type: ignore[misc]

    @property
    def environment(self) -> str:
        """Id of the environment that plays such scenarios."""
        return SYSTEMS[self.system].environment

    @property
    def num_devices(self) -> int:
        """K."""
        return self.devices.num_devices

    @property
    def mean_channel_gain(self) -> np.ndarray:
        """g_1 d_k^-alpha: channel gain without fading and shadowing, (K,)."""
        return np.asarray(self.radio.gain_at_1m * self.devices.distance_m**-self.radio.path_loss_exponent)

    @property
    def in_words(self) -> str:
        """Its size and budgets, for a title: `10 devices, 200 s, 60 J`."""
        return size_and_budgets(self)

    def replace(self, **changes: Mapping[str, Any] | str) -> Self:
        """A copy with some fields changed: `scenario.replace(budgets={"delay_s": 100.0}, name="short")`.

        With another `devices={"num_devices": K}`, fields of one number a device that are not given themselves are those
        of the first devices, or of all of them again and again, and weights still sum to 1.
        """
        if _is_resized({"devices": {"num_devices": self.num_devices}}, changes):
            return type(self).from_dict(self.to_dict(), **changes)
        changed: dict[str, Any] = {}
        for part, values in changes.items():
            if part == "name":
                changed[part] = values
            else:
                fields = _checked_fields(part, values, _known(part, self.parts(), "scenario part"))
                changed[part] = dataclasses.replace(getattr(self, part), **fields)
        return dataclasses.replace(self, **changed) if changed else self

    @classmethod
    def presets(cls) -> tuple[str, ...]:
        """Names of the presets that ship with the package, those of all systems."""
        return tuple(sorted(_preset_files()))

    @classmethod
    def preset(cls, name: str) -> Self:
        """The preset of that name.

        Raises:
            InvalidInputError: there is no such preset.
        """
        return cls.load({"preset": name})

    @classmethod
    def load(cls, source: "Scenario | str | Path | Tables", **changes: Mapping[str, Any] | str) -> Self:
        """A scenario from whatever names one, made once, with some fields changed.

        Args:
            source: a scenario, a preset's name, a path ending in .toml, or a table of tables.
            changes: as for `replace`.

        Raises:
            InvalidInputError: there is none of that name, a wrong value, or a scenario of another system than that of a
                subclass.
        """
        if isinstance(source, Scenario):
            return _of_kind(source, cls).replace(**changes)
        if isinstance(source, str | Path) and str(source).endswith(".toml"):
            return cls.from_toml(source, **changes)
        table = source if isinstance(source, Mapping) else {"preset": str(source)}
        return cls.from_dict(table, **changes)

    @classmethod
    def from_dict(cls, table: Tables, **changes: Mapping[str, Any] | str) -> Self:
        """A scenario from nested tables; with a `preset` key, those tables only list what differs from it."""
        whole = _merged(_preset_tables(table["preset"]), table) if "preset" in table else dict(table)
        kind = located(system_named(whole.get("system", DEFAULT_SYSTEM)).scenario)
        for part in changes:
            _known(part, {"name": None, **kind.parts()}, "scenario part")
        whole = _merged(whole, changes)
        whole.pop("system", None)
        return _of_kind(_from_tables(kind, whole), cls)

    @classmethod
    def from_toml(cls, path: str | Path, **changes: Mapping[str, Any] | str) -> Self:
        """Read a scenario file.

        Raises:
            InvalidInputError: no such file, not TOML, or a wrong value; the sentence names the file.
        """
        path = existing_file(path, "scenario")
        try:
            return cls.from_dict(tomllib.loads(path.read_text(encoding="utf-8-sig")), **changes)
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidInputError(f"scenario file {str(path)!r} is not valid TOML: {error}") from error
        except InvalidInputError as error:
            raise InvalidInputError(f"scenario file {str(path)!r}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Nested plain tables, as in a scenario file; `Scenario.from_dict` is the inverse."""
        table: dict[str, Any] = {"name": self.name, "system": self.system}
        for part in self.parts():
            values = getattr(self, part)
            names = [field.name for field in dataclasses.fields(values)]
            table[part] = {name: _plain(getattr(values, name)) for name in names}
        return table

    def to_toml(self, path: str | Path) -> None:
        """Write the scenario as a TOML file, atomically."""
        with written_atomically(path) as temporary:
            temporary.write_text(tomli_w.dumps(self.to_dict()), encoding="utf-8")


Kind = TypeVar("Kind", bound=Scenario)
Value = TypeVar("Value")


def first_difference(there: Scenario, here: Scenario) -> str | None:
    """The first field in which two scenarios differ, as '<part>.<field> was 2, here it is 3'; not by their names."""
    if there.system != here.system:
        return f"system was {there.system!r}, here it is {here.system!r}"
    fields = [(part, field.name) for part, kind in there.parts().items() for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for part, name in [("devices", "num_devices"), *fields]:
        old, new = getattr(getattr(there, part), name), getattr(getattr(here, part), name)
        if not np.array_equal(old, new):
            return f"{part}.{name} was {shown(old)}, here it is {shown(new)}"
    return None


def size_and_budgets(scenario: Scenario) -> str:
    """What the title of every system's results says: `10 devices, 200 s, 60 J`."""
    devices = f"{scenario.num_devices} device{'s' if scenario.num_devices > 1 else ''}"
    return f"{devices}, {scenario.budgets.delay_s:g} s, {scenario.budgets.energy_j:g} J"


def _preset_tables(name: Any) -> dict[str, Any]:
    """What the file of a preset says, with what it takes over from another."""
    files = _preset_files()
    if name not in files:
        raise InvalidInputError(f"unknown scenario preset {name!r}: choose one of {', '.join(sorted(files))}")
    table = tomllib.loads(files[name].read_text(encoding="utf-8"))
    return _merged(_preset_tables(table["preset"]), table) if "preset" in table else table


def _preset_files() -> dict[Any, Traversable]:
    """The files of all presets by their names."""
    folders = [resources.files(system.presets) for system in SYSTEMS.values() if system.presets]
    files = [file for folder in folders for file in folder.iterdir() if file.name.endswith(".toml")]
    return {file.name.removesuffix(".toml"): file for file in files}


def _merged(tables: Tables, changes: Tables) -> dict[str, Any]:
    """Tables with those fields changed that other tables list; `Scenario.replace` says what another size changes."""
    merged = _resized(tables, changes["devices"]["num_devices"]) if _is_resized(tables, changes) else dict(tables)
    for part, values in changes.items():
        if part == "preset":
            continue
        fields = isinstance(values, Mapping) and isinstance(merged.get(part), Mapping)
        merged[part] = {**merged[part], **values} if fields else values
    return merged


def _is_resized(tables: Tables, changes: Tables) -> bool:
    """Whether changes of a scenario's tables give it another number of devices."""
    own, new = (part.get("devices") for part in (tables, changes))
    if not (isinstance(own, Mapping) and isinstance(new, Mapping)):
        return False
    counts = own.get("num_devices"), new.get("num_devices")
    sound = all(isinstance(count, int | np.integer) and not isinstance(count, bool) and count >= 1 for count in counts)
    return sound and counts[0] != counts[1]


def _resized(tables: Tables, num_devices: int) -> dict[str, Any]:
    """The tables with what is a list by device for that many: its first entries, or all of them again and again."""
    before, resized = tables["devices"]["num_devices"], dict(tables)
    kind = located(system_named(tables.get("system", DEFAULT_SYSTEM)).scenario)
    for part, quantities in kind.parts().items():
        if isinstance(tables.get(part), Mapping):
            resized[part] = {**tables[part]}
            for name, limits in _limits_by_device(quantities).items():
                if name in resized[part]:
                    value = _of_devices(resized[part][name], before, num_devices, keeps_sum=limits.sums_to_one)
                    resized[part][name] = value
    return resized


def _of_devices(value: Any, before: int, after: int, *, keeps_sum: bool) -> Any:
    """A field's value for another number of devices; whatever is none of theirs as it is, to be refused."""
    if keeps_sum and isinstance(value, float | int | np.number):
        value = [value] * before
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != before:
        return value
    resized = [value[index % before] for index in range(after)]
    are_numbers = all(isinstance(each, float | int | np.number) for each in resized)
    if keeps_sum and are_numbers and 0 < sum(resized) < math.inf:
        return [each * (sum(value) / sum(resized)) for each in resized]
    return resized


def _from_tables(kind: type[Kind], tables: Tables) -> Kind:
    """A scenario of that class from all of its parts."""
    parts = kind.parts()
    for part in tables:
        _known(part, {"name": None, **parts}, "scenario part")
    for part in ("name", *parts):
        if part not in tables:
            raise InvalidInputError(f'scenario part {part!r} is missing (or name a base: preset = "default")')
    made: dict[str, Any] = {part: _part_from_table(part, tables[part], parts[part]) for part in parts}
    return kind(name=tables["name"], **made)


def checked_scenario(scenario: Any, kind: type[Kind]) -> Kind:
    """The scenario itself, once it is known to be one of that class.

    Raises:
        InvalidInputError: it is something else, such as a preset's name.
    """
    if not isinstance(scenario, Scenario):
        sentence = f"scenario must be a Scenario, got {reprlib.repr(scenario)}"
        raise InvalidInputError(f"{sentence}: Scenario.load makes one of a preset's name, a .toml file or a table")
    return _of_kind(scenario, kind)


def system_of(scenario: Any) -> System:
    """Where to find what plays and solves a scenario of any system.

    Raises:
        InvalidInputError: it is no scenario.
    """
    return system_named(checked_scenario(scenario, Scenario).system)


def _of_kind(scenario: Scenario, kind: type[Kind]) -> Kind:
    """The scenario itself, once it is known to be of that class."""
    if not isinstance(scenario, kind):
        sentence = f"scenario must be of system {kind.system!r}"
        raise InvalidInputError(f"{sentence}, but {scenario.name!r} is of system {scenario.system!r}")
    return scenario


def _known(name: str, table: Mapping[str, Value], what: str) -> Value:
    if name not in table:
        raise InvalidInputError(f"unknown {what} {name!r}: choose one of {', '.join(sorted(table))}")
    return table[name]


def _checked_fields(part: str, values: Any, kind: type[Quantities]) -> Mapping[str, Any]:
    """`values`, once it is known to be a table of fields of that part."""
    if not isinstance(values, Mapping):
        raise InvalidInputError(f"{part} must be a table of fields, got {values!r}")
    fields = dict.fromkeys(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
    for name in values:
        _known(name, fields, f"field of {part}")
    return values


def _part_from_table(part: str, values: Any, kind: type[Quantities]) -> Quantities:
    values = _checked_fields(part, values, kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.name not in values and field.default is dataclasses.MISSING:
            raise InvalidInputError(f"{part}.{field.name} is missing")
    return kind(**values)


def _with_device_arrays(part: Quantities, num_devices: int) -> Quantities:
    """`part` with every per-device field as a read-only array of shape (K,)."""
    changes = {}
    for name in _limits_by_device(type(part)):
        value = np.asarray(getattr(part, name))
        if value.ndim and value.shape != (num_devices,):
            sentence = f"must be one number or {num_devices} numbers (devices.num_devices)"
            raise InvalidInputError(f"{part.name_of(name)} {sentence}, got {value.size}: {shown(value)}")
        changes[name] = np.broadcast_to(value, (num_devices,))
    return dataclasses.replace(part, **changes) if changes else part  # type: ignore[type-var]


def _limits_by_device(part: type[Quantities]) -> dict[str, Limits]:
    """Limits of the fields that hold a number for each device, by name."""
    fields = [field for field in dataclasses.fields(part) if "limits" in field.metadata]  # type: ignore[arg-type]
    return {field.name: field.metadata["limits"] for field in fields if field.metadata["limits"].per_device}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
