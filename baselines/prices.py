"""Least cost of a round's parts at given prices: the closed forms that make up the dual function.

Each function minimises over what one device (or the server) may choose, in physical units, with the price of a second,
of a joule and of 1/b given. They are exact for any prices, so a bound made from them holds whatever a solver returned.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import lambertw


class Processor(NamedTuple):
    """What computes: cycles a sample, energy constant (overheads included), clock limits in Hz, largest batch."""

    cycles_per_sample: np.ndarray
    capacitance_j_s2: np.ndarray
    freq_min_hz: np.ndarray
    freq_max_hz: np.ndarray
    batch_max: np.ndarray


class Uplink(NamedTuple):
    """What uploads, in natural units: `nats` = Q ln 2 / W seconds, `noise_w` = N_0 W / g watts, `power_max_w`."""

    nats_s: np.ndarray
    noise_w: np.ndarray
    power_max_w: np.ndarray


def cheapest_frequency_hz(time_price: np.ndarray, energy_price: np.ndarray, processor: Processor) -> np.ndarray:
    """argmin over f of time_price a / f + energy_price kappa a f^2: f = (time_price / (2 energy_price kappa))^(1/3).

    A time price below 0 pays for slowness: the lowest clock.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        stationary = np.cbrt(np.maximum(time_price, 0.0) / (2.0 * energy_price * processor.capacitance_j_s2))
    # 0/0: neither time nor energy has a price, any frequency will do.
    stationary = np.where(np.isnan(stationary), processor.freq_max_hz, stationary)
    return np.clip(stationary, processor.freq_min_hz, processor.freq_max_hz)


def least_compute_cost(
    noise_price: np.ndarray, time_price: np.ndarray, energy_price: np.ndarray, processor: Processor
) -> np.ndarray:
    """min over b, f of noise_price / b + time_price a b / f + energy_price kappa a b f^2.

    The cost of a sample q does not depend on b, so first f, then b = sqrt(noise_price / q), each within its limits.
    """
    freq_hz = cheapest_frequency_hz(time_price, energy_price, processor)
    cycles = processor.cycles_per_sample
    sample_cost = time_price * cycles / freq_hz + energy_price * processor.capacitance_j_s2 * cycles * freq_hz**2
    with np.errstate(divide="ignore", invalid="ignore"):
        batch = np.sqrt(noise_price / np.maximum(sample_cost, 0.0))
    batch = np.clip(np.where(np.isnan(batch), processor.batch_max, batch), 1.0, processor.batch_max)
    return noise_price / batch + sample_cost * batch


def least_upload_cost(time_price: np.ndarray, energy_price: np.ndarray, uplink: Uplink) -> np.ndarray:
    """inf over p of time_price u + energy_price p u, for prices of at least 0.

    With x = ln(1 + SNR): u = nats / x and p = noise (e^x - 1), minimised where e^x (x - 1) = time_price /
    (energy_price noise) - 1, that is x = 1 + W_0((...) / e) with Lambert's W, and x at most that of full power.
    """
    most = np.log1p(uplink.power_max_w / uplink.noise_w)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = time_price / (energy_price * uplink.noise_w)
    free = ~np.isfinite(ratio)
    stationary = 1.0 + lambertw((np.where(free, 0.0, ratio) - 1.0) / np.e).real
    # Without a time price the infimum is the limit x -> 0, which this floor reaches to rounding.
    x = np.where(free, most, np.clip(stationary, 1e-9, most))
    return uplink.nats_s * (time_price + energy_price * uplink.noise_w * np.expm1(x)) / x
