"""Least cost of a round's parts at given prices: the closed forms that make up the dual function.

Each function minimises over what one device (or the server) may choose, in physical units, with the price of a second,
of a joule and of 1/b given. They are exact for any prices, so a bound made from them holds whatever a solver returned.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np

# One number for the server, one for each device or for each round and device: a float or an array, as prices are.
Array = Any

Price = np.ndarray | float


class Processor(NamedTuple):
    """What computes: cycles a sample, energy constant (overheads included), clock limits in Hz, largest batch.

    `stall_s` passes for each sample besides, whatever the clock.
    """

    cycles_per_sample: Array
    capacitance_j_s2: Array
    freq_min_hz: Array
    freq_max_hz: Array
    batch_max: Array
    stall_s: Array = 0.0


class Uplink(NamedTuple):
    """What uploads, in natural units: `nats_s` = Q ln 2 / W seconds, `noise_w` = N_0 W / g watts, power limits.

    `wait_s` passes besides, whatever the power.
    """

    nats_s: np.ndarray
    noise_w: np.ndarray
    power_max_w: np.ndarray
    power_min_w: Price = 0.0
    wait_s: Price = 0.0

    @property
    def least_s(self) -> np.ndarray:
        """u at full power."""
        least_s: np.ndarray = self.nats_s / np.log1p(self.power_max_w / self.noise_w)
        return least_s


Part = TypeVar("Part", Processor, Uplink)


def in_rounds(hardware: Part, rounds: np.ndarray | int) -> Part:
    """What differs between rounds, (T, K), as it is in those at some indices, (n, K), or in one, (K,)."""
    fields: Any = hardware
    return type(hardware)(*(array[rounds] if np.ndim(array) == 2 else array for array in fields))


def cheapest_frequency_hz(time_price: Price, energy_price: Price, processor: Processor) -> Array:
    """argmin over f of time_price a / f + energy_price kappa a f^2: f = (time_price / (2 energy_price kappa))^(1/3).

    A time price below 0 pays for slowness: the lowest clock.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        stationary = np.cbrt(time_price / (2.0 * energy_price * processor.capacitance_j_s2))
    # Also where neither time nor energy has a price and any frequency will do.
    stationary = np.where(time_price > 0, stationary, processor.freq_min_hz)
    return np.clip(stationary, processor.freq_min_hz, processor.freq_max_hz)


class Least(NamedTuple):
    """A least cost and the seconds at which it is attained, which are its derivative in the price of time."""

    cost: Array
    seconds: Array


def cheapest_sample(time_price: Price, energy_price: Price, processor: Processor) -> Least:
    """min over f of time_price a / f + energy_price kappa a f^2: the least cost of computing one sample."""
    freq_hz = cheapest_frequency_hz(time_price, energy_price, processor)
    seconds = processor.cycles_per_sample / freq_hz + processor.stall_s
    joules = processor.capacitance_j_s2 * processor.cycles_per_sample * freq_hz**2
    return Least(time_price * seconds + energy_price * joules, seconds)


def cheapest_batch(noise_price: Price, sample: Least, batch_max: Array) -> Least:
    """min over b of noise_price / b + q b with q the cost of a sample: b = sqrt(noise_price / q), within [1, b_max]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        batch = np.sqrt(noise_price / np.maximum(sample.cost, 0.0))
    # 0/0: neither noise nor samples have a price, any batch will do.
    batch = np.clip(np.where(np.isnan(batch), batch_max, batch), 1.0, batch_max)
    return Least(noise_price / batch + sample.cost * batch, sample.seconds * batch)


def cheapest_compute(noise_price: Price, time_price: Price, energy_price: Price, processor: Processor) -> Least:
    """min over b, f of noise_price / b + time_price a b / f + energy_price kappa a b f^2."""
    sample = cheapest_sample(time_price, energy_price, processor)
    return cheapest_batch(noise_price, sample, processor.batch_max)


def cheapest_upload(time_price: Price, energy_price: Price, uplink: Uplink) -> Least:
    """inf over p of time_price (u + wait) + energy_price p u, for prices of at least 0; with u + wait as its seconds.

    With x = ln(1 + SNR): u = nats / x and p = noise (e^x - 1), minimised where e^x (x - 1) = time_price /
    (energy_price noise) - 1, that is x = 1 + W_0((...) / e) with Lambert's W, and x within the limits of the power.
    """
    least, most = (np.log1p(power_w / uplink.noise_w) for power_w in (uplink.power_min_w, uplink.power_max_w))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = time_price / (energy_price * uplink.noise_w)
    free = ~np.isfinite(ratio)
    ratio = np.where(free, 0.0, ratio)
    stationary = _one_plus_lambert_w(ratio)
    # Without a time price the infimum is the limit x -> 0, which this floor reaches to rounding.
    x = np.where(free, most, np.clip(stationary, np.clip(least, _LEAST_NATS, most), most))
    seconds = uplink.nats_s / x
    cost = seconds * (time_price + energy_price * uplink.noise_w * np.expm1(x)) + time_price * uplink.wait_s
    return Least(cost, seconds + uplink.wait_s)


def _one_plus_lambert_w(ratio: Array) -> Array:
    """1 + W_0((ratio - 1) / e), ratio at least 0: scipy's, which is of complex numbers, takes many times as long.

    Halley's method, below z = 0 from the series at the branch point, in sqrt(2 ratio), above it from
    l (1 - ln(1 + l) / (2 + l)) with l = ln(1 + z), which is within 2 %. Next to the branch point, where w is lost in
    rounding, the series is exact.
    """
    root = np.sqrt(2.0 * np.minimum(ratio, 1.0))
    series = root * (1.0 - root * (1.0 / 3.0 - root * (11.0 / 72.0 - 43.0 / 540.0 * root)))
    z = (ratio - 1.0) / np.e
    log_z = np.log1p(np.maximum(z, 0.0))
    w = np.where(ratio > 1.0, log_z * (1.0 - np.log1p(log_z) / (2.0 + log_z)), series - 1.0)
    for _ in range(_HALLEY_STEPS):
        power = np.exp(w)
        missing = w * power - z
        next_to_branch = np.where(ratio > _NEAR_BRANCH_POINT, w + 1.0, 1.0)
        step = missing / (power * next_to_branch - (w + 2.0) * missing / (2.0 * next_to_branch))
        w = w - step
    return np.where(ratio > _NEAR_BRANCH_POINT, 1.0 + w, series)


# Where the next term of the series, of order ratio^(5/2), is below rounding.
_NEAR_BRANCH_POINT = 1e-6

_HALLEY_STEPS = 3

# ln(1 + SNR) of the slowest upload: it costs this much more, relative, than one without end.
_LEAST_NATS = 1e-15
