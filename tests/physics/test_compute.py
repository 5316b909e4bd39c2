"""Time and energy of computing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelearn_env.physics.compute import compute_energy_j, compute_time_s

cycles = st.floats(1e5, 1e8)
batches = st.integers(1, 512)
freqs = st.floats(1e8, 3e9)
kappas = st.floats(1e-28, 1e-25)
factors = st.floats(1.01, 10.0)


def test_ten_samples_of_a_million_cycles_take_ten_milliseconds_at_one_gigahertz():
    assert compute_time_s(1e6, 10.0, 1e9) == pytest.approx(1e6 * 10 / 1e9, rel=1e-15)


def test_energy_is_capacitance_times_cycles_times_frequency_squared():
    assert compute_energy_j(2e-27, 1e6, 10.0, 1e9) == pytest.approx(2e-27 * 1e6 * 10 * 1e9**2, rel=1e-15)


@given(cycles, batches, freqs, factors)
def test_a_faster_clock_is_quicker_and_costs_the_square_in_energy(a, b, f, factor):
    assert compute_time_s(a, b, factor * f) * factor == pytest.approx(compute_time_s(a, b, f), rel=1e-12)
    ratio = compute_energy_j(1e-27, a, b, factor * f) / compute_energy_j(1e-27, a, b, f)
    assert ratio == pytest.approx(factor**2, rel=1e-12)


@given(kappas, cycles, batches, freqs)
def test_time_and_energy_are_proportional_to_the_batch(kappa, a, b, f):
    assert compute_time_s(a, b, f) == pytest.approx(b * compute_time_s(a, 1, f), rel=1e-12)
    assert compute_energy_j(kappa, a, b, f) == pytest.approx(b * compute_energy_j(kappa, a, 1, f), rel=1e-12)


@given(kappas, cycles, batches, freqs)
def test_in_terms_of_its_time_a_computation_costs_the_cube_of_the_cycles_over_the_square_of_the_time(kappa, a, b, f):
    t = compute_time_s(a, b, f)
    assert compute_energy_j(kappa, a, b, f) == pytest.approx(kappa * a**3 * b**3 / t**2, rel=1e-11)


def test_every_device_of_every_episode_is_computed_by_itself():
    a, kappa = np.array([1e6, 2e6, 4e6]), np.array([1e-27, 2e-27, 3e-27])
    b, f = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[1e9, 2e9, 3e9], [1.5e9, 2.5e9, 0.5e9]])
    times, energies = compute_time_s(a, b, f), compute_energy_j(kappa, a, b, f)
    assert times.shape == energies.shape == (2, 3)
    for i in range(2):
        for k in range(3):
            assert times[i, k] == compute_time_s(a[k], b[i, k], f[i, k])
            assert energies[i, k] == compute_energy_j(kappa[k], a[k], b[i, k], f[i, k])
