"""Everything that is fixed during an episode: server, devices, radio, energy, learning constants, budgets.

All values are SI. A scenario is made from a preset, from a TOML file, or in code; any field can be changed on the way.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
import tomli_w

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import existing_file, written_atomically
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.scenarios.quantities import Quantities, quantity, shown
from edgelearn_env.two_stage.bounds import BOUNDS, LearningBound

PerDevice = float | np.ndarray
_PRESETS = resources.files("edgelearn_env.two_stage") / "presets"

_part = dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)


@_part
class Server(Quantities):
    """The edge server, which runs the pre-training rounds."""

    flops_per_cycle: float = quantity("FLOPs the server does in one clock cycle", "c_s", "FLOP/cycle", above=0)
    freq_min_hz: float = quantity("lowest clock frequency", "f_s,min", "Hz", above=0)
    freq_max_hz: float = quantity("highest clock frequency", "f_s,max", "Hz", above=0)
    capacitance_j_s2: float = quantity("effective switched capacitance", "kappa_s", "J s^2", above=0)
    overhead_factor: float = quantity("energy drawn per joule computed (cooling, memory)", "rho", at_least=1)
    batch_max: int = quantity("largest mini-batch", "b_s,max", "sample", at_least=1, integer=True)

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        self.require(self.freq_max_hz >= self.freq_min_hz, "freq_max_hz", "must be at least server.freq_min_hz")


@_part
class Devices(Quantities):
    """The wireless devices, which fine-tune together."""

    num_devices: int = quantity("number of devices", "K", at_least=1, integer=True)
    flops_per_cycle: PerDevice = quantity(
        "FLOPs a device does in one clock cycle", "c_k", "FLOP/cycle", above=0, per_device=True
    )
    freq_min_hz: PerDevice = quantity("lowest clock frequency", "f_k,min", "Hz", above=0, per_device=True)
    freq_max_hz: PerDevice = quantity("highest clock frequency", "f_k,max", "Hz", above=0, per_device=True)
    capacitance_j_s2: PerDevice = quantity(
        "effective switched capacitance", "kappa_k", "J s^2", above=0, per_device=True
    )
    batch_max: PerDevice = quantity(
        "largest mini-batch", "b_k,max", "sample", at_least=1, integer=True, per_device=True
    )
    power_min_w: PerDevice = quantity(
        "least transmit power an action can name; the model itself has none", "p_k,min", "W", above=0, per_device=True
    )
    power_max_w: PerDevice = quantity("largest transmit power", "p_k,max", "W", above=0, per_device=True)
    distance_m: PerDevice = quantity("distance to the server", "d_k", "m", above=0, per_device=True)

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        fits = _at_most(self.freq_min_hz, self.freq_max_hz)
        self.require(fits, "freq_max_hz", "must be at least devices.freq_min_hz")
        fits = _at_most(self.power_min_w, self.power_max_w)
        self.require(fits, "power_max_w", "must be at least devices.power_min_w")


@_part
class Radio(Quantities):
    """Uplink (one band for each device), fading, and the cost of the downlink."""

    bandwidth_hz: PerDevice = quantity("uplink bandwidth of a device", "W_k", "Hz", above=0, per_device=True)
    noise_w_per_hz: float = quantity("noise power density", "N_0", "W/Hz", above=0)
    gain_at_1m: float = quantity("mean channel gain at one metre", "g_1", above=0)
    path_loss_exponent: float = quantity("exponent of the distance in the mean gain", "alpha", at_least=0)
    shadowing_std_db: float = quantity(
        "log-normal shadowing, fixed in an episode", "sigma_sh", "dB", at_least=0, default=0.0
    )
    fading_correlation: float = quantity("correlation of the fading between rounds", "r", at_least=0, at_most=1)
    downlink_s: float = quantity("downlink overhead of a fine-tuning round, time", "t_dl", "s", above=0)
    downlink_j: float = quantity("downlink overhead of a fine-tuning round, energy", "e_dl", "J", at_least=0)


@_part
class Energy(Quantities):
    """Batteries and harvesting."""

    battery_initial_j: PerDevice = quantity("charge at the start", "B_k,0", "J", at_least=0, per_device=True)
    battery_capacity_j: PerDevice = quantity("battery capacity", "B_k,max", "J", above=0, per_device=True)
    harvest_mean_w: PerDevice = quantity("mean harvested power", "h_k", "W", at_least=0, per_device=True)
    harvest_flip_probability: float = quantity(
        "chance that a device's on/off harvest flips between rounds", "q_h", at_least=0, at_most=1
    )

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        fits = _at_most(self.battery_initial_j, self.battery_capacity_j)
        self.require(fits, "battery_initial_j", "must be at most energy.battery_capacity_j")


@_part
class Learning(Quantities):
    """The model that is trained and the constants of its learning bound."""

    objective: str = "finetune"
    flops_per_sample: float = quantity("training FLOPs of one sample", "c", "FLOP", above=0)
    upload_bit: float = quantity("size of an uploaded gradient", "Q", "bit", above=0)
    initial_gap: float = quantity("task loss above its least value at the start", "G_0", above=0)
    smoothness: float = quantity("smoothness constant of the loss", "L", above=0)
    pl_constant: float = quantity("Polyak-Lojasiewicz constant", "mu", above=0)
    distribution_gap: float = quantity("squared gradient distance between general and task data", "delta^2", at_least=0)
    server_step_size: float = quantity("step size of pre-training", "eta_0", above=0)
    device_step_size: float = quantity("step size of fine-tuning", "eta", above=0)
    server_gradient_variance: float = quantity("gradient variance of one general sample", "sigma_0^2", at_least=0)
    device_gradient_variance: PerDevice = quantity(
        "gradient variance of one task sample", "sigma_k^2", at_least=0, per_device=True
    )
    device_weight: PerDevice = quantity(
        "aggregation weight; all weights sum to 1", "omega_k", at_least=0, per_device=True
    )

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        known = isinstance(self.objective, str) and self.objective in BOUNDS
        self.require(known, "objective", f"must be one of {', '.join(BOUNDS)}")
        largest = 1 / self.smoothness
        for name in ("server_step_size", "device_step_size"):
            # The quotient 1/L is rounded: eta = 1/L as a user writes it must pass.
            fits = getattr(self, name) <= largest * (1 + 1e-12)
            self.require(fits, name, f"must be at most 1/learning.smoothness = {largest:g}")
        self.require(self.pl_constant <= self.smoothness, "pl_constant", "must be at most learning.smoothness")


@_part
class Budgets(Quantities):
    """What an episode may use up."""

    delay_s: float = quantity("delay budget of all rounds together", "T", "s", above=0)
    energy_j: float = quantity("energy budget of server, devices and overheads together", "E", "J", above=0)
    max_rounds: int = quantity(
        "rounds on the tape, hence the longest episode", "T_max", "round", at_least=1, integer=True
    )


PARTS: Mapping[str, type[Quantities]] = {
    part.__name__.lower(): part for part in (Server, Devices, Radio, Energy, Learning, Budgets)
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One two-stage edge-learning system; per-device fields are read-only arrays of shape (K,).

    Raises:
        InvalidInputError: a value is out of its limits, an array has the wrong length, or a budget cannot pay for a
            single fine-tuning round.
    """

    name: str
    server: Server
    devices: Devices
    radio: Radio
    energy: Energy
    learning: Learning
    budgets: Budgets

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidInputError(f"name must be a text, got {self.name!r}")
        for part in PARTS:
            object.__setattr__(self, part, _with_device_arrays(getattr(self, part), self.devices.num_devices))
        total = float(np.sum(self.learning.device_weight))
        self.learning.require(abs(total - 1) < 1e-9, "device_weight", f"must sum to 1 (the sum is {total:g})")
        self._require_one_affordable_round()

    @property
    def num_devices(self) -> int:
        """K."""
        return self.devices.num_devices

    @property
    def server_cycles_per_sample(self) -> float:
        """a_s = c / c_s: clock cycles the server needs for one sample."""
        return self.learning.flops_per_sample / self.server.flops_per_cycle

    @property
    def device_cycles_per_sample(self) -> np.ndarray:
        """a_k = c / c_k: clock cycles device k needs for one sample, (K,)."""
        return np.asarray(self.learning.flops_per_sample / self.devices.flops_per_cycle)

    @property
    def mean_channel_gain(self) -> np.ndarray:
        """g_1 d_k^-alpha: channel gain without fading and shadowing, (K,)."""
        return np.asarray(self.radio.gain_at_1m * self.devices.distance_m**-self.radio.path_loss_exponent)

    @property
    def gradient_noise_weight(self) -> np.ndarray:
        """omega_k^2 sigma_k^2: what device k's 1/b_k counts in the bound, (K,)."""
        return np.asarray(self.learning.device_weight**2 * self.learning.device_gradient_variance)

    @property
    def bound(self) -> LearningBound:
        """The learning bound that `learning.objective` names, with this scenario's constants."""
        return BOUNDS[self.learning.objective].of(self.learning)

    def replace(self, **parts: Mapping[str, Any] | str) -> Self:
        """A copy with some fields changed: `scenario.replace(budgets={"delay_s": 100.0}, name="short")`."""
        changed: dict[str, Any] = {}
        for part, values in parts.items():
            if part == "name":
                changed[part] = values
                continue
            kind = _known(part, PARTS, "scenario part")
            if not isinstance(values, Mapping):
                raise InvalidInputError(f"{part} must be a table of fields, got {values!r}")
            fields = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
            for name in values:
                _known(name, dict.fromkeys(fields), f"field of {part}")
            changed[part] = dataclasses.replace(getattr(self, part), **values)
        return dataclasses.replace(self, **changed)

    @classmethod
    def presets(cls) -> tuple[str, ...]:
        """Names of the presets that ship with the package."""
        files = _PRESETS.iterdir()
        return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))

    @classmethod
    def preset(cls, name: str) -> Self:
        """The preset of that name.

        Raises:
            InvalidInputError: there is no such preset.
        """
        if name not in cls.presets():
            raise InvalidInputError(f"unknown scenario preset {name!r}: choose one of {', '.join(cls.presets())}")
        return cls.from_dict(tomllib.loads((_PRESETS / f"{name}.toml").read_text(encoding="utf-8")))

    @classmethod
    def load(cls, source: "Scenario | str | Path | Mapping[str, Any]") -> "Scenario":
        """A scenario from whatever names one: itself, a preset's name, a path ending in .toml, or a table of tables."""
        if isinstance(source, Scenario):
            return source
        if isinstance(source, Mapping):
            return cls.from_dict(source)
        return cls.from_toml(source) if str(source).endswith(".toml") else cls.preset(str(source))

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """A scenario from nested tables; with a `preset` key, those tables only list what differs from it."""
        table = dict(table)
        if "preset" in table:
            base = cls.preset(str(table.pop("preset")))
            return base.replace(**table)
        for part in table:
            _known(part, {"name": None, **PARTS}, "scenario part")
        for part in ("name", *PARTS):
            if part not in table:
                raise InvalidInputError(f'scenario part {part!r} is missing (or name a base: preset = "default")')
        parts: dict[str, Any] = {part: _part_from_table(kind, table[part]) for part, kind in PARTS.items()}
        return cls(name=table["name"], **parts)

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read a scenario file.

        Raises:
            InvalidInputError: no such file, not TOML, or a wrong value; the sentence names the file.
        """
        path = existing_file(path, "scenario")
        try:
            return cls.from_dict(tomllib.loads(path.read_text(encoding="utf-8-sig")))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidInputError(f"scenario file {str(path)!r} is not valid TOML: {error}") from error
        except InvalidInputError as error:
            raise InvalidInputError(f"scenario file {str(path)!r}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Nested plain tables, as in a scenario file; `Scenario.from_dict` is the inverse."""
        table: dict[str, Any] = {"name": self.name}
        for part in PARTS:
            values = getattr(self, part)
            names = [field.name for field in dataclasses.fields(values)]
            table[part] = {name: _plain(getattr(values, name)) for name in names}
        return table

    def to_toml(self, path: str | Path) -> None:
        """Write the scenario as a TOML file, atomically."""
        with written_atomically(path) as temporary:
            temporary.write_text(tomli_w.dumps(self.to_dict()), encoding="utf-8")

    def _require_one_affordable_round(self) -> None:
        """A budget that cannot pay for one fine-tuning round of one sample a device leaves nothing to decide."""
        cycles, devices = self.device_cycles_per_sample, self.devices
        device_s = compute_time_s(cycles, 1, devices.freq_max_hz)
        device_j = compute_energy_j(devices.capacitance_j_s2, cycles, 1, devices.freq_min_hz)
        least_s = self.radio.downlink_s + float(np.max(device_s))
        least_j = self.radio.downlink_j + float(np.sum(device_j))
        for name, least, unit in (("delay_s", least_s, "s"), ("energy_j", least_j, "J")):
            budget = getattr(self.budgets, name)
            lacking = f"is infeasible, too small by {least - budget:.3g} {unit}"
            needed = f"one fine-tuning round of one sample a device takes {least:.3g} {unit} before any upload"
            self.budgets.require(budget > least, name, f"{lacking}: {needed}")


