"""Coded rounds: when they end, who pays what, what they count, in any array library."""

import itertools

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from random_codings import random_coded_allocation, random_coded_policy, random_coded_tape, random_coding
from random_scenarios import seeds

from edgelearn_env.arrays.records import arrays_of, mapped
from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.dynamics import (
    decoding_time_s,
    device_load,
    edge_times_s,
    finetune_round,
    initial_state,
    step,
)
from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Conditions, Tape
from edgelearn_env.trajectory import rollout

TINY = Scenario.preset("coded-tiny")


def decision(*, code=(0, 0), batch=8.0, asked=True, freq_hz=5e8, power_w=0.05, scenario=TINY) -> Allocation:
    """A batch of one round of fine-tuning; the same for all devices where one number is given."""
    each = np.ones((1, scenario.num_devices))
    return Allocation(
        switch=np.array([True]),
        server_freq_hz=np.array([1e9]),
        server_batch=np.array([64.0]),
        freq_hz=freq_hz * each,
        power_w=power_w * each,
        batch=batch * each,
        edge_stragglers=np.array([code[0]]),
        device_stragglers=np.array([code[1]]),
        asked=np.asarray(asked) & (each > 0),
    )


def weather(*, slowdown=1.0, stall_s=0.0, tries=1.0, edge_tries=1.0, gain=1e-8, scenario=TINY) -> Conditions:
    """What a round brings; hidden values for each device or for all."""
    each, edges = np.ones((1, scenario.num_devices)), np.ones((1, scenario.coding.num_edges))
    return Conditions(
        gain * each, 0.0 * each, Hidden(slowdown * each, stall_s * each, tries * each, edge_tries * edges)
    )


def one_step(conditions=None, scenario=TINY, **decided):
    constants = CodingConstants.of(scenario)
    conditions = weather(scenario=scenario) if conditions is None else conditions
    return step(constants, initial_state(constants, 1), conditions, decision(scenario=scenario, **decided))


# When a round ends.


def least_time_s(finish_s, sent_s, s_e, s_w):
    """The minimum over sets that decode of the maximum in them: n - s_e edge nodes with m - s_w devices each."""
    n, m = finish_s.shape
    choices = [
        [max(finish_s[i, j] for j in devices) + sent_s[i] for devices in itertools.combinations(range(m), m - s_w)]
        for i in range(n)
    ]
    return min(
        max(choice)
        for edges in itertools.combinations(range(n), n - s_e)
        for choice in itertools.product(*(choices[i] for i in edges))
    )


@given(seeds)
def test_a_code_is_decoded_as_soon_as_any_set_that_decodes_is_there(seed):
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng, shape=((2, 3), (3, 2), (3, 3))[seed % 3])
    n, m, tau = scenario.coding.num_edges, scenario.devices_per_edge, scenario.coding.edge_s
    # Few different times, so that some are equal, and some devices that never come.
    finish_s = np.where(rng.random((1, n * m)) < 0.15, np.inf, rng.integers(1, 6, (1, n * m)) * 0.25)
    conditions = weather(scenario=scenario, edge_tries=rng.integers(1, 4, (1, n)))
    for s_e, s_w in scenario.codes[1:]:
        allocation = decision(scenario=scenario, code=(s_e, s_w))
        edge_s = edge_times_s(scenario, finish_s, conditions, allocation)
        expected = least_time_s(finish_s.reshape(n, m), tau * conditions.hidden.edge_tries[0], s_e, s_w)
        assert decoding_time_s(scenario, edge_s, allocation)[0] == pytest.approx(expected, rel=1e-14)


def test_without_a_code_a_round_waits_for_all_who_take_part_whatever_is_stored():
    upload_s = one_step()[1].devices.upload_s[0]
    slow = weather(slowdown=np.array([[1.0, 5.0, 1.0, 1.0]]))
    _, outcome = one_step(slow)
    assert outcome.duration_s[0] == pytest.approx(0.02 + 5 * 7.5e6 * 8 / 5e8 + upload_s[1] + 0.02 + 0.02, rel=1e-12)
    _, outcome = one_step(slow, batch=np.array([[8.0, 0.0, 8.0, 8.0]]))
    assert not outcome.devices.participates[0, 1]
    assert outcome.duration_s[0] < 1.0


