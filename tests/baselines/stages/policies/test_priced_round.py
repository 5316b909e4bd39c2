"""The best fine-tuning round at given prices, against a fine search, and what is done when little is left."""

import numpy as np
import pytest
from random_scenarios import random_scenario, random_tape

from edgelearn_env.baselines.stages.policies.priced_round import (
    Parts,
    RoundPrices,
    hardware_now,
    priced_finetune_round,
    priced_parts,
)
from edgelearn_env.model import Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.bounds import dissimilarity_share
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Conditions, Tape
from edgelearn_env.two_stage.dynamics import step

AMPLE = {"battery_initial_j": 1e3, "battery_capacity_j": 1e3}


def parts_of(system, observed, prices):
    return priced_parts(system, observed, prices, hardware_now(system, observed))


def round_of(system, observed, prices):
    return priced_finetune_round(system, observed, prices, hardware_now(system, observed))


def observed_at_start(scenario: Scenario, gain=1e-9, **changes) -> Observed:
    """One episode before its first round; `changes` to its state."""
    state = initial_state(constants_of(scenario), 1)
    each = np.ones_like(state.battery_j)
    return Observed(state._replace(**changes), Conditions(gain * each, 0.0 * each))


def prices_of(
    scenario: Scenario, second: float, joule: float, gain: float = 3.0, dissimilarity: float = 0.0
) -> RoundPrices:
    """`gain` is what all devices together are worth."""
    each = np.ones((1, scenario.num_devices))
    return RoundPrices(
        noise=scenario.gradient_noise_weight,
        second=np.full(1, second),
        joule=joule * each,
        gain=gain * scenario.learning.device_weight * each,
        dissimilarity=dissimilarity,
    )


def cost(scenario: Scenario, prices: RoundPrices, parts: Parts) -> float:
    """What the round is to minimise, downlink apart; nobody waits for the idle round's time."""
    part, radio = parts.participates[0], scenario.radio
    if not part.any():
        return float(prices.second[0] * (radio.idle_s - radio.downlink_s))
    own = prices.noise / parts.batch[0] + prices.joule[0] * parts.energy_j[0] - prices.gain[0]
    beta = dissimilarity_share(np.sum(scenario.learning.device_weight * part))
    return float(np.sum(own[part]) + prices.dissimilarity * beta + prices.second[0] * np.max(parts.finish_s[0, part]))


def least_cost(scenario: Scenario, observed: Observed, prices: RoundPrices) -> float:
    """The same by search: over sets and durations, for each over power and batch of every device that is in time."""
    devices, radio, K = scenario.devices, scenario.radio, scenario.num_devices
    power_w = np.geomspace(1e-4, 1, 150)[:, None] * 0.2
    batch = np.geomspace(1, 128, 200)
    sets = (np.arange(1, 2**K)[:, None] >> np.arange(K)) % 2 == 1
    beta = dissimilarity_share(np.sum(scenario.learning.device_weight * sets, axis=1))
    least = float(prices.second[0] * (radio.idle_s - radio.downlink_s))
    for duration_s in np.geomspace(0.2, 20, 100):
        own = np.empty(K)
        for k in range(K):
            snr = power_w * observed.conditions.channel_gain[0, k] / (radio.noise_w_per_hz * 1e6)
            upload_s = 3.2e6 / (1e6 * np.log2(1 + snr))
            left_s = np.maximum(duration_s - upload_s, 1e-9)
            freq_hz = np.maximum(7.5e6 * batch / left_s, 0.1e9)
            energy_j = devices.capacitance_j_s2[k] * 7.5e6 * batch * freq_hz**2 + power_w * upload_s
            possible = (freq_hz <= devices.freq_max_hz[k]) & (energy_j <= observed.state.battery_j[0, k])
            total = prices.noise[k] / batch + prices.joule[0, k] * energy_j - prices.gain[0, k]
            own[k] = np.min(np.where(possible, total, 1e9))
        least = min(least, prices.second[0] * duration_s + float(np.min(sets @ own + prices.dissimilarity * beta)))
    return least


@pytest.mark.parametrize("gain", [1e-10, np.array([1e-13, 1e-9, 1e-9])])
@pytest.mark.parametrize(("second", "joule"), [(0.3, 3.0), (3.0, 3.0), (0.05, 0.3)])
@pytest.mark.parametrize("battery_j", [1e3, np.array([0.03, 0.5, 0.1])])
@pytest.mark.parametrize("dissimilarity", [0.0, 1.0])
def test_a_round_costs_little_more_than_the_best_of_all_sets_in_a_fine_search(
    tiny, gain, second, joule, battery_j, dissimilarity
):
    scenario = tiny.replace(energy=AMPLE, budgets={"delay_s": 1e3, "energy_j": 1e3})
    observed = observed_at_start(scenario, gain, battery_j=battery_j * np.ones((1, 3)))
    prices = prices_of(scenario, second, joule, dissimilarity=dissimilarity)
    parts, best = parts_of(constants_of(scenario), observed, prices), least_cost(scenario, observed, prices)
    # All taking part is worth 3; where a battery is short, its price is only found to some digits.
    assert cost(scenario, prices, parts) <= best + (0.01 if np.ndim(battery_j) == 0 else 0.06)
    assert cost(scenario, prices, parts) >= best - 0.03


def allocation_of(chosen) -> Allocation:
    B = len(chosen.batch)
    return Allocation(np.ones(B, dtype=bool), np.full(B, 1e9), np.ones(B), chosen.freq_hz, chosen.power_w, chosen.batch)


