"""The charge of a harvesting battery after a round."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenarios import random_policy, random_scenario, random_tape, seeds

from edgelearn_env.physics.battery import battery_after_round_j
from edgelearn_env.trajectory import rollout

energies = st.floats(1e-3, 5.0)
charges = st.floats(0.0, 5.0)
harvests = st.floats(1e-4, 1.0)


def charge_after(battery_j, energy_j, harvest_w, duration_s, capacity_j):
    arrays = (np.array(value) for value in (battery_j, energy_j, harvest_w, duration_s, capacity_j))
    return float(battery_after_round_j(*arrays))


def test_charge_after_a_round_is_what_was_there_less_what_was_spent_plus_what_was_harvested():
    assert charge_after(1.0, 0.3, 0.05, 2.0, 9.0) == pytest.approx(1.0 - 0.3 + 0.05 * 2.0, rel=1e-15)


def test_charge_stops_at_the_capacity():
    assert charge_after(1.0, 0.3, 0.5, 2.0, 1.2) == 1.2


@given(energies, charges, harvests, st.floats(0, 10), energies)
def test_charge_after_a_payable_round_lies_between_zero_and_the_capacity(e, battery, h, duration_s, capacity):
    battery = min(battery, capacity)
    after = charge_after(battery, min(e, battery), h, duration_s, capacity)
    assert 0 <= after <= capacity
    assert after >= min(h * duration_s, capacity) - 1e-12


@given(charges, harvests, st.floats(0.01, 10))
def test_after_a_round_that_takes_all_there_was_only_its_harvest_is_left(battery, h, duration_s):
    assert charge_after(battery, battery, h, duration_s, 1e9) == pytest.approx(h * duration_s, rel=1e-15)


@given(energies, charges, harvests, st.floats(0.01, 10), st.floats(1.01, 3))
def test_charge_grows_with_battery_harvest_and_duration_and_shrinks_with_the_energy(e, battery, h, duration_s, factor):
    e = min(e, battery / 4)
    after = charge_after(battery, e, h, duration_s, 1e9)
    assert charge_after(factor * battery, e, h, duration_s, 1e9) >= after
    assert charge_after(battery, e, factor * h, duration_s, 1e9) > after
    assert charge_after(battery, e, h, factor * duration_s, 1e9) > after
    assert charge_after(battery, factor * e, h, duration_s, 1e9) <= after


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
    # What is paid was there when the round began: nothing is spent before it has been harvested.
    assert np.all(spent <= before)
    assert np.all((spent > 0) == outcomes.devices.participates[0])
