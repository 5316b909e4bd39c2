"""The best fine-tuning round at given prices, against a fine search, and what is done when little is left."""

import numpy as np
import pytest
from random_scenarios import random_scenario, random_tape

from edgelearn_env.baselines.two_stage.policies.largest_round import DevicesRound
from edgelearn_env.baselines.two_stage.policies.priced_round import (
    RoundPrices,
    finetune_outcome,
    priced_finetune_round,
    priced_parts,
    single_samples,
    used_by,
)
from edgelearn_env.model import Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Conditions, Tape
from edgelearn_env.two_stage.constants import constants_of
from edgelearn_env.two_stage.dynamics import initial_state

AMPLE = {"battery_initial_j": 1e3, "battery_capacity_j": 1e3}


def observed_at_start(scenario: Scenario, gain=1e-9, harvest_w=0.0, **changes) -> Observed:
    """One episode before its first round; `changes` to its state."""
    state = initial_state(constants_of(scenario), 1)
    each = np.ones_like(state.battery_j)
    return Observed(state._replace(**changes), Conditions(gain * each, harvest_w * each))


def prices_of(scenario: Scenario, second: float, joule: float) -> RoundPrices:
    each = np.ones((1, scenario.num_devices))
    return RoundPrices(scenario.gradient_noise_weight * each, np.full(1, second), joule * each)


def cost(prices: RoundPrices, batch, energy_j, finish_s) -> float:
    """What the round is to minimise."""
    return float(np.sum(prices.noise / batch) + prices.second[0] * np.max(finish_s) + np.sum(prices.joule * energy_j))


def least_cost(scenario: Scenario, observed: Observed, prices: RoundPrices) -> float:
    """The same by search: over durations, and for each over power and batch of every device, which is then in time."""
    devices, radio = scenario.devices, scenario.radio
    power_w = np.geomspace(1e-4, 1, 150)[:, None] * 0.2
    batch = np.geomspace(1, 128, 200)
    least = np.inf
    for duration_s in np.geomspace(0.2, 20, 150):
        total = prices.second[0] * duration_s
        for k in range(scenario.num_devices):
            snr = power_w * observed.conditions.channel_gain[0, k] / (radio.noise_w_per_hz * 1e6)
            upload_s = 3.2e6 / (1e6 * np.log2(1 + snr))
            left_s = np.maximum(duration_s - upload_s, 1e-9)
            freq_hz = np.maximum(7.5e6 * batch / left_s, 0.1e9)
            energy_j = devices.capacitance_j_s2[k] * 7.5e6 * batch * freq_hz**2 + power_w * upload_s
            possible = (freq_hz <= devices.freq_max_hz[k]) & (energy_j <= observed.state.battery_j[0, k])
            total += np.min(np.where(possible, prices.noise[0, k] / batch + prices.joule[0, k] * energy_j, np.inf))
        least = min(least, total)
    return float(least)


@pytest.mark.parametrize("gain", [1e-10, np.array([3e-11, 1e-9, 1e-9])])
@pytest.mark.parametrize(("second", "joule"), [(0.3, 3.0), (3.0, 3.0), (0.3, 30.0), (0.05, 0.3)])
@pytest.mark.parametrize("battery_j", [1e3, np.array([0.03, 0.5, 0.1])])
def test_a_round_costs_no_more_than_the_best_of_a_fine_search(tiny, gain, second, joule, battery_j):
    scenario = tiny.replace(energy=AMPLE, budgets={"delay_s": 1e3, "energy_j": 1e3})
    observed = observed_at_start(scenario, gain, battery_j=battery_j * np.ones((1, 3)))
    prices = prices_of(scenario, second, joule)
    best = least_cost(scenario, observed, prices)
    parts = priced_parts(constants_of(scenario), observed, prices)
    assert cost(prices, parts.batch, parts.energy_j, parts.finish_s) == pytest.approx(best, rel=0.03)
    parts = priced_parts(constants_of(scenario), observed, prices, num_steps=100)
    assert cost(prices, parts.batch, parts.energy_j, parts.finish_s) == pytest.approx(best, rel=0.005)

    chosen = priced_finetune_round(constants_of(scenario), observed, prices)
    np.testing.assert_array_equal(chosen.batch, np.round(chosen.batch))
    # Rounding down from b costs at most the share 1 / (b - 1) of the noise.
    whole = cost(prices, chosen.batch, *used_by(constants_of(scenario), observed, chosen))
    assert whole <= best * 1.03 + np.sum(prices.noise / chosen.batch / chosen.batch)


