"""The parts that scenarios of every system have: server, devices, radio, energy, budgets. All values are SI."""

import dataclasses
from typing import Any

import numpy as np

from edgelearn_env.scenarios.quantities import Quantities, quantity

PerDevice = float | np.ndarray

# How a part is declared, here and in a system's own folder.
part = dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)


@part
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


@part
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


@part
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
    idle_s: float = quantity(
        "duration of a fine-tuning round in which nobody takes part", "t_idle", "s", above=0, default=1.0
    )


@part
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


@part
class Budgets(Quantities):
    """What an episode may use up."""

    delay_s: float = quantity("delay budget of all rounds together", "T", "s", above=0)
    energy_j: float = quantity("energy budget of server, devices and overheads together", "E", "J", above=0)
    max_rounds: int = quantity(
        "rounds on the tape, hence the longest episode", "T_max", "round", at_least=1, integer=True
    )


def _at_most(low: PerDevice, high: PerDevice) -> Any:
    """low <= high; unlike lengths pass here, for the scenario, which knows the right one, to refuse."""
    unlike = np.ndim(low) and np.ndim(high) and np.shape(low) != np.shape(high)
    return unlike or np.less_equal(low, high)
