"""Uplink of a gradient over a device's own band (FDMA)."""

import math

from edgelearn_env.arrays.namespaces import Array, namespace_of


def uplink_rate_bps(power_w: Array, channel_gain: Array, bandwidth_hz: Array, noise_w_per_hz: float) -> Array:
    """Shannon rate W log2(1 + p g / (N_0 W)), bit/s.

    Args:
        power_w: p, transmit power, W, (B, K).
        channel_gain: g, power gain of the channel, (B, K).
        bandwidth_hz: W, Hz, (K,).
        noise_w_per_hz: N_0, noise power density, W/Hz.
    """
    xp = namespace_of(power_w)
    return bandwidth_hz / math.log(2) * xp.log1p(power_w * channel_gain / (noise_w_per_hz * bandwidth_hz))


def upload_time_s(upload_bit: Array, rate_bps: Array) -> Array:
    """u = Q / rate, s; infinite over a channel without gain, whose rate is 0."""
    xp = namespace_of(rate_bps)
    silent = rate_bps <= 0
    # Dividing by a stand-in keeps warnings and, under autograd, NaN gradients out of the branch not taken.
    upload_s = upload_bit / (rate_bps + xp.astype(silent, rate_bps.dtype))
    return xp.where(silent, upload_s + math.inf, upload_s)