def test_asking_matters_with_a_code_alone_and_a_batch_of_none_without_one_alone():
    some = np.array([[True, True, False, True]])
    assert np.all(one_step(asked=some)[1].devices.participates)
    np.testing.assert_array_equal(one_step(asked=some, code=(0, 1))[1].devices.participates, some)
    none = np.where(some, 8.0, 0.0)
    np.testing.assert_array_equal(one_step(batch=none)[1].devices.participates, some)
    _, outcome = one_step(batch=none, code=(0, 1))
    assert np.all(outcome.devices.participates)
    # A part has at least one sample, and its holders compute it: devices 2 and 3.
    np.testing.assert_array_equal(outcome.coded.load, [[16, 16, 9, 9]])


def test_a_code_that_cannot_be_decoded_waits_for_all_who_work_and_an_idle_time_and_counts_nothing():
    few = np.array([[True, False, False, False]])
    state, outcome = one_step(weather(slowdown=2.0), asked=few, code=(0, 1))
    assert outcome.counted[0]
    assert not outcome.coded.decoded[0]
    finish_s = 0.02 + 2 * 7.5e6 * 16 / 5e8 + outcome.devices.upload_s[0, 0]
    assert outcome.duration_s[0] == pytest.approx(finish_s + TINY.radio.idle_s, rel=1e-12)
    assert outcome.energy_j[0] > outcome.devices.compute_j[0, 0] > 0
    assert state.bound_terms.participation[0] == 0
    assert (state.bound_terms.num_finetune_rounds[0], outcome.reward[0]) == (1, 0)
    # Edge node 0 had its result, the other one never would.
    np.testing.assert_array_equal(outcome.coded.edge_s > 0, [[False, False]])
    assert one_step(asked=few, code=(1, 1))[1].coded.decoded[0]


def test_a_round_of_nobody_lasts_the_idle_time_with_a_code_and_without():
    for changes in ({"asked": False, "code": (1, 1)}, {"batch": 0.0}):
        _, outcome = one_step(**changes)
        assert outcome.duration_s[0] == TINY.radio.idle_s
        assert outcome.energy_j[0] == TINY.radio.downlink_j


# What it costs and brings.


@given(seeds)
@settings(max_examples=20)
def test_loads_are_sums_over_the_parts_that_the_product_code_gives_each_device(seed):
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng, shape=(3, 3))
    allocation = random_coded_allocation(rng, scenario, 4)
    loads, m = device_load(scenario, allocation), scenario.devices_per_edge
    for b, (s_e, s_w) in enumerate(zip(allocation.edge_stragglers, allocation.device_stragglers, strict=True)):
        for i, j in itertools.product(range(3), range(m)):
            parts = [((i + e) % 3) * m + (j + w) % m for e in range(s_e + 1) for w in range(s_w + 1)]
            assert loads[b, i * m + j] == pytest.approx(np.sum(allocation.batch[b, parts]), rel=1e-14)
    assert np.sum(loads) == pytest.approx(
        np.sum((allocation.edge_stragglers + 1) * (allocation.device_stragglers + 1) * allocation.batch.sum(axis=1))
    )