def first_difference(there: Scenario, here: Scenario) -> str | None:
    """The first field in which two scenarios differ, as '<part>.<field> was 2, here it is 3'; not by their names."""
    fields = [(part, field.name) for part, kind in PARTS.items() for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for part, name in [("devices", "num_devices"), *fields]:
        old, new = getattr(getattr(there, part), name), getattr(getattr(here, part), name)
        if not np.array_equal(old, new):
            return f"{part}.{name} was {shown(old)}, here it is {shown(new)}"
    return None


def _known(name: str, table: Mapping[str, Any], what: str) -> Any:
    if name not in table:
        raise InvalidInputError(f"unknown {what} {name!r}: choose one of {', '.join(sorted(table))}")
    return table[name]


def _part_from_table(kind: type[Quantities], values: Any) -> Quantities:
    part = kind.__name__.lower()
    if not isinstance(values, Mapping):
        raise InvalidInputError(f"{part} must be a table of fields, got {values!r}")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        _known(name, fields, f"field of {part}")
    missing = [n for n, field in fields.items() if n not in values and field.default is dataclasses.MISSING]
    if missing:
        raise InvalidInputError(f"{part}.{missing[0]} is missing")
    return kind(**values)


def _at_most(low: PerDevice, high: PerDevice) -> Any:
    """low <= high; unlike lengths pass here, for the scenario, which knows the right one, to refuse."""
    unlike = np.ndim(low) and np.ndim(high) and np.shape(low) != np.shape(high)
    return unlike or np.less_equal(low, high)


def _with_device_arrays(part: Quantities, num_devices: int) -> Quantities:
    """`part` with every per-device field as a read-only array of shape (K,)."""
    changes = {}
    for field in dataclasses.fields(part):  # type: ignore[arg-type]
        if "limits" in field.metadata and field.metadata["limits"].per_device:
            value = np.asarray(getattr(part, field.name))
            if value.ndim and value.shape != (num_devices,):
                sentence = f"must be one number or {num_devices} numbers (devices.num_devices)"
                raise InvalidInputError(f"{part.name_of(field.name)} {sentence}, got {value.size}: {shown(value)}")
            changes[field.name] = np.broadcast_to(value, (num_devices,))
    return dataclasses.replace(part, **changes) if changes else part  # type: ignore[type-var]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