def test_every_round_can_be_played_with_just_those_that_are_given_a_batch():
    counted, silent = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scenario = random_scenario(rng)
        system, budgets, state = constants_of(scenario), scenario.budgets, initial_state(constants_of(scenario), 8)
        left = 10 ** rng.uniform(-3, 0, (2, 8))
        state = state._replace(
            battery_j=system.battery_capacity_j * 10 ** rng.uniform(-3, 0, state.battery_j.shape),
            elapsed_s=budgets.delay_s * (1 - left[0]),
            spent_j=budgets.energy_j * (1 - left[1]),
        )
        conditions = Tape.stack([random_tape(rng, scenario)] * 8).conditions(np.zeros(8, dtype=int))
        each = np.ones((8, scenario.num_devices))
        worth = float(np.sum(scenario.gradient_noise_weight))
        prices = RoundPrices(
            noise=scenario.gradient_noise_weight,
            second=worth * 10 ** rng.uniform(-1, 1, 8) / budgets.delay_s,
            joule=worth * 10 ** rng.uniform(-1, 1, (8, 1)) / budgets.energy_j * each,
            gain=worth * scenario.learning.device_weight * each,
            dissimilarity=0.0,
        )
        chosen = round_of(system, Observed(state, conditions), prices)
        np.testing.assert_array_equal(chosen.batch, np.round(chosen.batch))
        _, outcome = step(system, state, conditions, allocation_of(chosen))
        asked = np.any(chosen.batch >= 1, axis=1)
        # A round of nobody may be longer than what is left.
        assert np.all(outcome.counted[asked])
        np.testing.assert_array_equal(outcome.devices.participates[asked], (chosen.batch >= 1)[asked])
        counted, silent = counted + np.sum(asked), silent + np.sum(chosen.batch[asked] < 1)
    assert counted >= 200
    assert silent >= 50


@pytest.mark.parametrize(("left_s", "left_j"), [(1.0, 50.0), (0.4, 50.0), (50.0, 0.1), (50.0, 0.02)])
def test_a_round_is_shortened_to_the_time_and_the_energy_that_are_left(tiny, left_s, left_j):
    scenario = tiny.replace(energy=AMPLE, budgets={"delay_s": 100.0, "energy_j": 100.0})
    system, prices, radio = constants_of(scenario), prices_of(scenario, 0.05, 0.3, 30.0), scenario.radio
    free = parts_of(system, observed_at_start(scenario), prices)
    assert np.max(free.finish_s) > 1.5
    assert np.sum(free.energy_j) > 0.15
    spent = {
        "elapsed_s": np.full(1, 100.0 - radio.downlink_s - left_s),
        "spent_j": np.full(1, 100.0 - radio.downlink_j - left_j),
    }
    parts = parts_of(system, observed_at_start(scenario, **spent), prices)
    used = max(np.max(parts.finish_s) / left_s, np.sum(parts.energy_j) / left_j)
    assert 0.98 <= used <= 1 + 1e-9
    assert np.all(parts.participates & (parts.batch > 1))


def test_no_device_of_a_priced_round_spends_more_than_its_battery_holds(tiny):
    prices, battery_j = prices_of(tiny, 0.05, 0.3), np.array([[0.5, 0.02, 0.005]])
    parts = parts_of(constants_of(tiny), observed_at_start(tiny, battery_j=battery_j), prices)
    assert parts.participates.all()
    assert np.all(parts.energy_j <= battery_j)
    assert np.all(parts.energy_j[0, 1:] > 0.98 * battery_j[0, 1:])


def test_a_dead_battery_is_not_waited_for_and_the_others_keep_their_batches(tiny):
    system, prices = constants_of(tiny), prices_of(tiny, 0.3, 3.0)
    full, dead = (
        round_of(system, observed_at_start(tiny, battery_j=np.array([[0.5, charge_j, 0.5]])), prices)
        for charge_j in (0.5, 0.0)
    )
    assert full.batch[0, 1] > 10
    assert dead.batch[0, 1] == 0
    assert np.all(dead.batch[0, [0, 2]] >= 0.5 * full.batch[0, [0, 2]])


def test_a_device_in_a_deep_fade_is_left_silent_where_waiting_costs_more_than_it_is_worth(tiny):
    scenario = tiny.replace(energy=AMPLE, budgets={"delay_s": 1e3, "energy_j": 1e3})
    gain = np.array([1e-9, 1e-14, 1e-9])
    upload_s = 3.2e6 / (1e6 * np.log2(1 + 0.2 * 1e-14 / (1.2589254117941673e-20 * 1e6)))
    # A third of 30 is worth more than such an upload and of 3 is not.
    assert 3 / 3 < 0.3 * upload_s < 30 / 3 / 2
    for worth, takes_part in ((3.0, False), (30.0, True)):
        prices = prices_of(scenario, 0.3, 0.3, worth)
        chosen = round_of(constants_of(scenario), observed_at_start(scenario, gain), prices)
        np.testing.assert_array_equal(chosen.batch[0] >= 1, [True, takes_part, True])


def test_where_all_devices_are_in_a_deep_fade_nobody_takes_part(tiny):
    for gain in (1e-16, 0.0):
        chosen = round_of(constants_of(tiny), observed_at_start(tiny, gain), prices_of(tiny, 0.3, 3.0))
        np.testing.assert_array_equal(chosen.batch, np.zeros((1, 3)))