def test_whoever_is_cancelled_has_spent_in_proportion_to_the_time():
    slow = weather(slowdown=np.array([[1.0, 9.0, 1.0, 1.0]]))
    code, scenario = (0, 1), TINY.replace(energy={"battery_initial_j": 0.6})
    state, outcome = one_step(slow, scenario, code=code)
    whole = one_step(scenario=scenario, code=code)[1].devices
    end_s = outcome.duration_s[0] - 0.02
    finish_s = 0.02 + 9 * 7.5e6 * 16 / 5e8 + whole.upload_s[0, 1]
    lateness = 1 - end_s / finish_s
    assert 0.5 < lateness < 1
    assert outcome.coded.lateness[0, 1] == state.seen.lateness[0, 1] == pytest.approx(lateness, rel=1e-12)
    spent_j = (1 - lateness) * (whole.compute_j + whole.upload_j)[0, 1]
    assert (outcome.devices.compute_j + outcome.devices.upload_j)[0, 1] == pytest.approx(spent_j, rel=1e-12)
    assert state.battery_j[0, 1] == pytest.approx(0.6 - spent_j, rel=1e-12)
    assert outcome.devices.compute_s[0, 1] + outcome.devices.upload_s[0, 1] == pytest.approx(end_s, rel=1e-12)
    # All data count nevertheless, with the noise of each part's own batch.
    terms = state.bound_terms
    assert terms.participation[0] == pytest.approx(1.0)
    assert terms.finetune_term[0] == pytest.approx(10 * 0.1 * 4 * (1 / 4) ** 2 * 50 / 8, rel=1e-12)


@given(seeds)
@settings(max_examples=25)
def test_energy_is_conserved_and_batteries_stay_within_their_limits(seed):
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng)
    tape = random_coded_tape(rng, scenario)
    played = rollout(scenario, tape, random_coded_policy(rng, scenario))
    outcomes, final, capacity_j = played.outcomes, played.final_state, scenario.energy.battery_capacity_j
    devices_j = (outcomes.devices.compute_j + outcomes.devices.upload_j)[0]
    downlink_j = scenario.radio.downlink_j * final.bound_terms.num_finetune_rounds[0]
    used_j = np.sum(devices_j) + np.sum(outcomes.server_j) + downlink_j
    np.testing.assert_allclose(final.spent_j[0], used_j, rtol=1e-12)
    before = played.observed.state.battery_j[0]
    after = np.concatenate([before[1:], final.battery_j])
    filled = before - devices_j + tape.harvest_w[: len(before)] * outcomes.duration_s[0][:, None]
    counted = outcomes.counted[0][:, None]
    expected = np.where(counted, np.minimum(filled, capacity_j), before)
    np.testing.assert_allclose(after, expected, rtol=1e-12, atol=1e-15)
    assert np.all(after >= -1e-15)
    assert np.all(after <= capacity_j)
    assert np.all((outcomes.coded.lateness >= 0) & (outcomes.coded.lateness < 1))
    assert all(np.all(np.isfinite(array)) for array in arrays_of((outcomes, final)))


@given(seeds)
@settings(max_examples=25)
def test_a_code_for_more_stragglers_ends_no_later_where_nobody_computes_more(seed):
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng, shape=(2, 3))
    scenario = scenario.replace(coding={"stored_edge_stragglers": 1, "stored_device_stragglers": 2})
    finish_s, conditions = (
        rng.exponential(1.0, (1, 6)),
        weather(scenario=scenario, edge_tries=rng.integers(1, 4, (1, 2))),
    )
    ends = {
        code: decoding_time_s(scenario, edge_times_s(scenario, finish_s, conditions, decided), decided)[0]
        for code in scenario.codes[1:]
        for decided in [decision(scenario=scenario, code=code)]
    }
    for (s_e, s_w), end_s in ends.items():
        assert all(end_s <= ends[fewer] for fewer in ends if fewer[0] <= s_e and fewer[1] <= s_w)


# Whatever is played.


@given(seeds)
@settings(max_examples=15)
def test_inputs_are_not_written_to_and_outputs_alias_none_of_them(seed):
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng)
    constants = CodingConstants.of(scenario)
    tapes = Tape.stack([random_coded_tape(rng, scenario) for _ in range(3)])
    state = initial_state(constants, 3)
    for _ in range(3):
        inputs = (state, tapes.conditions(state.round_index), random_coded_allocation(rng, scenario, 3))
        arrays = [*arrays_of(inputs), *arrays_of(constants.staged[2:]), constants.start_s]
        before = [array.copy() for array in arrays]
        for array in arrays:
            array.flags.writeable = False
        outputs = step(constants, *inputs)
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)
            assert not any(np.shares_memory(array, output) for output in arrays_of(outputs))
        state = outputs[0]


