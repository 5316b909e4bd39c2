"""The least cost of coded rounds: bounds below everything that can be played, and rounds that come near to them."""

import numpy as np
import pytest
from random_codings import small_random_coding

from edgelearn_env import sample_tape
from edgelearn_env.baselines.gradient_coding.model.cheapest_codes import CodedRounds, cheapest_codes
from edgelearn_env.baselines.gradient_coding.model.choices import Choices, choices_of, holders_of
from edgelearn_env.baselines.gradient_coding.model.hardware import straggling_hardware
from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario

TOLERANCE = 1e-4


def coded(seed: int) -> tuple[GradientCodingScenario, RoundCosts, Choices]:
    """Rounds of a random system with a code, at random prices."""
    rng = np.random.default_rng(seed)
    scenario = small_random_coding(rng)
    while len(scenario.codes) == 1:
        scenario = small_random_coding(rng)
    tape = sample_tape(scenario, seed)
    hardware, shape = straggling_hardware(scenario, tape.channel_gain, tape.hidden), tape.harvest_w.shape
    costs = RoundCosts(
        second=10 ** rng.uniform(-1, 1, shape[0]),
        joule=10 ** rng.uniform(-1, 2, shape),
        gain=np.zeros(shape),
        noise=10 ** rng.uniform(-1, 1, shape[1]),
        dissimilarity=np.zeros(shape),
        devices=hardware.devices,
        uplink=hardware.uplink,
        longest_s=100.0,
        sets=AllowedSets.all_of(*shape),
    )
    return scenario, costs, choices_of(scenario)


def solved(costs: RoundCosts, choices: Choices) -> CodedRounds:
    nothing, no_limit = np.zeros(costs.joule.shape), np.full(len(costs.second), np.inf)
    return cheapest_codes(costs, choices, nothing, 0.0, TOLERANCE, no_limit)


def played_cost(costs: RoundCosts, choices: Choices, found: CodedRounds, rng: np.random.Generator) -> np.ndarray:
    """What rounds with random batches, clocks and powers cost, from the formulas of the model, (n,)."""
    rounds, part, held = found.round_index, choices.participates[found.choice], choices.holders[found.choice]
    devices, uplink, shape = costs.devices, costs.uplink, part.shape
    batch = rng.uniform(1.0, 1.0 + rng.uniform() * (devices.batch_max - 1.0), shape)
    freq_hz = rng.uniform(devices.freq_min_hz, devices.freq_max_hz, shape)
    power_w = uplink.power_max_w * 10 ** rng.uniform(-2, 0, shape)
    load = np.einsum("nkp,np->nk", held, batch)
    nats = np.broadcast_to(uplink.nats_s, costs.joule.shape)[rounds]
    upload_s = nats / np.log1p(power_w / uplink.noise_w[rounds])
    cycles, capacitance = devices.cycles_per_sample[rounds], devices.capacitance_j_s2[rounds]
    wait_s, stall_s = uplink.wait_s[rounds], devices.stall_s[rounds]
    finish_s = cycles * load / freq_hz + stall_s * load + upload_s + wait_s
    energy_j = capacitance * cycles * load * freq_hz**2 + power_w * upload_s
    last_s = np.max(np.where(part, finish_s, 0.0), axis=1)
    cost = np.sum(costs.noise / batch, axis=1) + np.sum(np.where(part, costs.joule[rounds] * energy_j, 0.0), axis=1)
    return cost + costs.second[rounds] * last_s


@pytest.mark.parametrize("seed", range(6))
def test_no_round_that_can_be_played_costs_less_than_its_bound(seed):
    _, costs, choices = coded(seed)
    found, rng = solved(costs, choices), np.random.default_rng(seed)
    least = np.min([played_cost(costs, choices, found, rng) for _ in range(2000)], axis=0)
    assert np.all(least >= found.bound)
    # Nor is the bound of another scale than what random rounds reach.
    assert np.median(least / found.bound) < 2


@pytest.mark.parametrize("seed", range(6))
def test_the_cheapest_choice_of_each_round_costs_what_is_proven(seed):
    _, costs, choices = coded(seed)
    found = solved(costs, choices)
    assert np.all(found.cost >= found.bound - 1e-9)
    least = np.full((2, len(costs.second)), np.inf)
    np.minimum.at(least[0], found.round_index, found.bound)
    np.minimum.at(least[1], found.round_index, found.cost)
    assert np.all(least[1] <= least[0] + TOLERANCE)


def test_what_a_round_is_said_to_cost_is_what_its_parts_come_to():
    _, costs, choices = coded(3)
    found = solved(costs, choices)
    rounds = found.round_index
    noise = np.sum(costs.noise / found.batch, axis=1)
    cost = noise + np.sum(costs.joule[rounds] * found.device_j, axis=1)
    cost += costs.second[rounds] * np.max(found.finish_s, axis=1)
    np.testing.assert_allclose(found.cost, cost, rtol=1e-9)
    assert np.all(found.device_j[~choices.participates[found.choice]] == 0)


def test_choices_have_just_as_many_devices_as_decoding_takes_and_hold_all_parts():
    scenario, _, choices = coded(0)
    edges, devices = scenario.coding.num_edges, scenario.devices_per_edge
    for role, participates, holders in zip(*choices, strict=True):
        s_e, s_w = scenario.codes[role - 1]
        by_edge = participates.reshape(edges, devices).sum(axis=1)
        assert sorted(by_edge.tolist()) == sorted([0] * s_e + [devices - s_w] * (edges - s_e))
        assert np.all(holders[participates].any(axis=0))
        assert not holders[~participates].any()
        np.testing.assert_array_equal(holders_of(scenario, (s_e, s_w)).sum(axis=1), (s_e + 1) * (s_w + 1))


def test_too_many_choices_are_refused_in_one_sentence():
    with pytest.raises(InvalidInputError, match="ways to wait for enough devices"):
        choices_of(GradientCodingScenario.load("run-time"))
