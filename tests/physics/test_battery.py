"""Waiting for a harvesting battery, and its charge after a round."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenarios import random_policy, random_scenario, random_tape, seeds

from edgelearn_env.physics.battery import battery_after_round_j, waiting_time_s
from edgelearn_env.trajectory import rollout

energies = st.floats(1e-3, 5.0)
charges = st.floats(0.0, 5.0)
harvests = st.floats(1e-4, 1.0)


def wait(energy_j, battery_j, harvest_w):
    return float(waiting_time_s(np.array(energy_j), np.array(battery_j), np.array(harvest_w)))


def charge_after(battery_j, energy_j, harvest_w, duration_s, capacity_j):
    arrays = (np.array(value) for value in (battery_j, energy_j, harvest_w, duration_s, capacity_j))
    return float(battery_after_round_j(*arrays))


def test_a_missing_joule_at_half_a_watt_takes_two_seconds():
    assert wait(3.0, 2.0, 0.5) == (3.0 - 2.0) / 0.5


@pytest.mark.parametrize("harvest_w", [0.0, 0.3])
@pytest.mark.parametrize("battery_j", [1.0, 1.5])
def test_a_battery_that_can_pay_does_not_wait(battery_j, harvest_w):
    assert wait(1.0, battery_j, harvest_w) == 0.0


def test_a_short_battery_without_harvest_waits_for_ever_and_in_silence():
    assert wait(1.0, 0.5, 0.0) == math.inf


@given(energies, charges, harvests)
def test_waiting_pays_exactly_for_the_round(e, battery, h):
    charged = battery + h * wait(e, battery, h)
    assert charged == pytest.approx(max(e, battery), rel=1e-12)


@given(energies, charges, harvests, st.floats(1.01, 3))
def test_waiting_grows_with_the_energy_and_shrinks_with_charge_and_harvest(e, battery, h, factor):
    waited = wait(e, battery, h)
    assert wait(factor * e, battery, h) >= waited
    assert wait(e, battery * factor, h) <= waited
    assert wait(e, battery, factor * h) <= waited
    if waited > 0:
        assert wait(factor * e, battery, h) > waited
        assert wait(e, battery, factor * h) < waited


def test_charge_after_a_round_is_what_was_there_less_what_was_spent_plus_what_was_harvested():
    assert charge_after(1.0, 0.3, 0.05, 2.0, 9.0) == pytest.approx(1.0 - 0.3 + 0.05 * 2.0, rel=1e-15)


def test_charge_stops_at_the_capacity():
    assert charge_after(1.0, 0.3, 0.5, 2.0, 1.2) == 1.2


@given(energies, charges, harvests, st.floats(0, 10), energies)
def test_charge_after_a_payable_round_lies_between_zero_and_the_capacity(e, battery, h, working_s, capacity):
    e, battery = min(e, capacity), min(battery, capacity)
    after = charge_after(battery, e, h, wait(e, battery, h) + working_s, capacity)
    assert -1e-12 <= after <= capacity
    assert after >= min(h * working_s, capacity) - 1e-12


@given(energies, harvests, st.floats(0.01, 10))
def test_after_a_wait_only_the_harvest_of_the_working_time_is_left(e, h, working_s):
    battery = 0.4 * e
    after = charge_after(battery, e, h, wait(e, battery, h) + working_s, 1e9)
    assert after == pytest.approx(h * working_s, rel=1e-9, abs=1e-12)


@given(seeds)
def test_energy_is_conserved_in_every_round_of_random_rollouts(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario))
    outcomes, capacity = trajectory.outcomes, scenario.energy.battery_capacity_j
    before, h = trajectory.observed.state.battery_j[0], trajectory.observed.conditions.harvest_w[0]
    after = np.concatenate([before[1:], trajectory.final_state.battery_j])
    spent = outcomes.devices.compute_j[0] + outcomes.devices.upload_j[0]
    np.testing.assert_allclose(
        after, np.minimum(before - spent + h * outcomes.duration_s[0][:, None], capacity), rtol=1e-12, atol=1e-15
    )
    assert np.all(after >= 0)
    assert np.all(after <= capacity)
    # What is paid was there: nothing is spent before it has been harvested.
    assert np.all(spent <= (before + h * outcomes.devices.wait_s[0]) * (1 + 1e-12))
