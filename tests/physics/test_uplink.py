"""Rate, time and energy of an upload."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelearn_env.physics.uplink import uplink_rate_bps, upload_time_s

powers = st.floats(1e-5, 1.0)
gains = st.floats(1e-13, 1e-7)
bandwidths = st.floats(1e4, 1e8)
noises = st.floats(1e-21, 1e-19)
NOISE = 1.25e-20


def rate(power_w, gain, bandwidth_hz, noise=NOISE):
    return float(uplink_rate_bps(np.array(power_w), np.array(gain), bandwidth_hz, noise))


def test_a_signal_to_noise_ratio_of_three_carries_two_bit_a_second_and_hertz():
    bandwidth, gain = 2e6, 1e-10
    power = 3 * NOISE * bandwidth / gain
    assert rate(power, gain, bandwidth) == pytest.approx(2 * bandwidth, rel=1e-14)


@given(powers, gains, bandwidths, noises)
def test_rate_is_bandwidth_times_the_logarithm_of_one_plus_the_signal_to_noise_ratio(p, g, W, n):
    assert rate(p, g, W, n) == pytest.approx(W * math.log1p(p * g / (n * W)) / math.log(2), rel=1e-13)


@given(powers, gains, bandwidths, st.floats(1.01, 10))
def test_rate_increases_in_power_but_less_than_in_proportion(p, g, W, factor):
    assert rate(p, g, W) < rate(factor * p, g, W) < factor * rate(p, g, W)


@given(powers, powers, gains, bandwidths, st.floats(0.01, 0.99))
def test_rate_is_concave_in_power(p, q, g, W, share):
    mixed = rate(share * p + (1 - share) * q, g, W)
    assert mixed >= (share * rate(p, g, W) + (1 - share) * rate(q, g, W)) * (1 - 1e-12)


@given(powers, gains, bandwidths, st.floats(1.01, 10))
def test_rate_increases_with_the_gain_and_with_the_bandwidth_and_falls_with_the_noise(p, g, W, factor):
    assert rate(p, factor * g, W) > rate(p, g, W)
    assert rate(p, g, factor * W) > rate(p, g, W)
    assert rate(p, g, W, factor * NOISE) < rate(p, g, W)


@given(powers, gains, bandwidths)
def test_no_power_or_bandwidth_beats_the_wideband_limit(p, g, W):
    assert rate(p, g, W) <= p * g / (NOISE * math.log(2)) * (1 + 1e-12)


def test_upload_time_is_size_over_rate():
    assert float(upload_time_s(np.array(3.2e6), np.array(1.6e6))) == 2.0


@given(powers, gains, bandwidths, st.floats(1.01, 5))
def test_a_slower_upload_needs_less_energy(p, g, W, factor):
    Q = 1e6
    slow, fast = (float(upload_time_s(np.array(Q), np.array(rate(power, g, W)))) for power in (p, factor * p))
    assert fast < slow
    # Below a signal-to-noise ratio of 1e-6 the energy is at its wideband limit up to rounding.
    assert p * slow <= factor * p * fast * (1 + 1e-9)
    if p * g / (NOISE * W) > 1e-6:
        assert p * slow < factor * p * fast


@given(powers, gains, bandwidths)
def test_upload_energy_as_a_function_of_the_upload_time_inverts_the_rate(p, g, W):
    Q = 1e6
    u = float(upload_time_s(np.array(Q), np.array(rate(p, g, W))))
    needed_w = NOISE * W / g * math.expm1(math.log(2) * Q / (u * W))
    assert needed_w == pytest.approx(p, rel=1e-9)


def test_a_channel_without_gain_never_finishes_and_does_so_in_silence():
    rate_bps = uplink_rate_bps(np.array([0.1, 0.1]), np.array([0.0, 1e-9]), np.array([1e6, 1e6]), NOISE)
    upload_s = upload_time_s(np.array([1e6, 1e6]), rate_bps)
    assert rate_bps[0] == 0
    assert upload_s[0] == math.inf
    assert upload_s[1] == 1e6 / rate_bps[1]
