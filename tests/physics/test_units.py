"""Decibels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgelearn_env.physics.units import db_to_ratio, dbm_to_w


@pytest.mark.parametrize(("level_db", "ratio"), [(0.0, 1.0), (10.0, 10.0), (-30.0, 1e-3), (3.0, 10**0.3)])
def test_ten_decibels_are_a_factor_of_ten(level_db, ratio):
    assert db_to_ratio(level_db) == pytest.approx(ratio, rel=1e-14)


@pytest.mark.parametrize(("level_dbm", "power_w"), [(0.0, 1e-3), (30.0, 1.0), (23.0, 10**-0.7), (-169.0, 10**-19.9)])
def test_zero_decibel_milliwatt_are_a_milliwatt(level_dbm, power_w):
    assert dbm_to_w(level_dbm) == pytest.approx(power_w, rel=1e-14)


@given(st.floats(-200, 200), st.floats(-100, 100))
def test_adding_decibels_multiplies_ratios(first_db, second_db):
    assert db_to_ratio(first_db + second_db) == pytest.approx(db_to_ratio(first_db) * db_to_ratio(second_db), rel=1e-12)


def test_arrays_are_converted_entry_by_entry():
    np.testing.assert_allclose(db_to_ratio(np.array([0.0, 10.0, 20.0])), [1.0, 10.0, 100.0], rtol=1e-14)