@given(seeds)
@settings(max_examples=10)
def test_a_batch_is_bit_for_bit_the_same_as_its_episodes_one_by_one(seed):
    rng = np.random.default_rng(seed)
    scenario, B = random_coding(rng), 5
    constants = CodingConstants.of(scenario)
    tapes = Tape.stack([random_coded_tape(rng, scenario) for _ in range(B)])
    together, alone = initial_state(constants, B), [initial_state(constants, 1) for _ in range(B)]
    while not np.all(together.ended):
        inputs = tapes.conditions(together.round_index), random_coded_allocation(rng, scenario, B, switch=0.5)
        together, outcome = step(constants, together, *inputs)
        for i in range(B):
            row = mapped(lambda array, i=i: array[i : i + 1], inputs)
            alone[i], single = step(constants, alone[i], *row)
            for batched, lone in zip(arrays_of((together, outcome)), arrays_of((alone[i], single)), strict=True):
                np.testing.assert_array_equal(batched[i : i + 1], lone)
                assert batched.dtype == lone.dtype


def assert_library_agrees(xp, seed, rtol):
    """A batch of whole episodes in numpy and in the library `xp`, each from its own states."""
    rng = np.random.default_rng(seed)
    scenario, B = random_coding(rng), 4
    tapes = Tape.stack([random_coded_tape(rng, scenario) for _ in range(B)])
    reference, constants = CodingConstants.of(scenario), CodingConstants.of(scenario, xp=xp)
    state, other = initial_state(reference, B), initial_state(constants, B)
    while not np.all(state.ended):
        inputs = tapes.conditions(state.round_index), random_coded_allocation(rng, scenario, B, switch=0.5, ceiling=0.5)
        state, outcome = step(reference, state, *inputs)
        other, other_outcome = step(constants, other, *mapped(xp.asarray, inputs))
        for ours, theirs in zip(arrays_of((state, outcome)), arrays_of((other, other_outcome)), strict=True):
            assert np.asarray(theirs).dtype == ours.dtype
            np.testing.assert_allclose(np.asarray(theirs), ours, rtol=rtol, atol=rtol)


@given(seeds)
@settings(max_examples=5)
def test_step_under_the_strict_array_standard_equals_numpy(seed):
    assert_library_agrees(array_api_strict, seed, rtol=1e-14)


@given(seeds)
@settings(max_examples=8)
def test_step_in_torch_equals_numpy(seed):
    pytest.importorskip("torch")
    from edgelearn_env.arrays import torch_names

    assert_library_agrees(torch_names, seed, rtol=1e-12)


def test_what_is_not_a_number_ends_an_episode():
    for changes in ({"freq_hz": np.nan}, {"power_w": np.nan}, {"batch": np.nan}):
        for code in ((0, 0), (1, 1)):
            state, outcome = one_step(code=code, **changes)
            assert state.ended[0]
            assert not outcome.counted[0]
            assert all(np.all(np.isfinite(array)) for array in arrays_of((state, outcome)))


def test_a_round_shows_nothing_before_fine_tuning_and_where_it_is_not_counted():
    constants = CodingConstants.of(TINY)
    slow = weather(slowdown=4.0, tries=2.0)
    decided = decision(code=(1, 1))
    for allocation, scenario in (
        (decided._replace(switch=np.array([False])), TINY),
        (decided, TINY.replace(budgets={"energy_j": 0.02})),
    ):
        constants = CodingConstants.of(scenario)
        start = initial_state(constants, 1)
        state, outcome = step(constants, start, slow, allocation)
        mapped(np.testing.assert_array_equal, state.seen, start.seen)
        assert all(np.all(array == 0) for array in outcome.coded)
    _, coded = finetune_round(constants, start.battery_j, slow, decided)
    assert np.any(coded.load > 0)