@pytest.mark.parametrize("short", ["time", "energy"])
def test_a_round_is_shortened_to_the_time_and_the_energy_that_are_left(tiny, short):
    scenario = tiny.replace(energy=AMPLE, budgets={"delay_s": 100.0, "energy_j": 100.0})
    system, prices, radio = constants_of(scenario), prices_of(scenario, 0.05, 0.3), scenario.radio
    free = priced_parts(system, observed_at_start(scenario), prices)
    assert np.max(free.finish_s) > 1.5
    assert np.sum(free.energy_j) > 0.15
    left = {
        "time": {"elapsed_s": np.full(1, 100.0 - radio.downlink_s - 1.0)},
        "energy": {"spent_j": np.full(1, 100.0 - radio.downlink_j - 0.1)},
    }
    observed = observed_at_start(scenario, **left[short])
    parts = priced_parts(system, observed, prices, num_steps=60)
    used = np.max(parts.finish_s) if short == "time" else 10 * np.sum(parts.energy_j)
    assert used == pytest.approx(1.0, rel=0.01)
    assert np.all(parts.batch > 1)


def test_no_device_of_a_priced_round_spends_more_than_its_battery_holds(tiny):
    prices, battery_j = prices_of(tiny, 0.05, 0.3), np.array([[0.5, 0.02, 0.002]])
    for harvest_w in (0.0, 1e-4, 0.1):
        observed = observed_at_start(tiny, harvest_w=harvest_w, battery_j=battery_j)
        parts = priced_parts(constants_of(tiny), observed, prices, num_steps=60)
        assert np.all(parts.energy_j <= battery_j * (1 + 1e-6))
        np.testing.assert_allclose(parts.energy_j[0, 1:], battery_j[0, 1:], rtol=0.01)


def rounds_done(scenario: Scenario, count: int):
    """Progress after that many fine-tuning rounds of good batches: little noise, and a start that still matters."""
    start = initial_state(constants_of(scenario), 1).bound_terms
    return start._replace(num_finetune_rounds=np.full(1, float(count)), finetune_term=np.full(1, count * 0.5))


def test_a_dead_battery_is_waited_for_and_the_others_keep_their_batches(tiny):
    observed = observed_at_start(
        tiny, harvest_w=0.02, battery_j=np.array([[0.5, 0.0, 0.5]]), bound_terms=rounds_done(tiny, 2)
    )
    system, prices = constants_of(tiny), prices_of(tiny, 0.3, 3.0)
    chosen = priced_finetune_round(system, observed, prices)
    assert chosen.batch[0, 1] == 1
    assert np.all(chosen.batch[0, [0, 2]] > 10)
    outcome = finetune_outcome(system, observed, chosen)
    assert outcome.counted[0]
    assert outcome.devices.wait_s[0, 1] > 0
    assert outcome.reward[0] > 0


def test_an_episode_is_rather_ended_than_made_worse_by_single_samples(tiny):
    system, prices = constants_of(tiny), prices_of(tiny, 0.3, 3.0)
    counted = []
    for count in (2, 25):
        observed = observed_at_start(
            tiny, harvest_w=0.02, battery_j=np.zeros((1, 3)), bound_terms=rounds_done(tiny, count)
        )
        chosen = priced_finetune_round(system, observed, prices)
        counted.append(finetune_outcome(system, observed, chosen).counted[0])
        singles = finetune_outcome(system, observed, single_samples(system, observed, prices))
        assert singles.counted[0]
        assert (singles.reward[0] > 0) == counted[-1]
    assert counted == [True, False]


def test_no_other_way_of_taking_single_samples_is_much_cheaper():
    compared = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scenario = random_scenario(rng)
        system, budgets, devices = constants_of(scenario), scenario.budgets, scenario.devices
        state = initial_state(system, 1)
        capacity_j = system.battery_capacity_j[None]
        state = state._replace(battery_j=capacity_j * 10 ** rng.uniform(-3, 0, capacity_j.shape))
        observed = Observed(state, Tape.stack([random_tape(rng, scenario)]).conditions(np.zeros(1, dtype=int)))
        second, joule = 1 / budgets.delay_s, 1 / budgets.energy_j
        chosen = single_samples(system, observed, prices_of(scenario, second, joule))
        found_j, found_s = used_by(system, observed, chosen)

        shape = (4000, 1, scenario.num_devices)
        freq_hz = rng.uniform(np.broadcast_to(devices.freq_min_hz, shape), devices.freq_max_hz)
        ways = DevicesRound(freq_hz, devices.power_max_w * 10 ** rng.uniform(-5, 0, shape), np.ones(shape))
        # Judged with less in the batteries: between the grid's energies lies where a device need not wait.
        poorer = observed._replace(state=state._replace(battery_j=0.8 * state.battery_j))
        energy_j, finish_s = used_by(system, poorer, ways)
        in_time = (finish_s <= 0.9 * (budgets.delay_s - scenario.radio.downlink_s)) & (energy_j <= 0.9 * capacity_j)
        least = np.min(np.where(in_time, second * np.where(in_time, finish_s, 0) + joule * energy_j, np.inf), axis=0)
        payable = np.isfinite(least)
        compared += np.sum(payable)
        assert np.all((second * found_s + joule * found_j)[payable] <= 1.3 * least[payable])
    assert compared > 50
