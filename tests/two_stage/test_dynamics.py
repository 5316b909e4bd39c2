"""One step of the whole system: what may never happen, whatever is decided, in any array library."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from random_scenarios import random_allocation, random_policy, random_scenario, random_tape, seeds

from edgelearn_env.physics.budgets import DELAY, END_REASONS, ENERGY, LAST_ROUND, RUNNING
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.records import Allocation
from edgelearn_env.stages.synchronous import finetune_round
from edgelearn_env.tapes.tape import Conditions, Tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.dynamics import step


def leaves(record):
    """The arrays of a nested record, in order."""
    return [leaf for field in record for leaf in leaves(field)] if isinstance(record, tuple) else [record]


def converted(record, convert):
    """A nested record with every array converted."""
    if isinstance(record, tuple):
        fields = [converted(field, convert) for field in record]
        return type(record)(*fields) if hasattr(record, "_fields") else tuple(fields)
    return convert(record)


def episodes(record, index):
    """Part of a batch."""
    return converted(record, lambda array: array[index])


def random_tapes(rng, scenario, batch_size):
    return Tape.stack([random_tape(rng, scenario) for _ in range(batch_size)])


def middling(scenario: Scenario, *, switch: bool, **changes) -> Allocation:
    """A batch of one with everything midway in its range, but for `changes`."""
    server, devices, K = scenario.server, scenario.devices, scenario.num_devices
    values = {
        "switch": np.array([switch]),
        "server_freq_hz": np.array([1e9]),
        "server_batch": np.array([64.0]),
        "freq_hz": 0.5 * devices.freq_max_hz[None],
        "power_w": 0.5 * devices.power_max_w[None],
        "batch": np.full((1, K), 8.0),
    }
    assert server.freq_min_hz < 1e9 < server.freq_max_hz
    return Allocation(**values | changes)


def played(scenario, allocation, *, gain=1e-9, harvest_w=0.005, state=None):
    """One step of a batch of one, under the same conditions for all devices."""
    system = constants_of(scenario)
    each = np.ones((1, scenario.num_devices))
    state = initial_state(system, 1) if state is None else state
    return step(system, state, Conditions(gain * each, harvest_w * each), allocation)


# The start.


def test_an_episode_starts_with_nothing_done_and_the_scenario_s_batteries(tiny):
    state = initial_state(constants_of(tiny), 2)
    assert not np.any(state.ended | state.finetuning)
    for array in (state.round_index, state.elapsed_s, state.spent_j, *state.bound_terms[:2], *state.bound_terms[3:]):
        np.testing.assert_array_equal(array, [0, 0])
    np.testing.assert_array_equal(state.battery_j, np.full((2, 3), 0.3))
    np.testing.assert_array_equal(state.bound_terms.pretrain_term, [2.3, 2.3])


def test_the_arrays_of_a_fresh_state_are_all_its_own(tiny):
    system = constants_of(tiny)
    arrays = leaves(initial_state(system, 2))
    for i, first in enumerate(arrays):
        assert not any(np.shares_memory(first, second) for second in arrays[i + 1 :])
        assert not np.shares_memory(first, system.battery_initial_j)


# One round by hand.


def test_a_server_round_takes_cycles_over_frequency_and_costs_the_server_alone(tiny):
    state, outcome = played(tiny, middling(tiny, switch=False))
    cycles = 3e7 / 32.0 * 64
    assert outcome.counted[0]
    assert outcome.duration_s[0] == pytest.approx(cycles / 1e9, rel=1e-14)
    assert outcome.energy_j[0] == outcome.server_j[0] == pytest.approx(1.2 * 2e-26 * cycles * 1e18, rel=1e-14)
    np.testing.assert_allclose(state.battery_j, 0.3 + 0.005 * cycles / 1e9, rtol=1e-14)
    assert (state.bound_terms.num_pretrain_rounds[0], state.bound_terms.num_finetune_rounds[0]) == (1, 0)
    assert all(np.all(array == 0) for array in outcome.devices)


def test_a_device_round_lasts_until_the_slowest_upload_and_the_downlink_and_the_server_rests(tiny):
    state, outcome = played(tiny, middling(tiny, switch=True))
    f, p, a = 0.5 * tiny.devices.freq_max_hz, 0.1, 3e7 / 4
    upload_s = 3.2e6 / (1e6 * np.log2(1 + p * 1e-9 / (tiny.radio.noise_w_per_hz * 1e6)))
    finish_s = a * 8 / f + upload_s
    device_j = tiny.devices.capacitance_j_s2 * a * 8 * f**2 + p * upload_s
    assert outcome.duration_s[0] == pytest.approx(np.max(finish_s) + 0.02, rel=1e-13)
    assert outcome.energy_j[0] == pytest.approx(np.sum(device_j) + 0.01, rel=1e-13)
    assert outcome.server_j[0] == 0
    np.testing.assert_allclose(state.battery_j[0], 0.3 - device_j + 0.005 * outcome.duration_s[0], rtol=1e-13)
    assert (state.bound_terms.num_pretrain_rounds[0], state.bound_terms.num_finetune_rounds[0]) == (0, 1)
    assert state.bound_terms.finetune_term[0] == pytest.approx(10 * 0.1 * 3 * (1 / 3) ** 2 * 50 / 8, rel=1e-13)
    assert state.bound_terms.participation[0] == pytest.approx(1, rel=1e-14)
    assert np.all(outcome.devices.participates)
    assert state.finetuning[0]


def cost_of_each(scenario, allocation, **conditions):
    """What a round costs each device that can pay for it, J, (K,)."""
    rich = scenario.replace(energy={"battery_initial_j": 1e3, "battery_capacity_j": 1e3})
    _, outcome = played(rich, allocation, **conditions)
    assert np.all(outcome.devices.participates)
    return (outcome.devices.compute_j + outcome.devices.upload_j)[0]


@pytest.mark.parametrize("harvest_w", [0.0, 1e3])
def test_a_battery_that_covers_its_round_exactly_pays_for_it_and_one_that_lacks_a_whisker_is_silent(tiny, harvest_w):
    # However much is harvested during the round: it comes too late.
    allocation = middling(tiny, switch=True)
    cost_j = cost_of_each(tiny, allocation)
    exact = tiny.replace(energy={"battery_initial_j": cost_j.tolist()})
    state, outcome = played(exact, allocation, harvest_w=harvest_w)
    np.testing.assert_array_equal(outcome.devices.participates, [[True] * 3])
    np.testing.assert_array_equal(
        state.battery_j, np.minimum(harvest_w * outcome.duration_s, 0.6)[:, None] * np.ones(3)
    )
    cost_j[1] = np.nextafter(cost_j[1], 0)
    short = tiny.replace(energy={"battery_initial_j": cost_j.tolist()})
    _, outcome = played(short, allocation, harvest_w=harvest_w)
    np.testing.assert_array_equal(outcome.devices.participates, [[True, False, True]])
    assert outcome.counted[0]


@pytest.mark.parametrize("why", ["no battery", "no batch", "no channel"])
def test_a_silent_device_takes_no_time_costs_nothing_and_counts_for_nothing_whyever_it_is_silent(tiny, why):
    # The first is the slowest of all, but the other two are all that the round waits for.
    allocation = middling(tiny, switch=True)
    allocation.freq_hz[0, 0] = tiny.devices.freq_min_hz[0]
    _, full = played(tiny, allocation, harvest_w=0.05)
    finish_s = (full.devices.compute_s + full.devices.upload_s)[0]
    assert np.argmax(finish_s) == 0
    gain, scenario = np.array([[1e-9] * 3]), tiny
    if why == "no battery":
        scenario = tiny.replace(energy={"battery_initial_j": [1e-3, 0.3, 0.3]})
    elif why == "no batch":
        allocation.batch[0, 0] = 0
    else:
        gain[0, 0] = 0.0
    state, outcome = played(scenario, allocation, gain=gain, harvest_w=0.05)
    np.testing.assert_array_equal(outcome.devices.participates, [[False, True, True]])
    for part, of_all in zip(outcome.devices, full.devices, strict=True):
        np.testing.assert_array_equal(part, np.where([[False, True, True]], of_all, 0))
    assert outcome.duration_s[0] == pytest.approx(np.max(finish_s[1:]) + 0.02, rel=1e-14)
    assert outcome.duration_s[0] < full.duration_s[0]
    spent_j = np.sum(full.devices.compute_j + full.devices.upload_j, axis=-1, where=[False, True, True])
    assert outcome.energy_j[0] == pytest.approx(spent_j[0] + 0.01, rel=1e-14)
    # It harvests all the same.
    before_j = scenario.energy.battery_initial_j[0]
    assert state.battery_j[0, 0] == pytest.approx(before_j + 0.05 * outcome.duration_s[0], rel=1e-14)
    terms = state.bound_terms
    assert terms.num_finetune_rounds[0] == 1
    assert terms.participation[0] == pytest.approx(2 / 3, rel=1e-14)
    assert terms.finetune_term[0] == pytest.approx(10 * 0.1 * 2 * (1 / 3) ** 2 * 50 / 8, rel=1e-13)


def test_who_takes_part_and_who_does_not_cost_the_bound_what_their_data_differ(tiny):
    differing = tiny.replace(learning={"dissimilarity": 7.0, "device_weight": [0.5, 0.3, 0.2]})
    allocation = middling(differing, switch=True)
    allocation.batch[0, 0] = 0
    state, _ = played(differing, allocation)
    noise = 10 * 0.1 * (0.3**2 + 0.2**2) * 50 / 8
    assert state.bound_terms.participation[0] == pytest.approx(0.5, rel=1e-14)
    assert state.bound_terms.finetune_term[0] == pytest.approx(noise + 7.0 * 0.5, rel=1e-13)
    assert state.bound_terms.pretrain_term[0] == 2.3


def test_a_round_of_nobody_lasts_its_idle_time_and_costs_the_downlink_and_moves_on_the_tape_and_fills_batteries(tiny):
    patient = tiny.replace(radio={"idle_s": 0.7})
    nobody = middling(patient, switch=True, batch=np.zeros((1, 3)))
    state, outcome = played(patient, nobody, harvest_w=0.05)
    assert outcome.counted[0]
    assert (outcome.duration_s[0], outcome.energy_j[0]) == (0.7, 0.01)
    np.testing.assert_allclose(state.battery_j, [[0.3 + 0.05 * 0.7] * 3], rtol=1e-14)
    assert not any(np.any(array) for array in outcome.devices)
    assert (state.round_index[0], state.bound_terms.num_finetune_rounds[0]) == (1, 1)
    assert (state.bound_terms.participation[0], state.bound_terms.finetune_term[0], outcome.reward[0]) == (0, 0, 0)
    # Alone, a short battery comes to the same.
    empty = patient.replace(energy={"battery_initial_j": 0.0})
    _, short = played(empty, middling(empty, switch=True), harvest_w=0.05)
    for by_choice, by_need in zip(outcome, short, strict=True):
        np.testing.assert_array_equal(by_need, by_choice)


# Ends.


@pytest.mark.parametrize(("part", "reason"), [("delay_s", DELAY), ("energy_j", ENERGY)])
@pytest.mark.parametrize("switch", [False, True])
def test_a_round_may_use_up_a_budget_exactly_and_not_a_whisker_more(tiny, part, reason, switch):
    _, outcome = played(tiny, middling(tiny, switch=switch))
    used = (outcome.duration_s if part == "delay_s" else outcome.energy_j).item()
    _, outcome = played(tiny.replace(budgets={part: used}), middling(tiny, switch=switch))
    assert outcome.counted[0]
    tight = tiny.replace(budgets={part: used * (1 - 1e-12)})
    state, outcome = played(tight, middling(tiny, switch=switch))
    assert outcome.end_reason[0] == reason
    assert state.ended[0]
    assert not outcome.counted[0]
    assert (state.elapsed_s[0], state.spent_j[0], state.round_index[0], outcome.reward[0]) == (0, 0, 0, 0)
    assert not state.finetuning[0], "a switch with a round that is not counted is not made"


def test_budgets_count_all_rounds_together(tiny):
    state, first = played(tiny, middling(tiny, switch=False))
    budget = first.duration_s.item() * 1.5
    _, second = played(tiny.replace(budgets={"delay_s": budget}), middling(tiny, switch=False), state=state)
    assert second.end_reason[0] == DELAY
    budget = first.energy_j.item() * 1.5
    _, second = played(tiny.replace(budgets={"energy_j": budget}), middling(tiny, switch=False), state=state)
    assert second.end_reason[0] == ENERGY


def test_short_batteries_without_harvest_end_nothing_but_leave_the_rounds_to_budgets_and_tape(tiny):
    empty = tiny.replace(energy={"battery_initial_j": 0.0}, budgets={"max_rounds": 3})
    state = None
    for round_index in range(3):
        state, outcome = played(empty, middling(empty, switch=True), harvest_w=0.0, state=state)
        assert outcome.counted[0]
        assert state.ended[0] == (round_index == 2)
        np.testing.assert_array_equal(state.battery_j, [[0, 0, 0]])
    assert outcome.end_reason[0] == LAST_ROUND


def test_a_round_that_costs_more_than_one_battery_can_hold_is_that_device_s_silence_however_much_is_harvested(tiny):
    small = tiny.replace(energy={"battery_initial_j": [0.3, 0.3, 1e-3], "battery_capacity_j": [0.6, 0.6, 1e-3]})
    for _ in range(2):
        state, outcome = played(small, middling(small, switch=True), harvest_w=1e3)
        np.testing.assert_array_equal(outcome.devices.participates, [[True, True, False]])
        np.testing.assert_array_equal(state.battery_j, [[0.6, 0.6, 1e-3]])


def test_batteries_do_not_matter_to_server_rounds(tiny):
    empty = tiny.replace(energy={"battery_initial_j": 0.0, "battery_capacity_j": 1e-6})
    _, outcome = played(empty, middling(empty, switch=False), harvest_w=0.0)
    assert outcome.counted[0]


def test_channels_without_gain_make_an_idle_round_of_fine_tuning_and_leave_server_rounds_alone(tiny):
    _, outcome = played(tiny, middling(tiny, switch=True), gain=0.0)
    assert outcome.counted[0]
    assert (outcome.duration_s[0], outcome.energy_j[0]) == (1.0, 0.01)
    assert all(np.all(np.isfinite(array)) for array in leaves(outcome))
    _, outcome = played(tiny, middling(tiny, switch=False), gain=0.0)
    assert outcome.counted[0]
    assert outcome.server_j[0] > 0


def test_the_last_round_of_the_tape_counts_and_ends_the_episode(tiny):
    short = tiny.replace(budgets={"max_rounds": 2})
    state, outcome = played(short, middling(short, switch=False))
    assert outcome.end_reason[0] == RUNNING
    assert not state.ended[0]
    state, outcome = played(short, middling(short, switch=False), state=state)
    assert outcome.end_reason[0] == LAST_ROUND
    assert outcome.counted[0]
    assert state.ended[0]


def test_of_both_budgets_that_stop_a_round_the_delay_is_named(tiny):
    _, outcome = played(tiny, middling(tiny, switch=True))
    short = {"delay_s": 0.9 * outcome.duration_s.item(), "energy_j": 0.9 * outcome.energy_j.item()}
    _, outcome = played(tiny.replace(budgets=short), middling(tiny, switch=True))
    assert outcome.end_reason[0] == DELAY
    _, outcome = played(tiny.replace(budgets=short | {"delay_s": 15.0}), middling(tiny, switch=True))
    assert outcome.end_reason[0] == ENERGY


def test_idle_rounds_use_budgets_up_too(tiny):
    nobody = middling(tiny, switch=True, batch=np.zeros((1, 3)))
    state, outcome = played(tiny.replace(budgets={"delay_s": 1.5}), nobody)
    assert outcome.counted[0]
    _, outcome = played(tiny.replace(budgets={"delay_s": 1.5}), nobody, state=state)
    assert outcome.end_reason[0] == DELAY


@pytest.mark.parametrize("name", ["freq_hz", "power_w", "batch"])
def test_a_decision_that_is_not_a_number_ends_its_episode_and_changes_nothing(tiny, name):
    allocation = middling(tiny, switch=True)
    getattr(allocation, name)[0, 1] = np.nan
    state, outcome = played(tiny, allocation)
    assert state.ended[0]
    assert not outcome.counted[0]
    before = initial_state(constants_of(tiny), 1)._replace(ended=np.array([True]))
    for after, at_first in zip(leaves(state), leaves(before), strict=True):
        np.testing.assert_array_equal(after, at_first)
    assert all(np.all(array == 0) for array in (outcome.reward, *outcome.devices))


def test_the_names_of_the_end_reasons_fit_their_numbers():
    assert [END_REASONS[i] for i in (RUNNING, DELAY, ENERGY, LAST_ROUND)] == [
        "running",
        "delay budget",
        "energy budget",
        "last round",
    ]


# What holds in every episode.


@given(seeds)
def test_budgets_are_never_exceeded_and_totals_are_sums_of_the_rounds(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    final = (trajectory := rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario))).final_state
    outcomes = trajectory.outcomes
    assert final.elapsed_s[0] <= scenario.budgets.delay_s
    assert final.spent_j[0] <= scenario.budgets.energy_j
    assert final.round_index[0] == np.sum(outcomes.counted) <= scenario.budgets.max_rounds
    assert final.elapsed_s[0] == pytest.approx(np.sum(outcomes.duration_s), rel=1e-13)
    assert final.spent_j[0] == pytest.approx(np.sum(outcomes.energy_j), rel=1e-13)
    assert trajectory.num_pretrain_rounds[0] + trajectory.num_finetune_rounds[0] == final.round_index[0]
    assert np.all(outcomes.counted[0, :-1])
    assert np.all(outcomes.end_reason[0, :-1] == RUNNING)
    assert outcomes.end_reason[0, -1] != RUNNING


@given(seeds)
def test_fine_tuning_is_never_left_again(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario, switch=0.3, ceiling=0.5))
    before, counted = trajectory.observed.state.finetuning[0], trajectory.outcomes.counted[0]
    switch = trajectory.allocations.switch[0]
    assert np.all(before[1:] >= before[:-1])
    # In the stage that a round was played in, and in no other, there is something to see.
    tuned = (before | switch) & counted
    if scenario.radio.downlink_j > 0:
        np.testing.assert_array_equal((trajectory.outcomes.energy_j - trajectory.outcomes.server_j)[0] > 0, tuned)
    for array in trajectory.outcomes.devices:
        assert not np.any(array[0][~tuned])
    np.testing.assert_array_equal(trajectory.outcomes.server_j[0] > 0, ~(before | switch) & counted)
    assert trajectory.num_finetune_rounds[0] == np.sum(tuned)


@given(seeds)
def test_those_take_part_who_have_a_batch_and_a_battery_that_covers_the_round_and_no_others(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario, switch=0.4))
    (state, conditions), allocations = trajectory.observed, trajectory.allocations

    for t in range(state.elapsed_s.shape[1] - 1):
        now = converted((conditions, allocations, trajectory.outcomes), lambda array, t=t: array[:, t])
        if_paid_for = finetune_round(constants_of(scenario), np.array([[np.inf]]), *now[:2])
        covered = if_paid_for.compute_j + if_paid_for.upload_j <= state.battery_j[:, t]
        tuned = now[2].counted & (state.finetuning[:, t] | now[1].switch)
        part = (now[1].batch >= 1) & covered & tuned[:, None]
        np.testing.assert_array_equal(now[2].devices.participates, part)
        after = trajectory.observed.state.bound_terms.participation[:, t + 1]
        added = after - state.bound_terms.participation[:, t]
        assert added == pytest.approx(np.sum(part * scenario.learning.device_weight), abs=1e-12)


@given(seeds)
def test_an_episode_that_has_ended_stays_as_it_is(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    final = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario)).final_state
    conditions = random_tapes(rng, scenario, 1).conditions(np.array([0]))
    after, outcome = step(constants_of(scenario), final, conditions, random_allocation(rng, scenario, 1, 0.5, 0.1))
    for frozen, still in zip(leaves(final), leaves(after), strict=True):
        np.testing.assert_array_equal(frozen, still)
    assert not outcome.counted[0]
    assert (outcome.reward[0], outcome.duration_s[0], outcome.energy_j[0], outcome.server_j[0]) == (0, 0, 0, 0)
    assert all(np.all(array == 0) for array in outcome.devices)
    assert outcome.objective[0] == scenario.bound.value(final.bound_terms)[0]


@given(seeds)
def test_every_number_is_finite_even_where_a_round_was_impossible(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng, batteries="starved")
    trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario, switch=1.0))
    assert all(np.all(np.isfinite(array)) for array in leaves((trajectory.outcomes, trajectory.final_state)))


@given(seeds)
def test_inputs_are_not_written_to_and_outputs_alias_none_of_them(seed):
    rng = np.random.default_rng(seed)
    scenario, B = random_scenario(rng), 3
    system, tapes = constants_of(scenario), random_tapes(rng, scenario, B)
    state = initial_state(system, B)
    for _ in range(3):
        inputs = (state, tapes.conditions(state.round_index), random_allocation(rng, scenario, B))
        arrays = leaves((*inputs, *system[2:]))
        before = [array.copy() for array in arrays]
        for array in arrays:
            array.flags.writeable = False
        outputs = step(system, *inputs)
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)
            assert not any(np.shares_memory(array, output) for output in leaves(outputs))
        state = outputs[0]


@given(seeds)
@settings(max_examples=15)
def test_a_batch_is_bit_for_bit_the_same_as_its_episodes_one_by_one(seed):
    rng = np.random.default_rng(seed)
    scenario, B = random_scenario(rng), 5
    assert_batch_equals_singles(rng, scenario, B)


def test_a_batch_of_ten_devices_is_bit_for_bit_the_same_as_its_episodes_one_by_one(rng):
    # Sums of eight and more terms are where the order of an addition could come to depend on the memory layout.
    assert_batch_equals_singles(rng, Scenario.preset("default").replace(budgets={"max_rounds": 30}), 7)


def assert_batch_equals_singles(rng, scenario, B):
    system, tapes = constants_of(scenario), random_tapes(rng, scenario, B)
    together = initial_state(system, B)
    alone = [initial_state(system, 1) for _ in range(B)]
    while not np.all(together.ended):
        conditions = tapes.conditions(together.round_index)
        allocation = random_allocation(rng, scenario, B, 0.3, 0.4)
        together, outcome = step(system, together, conditions, allocation)
        for i in range(B):
            one = slice(i, i + 1)
            alone[i], single = step(system, alone[i], episodes(conditions, one), episodes(allocation, one))
            for batched, lone in zip(leaves((together, outcome)), leaves((alone[i], single)), strict=True):
                np.testing.assert_array_equal(batched[one], lone)
                assert batched.dtype == lone.dtype


# Other array libraries.


def assert_library_agrees(xp, seed, rtol):
    """A batch of whole episodes in numpy and in the library `xp`, each from its own states."""
    rng = np.random.default_rng(seed)
    scenario, B = random_scenario(rng), 4
    tapes = random_tapes(rng, scenario, B)
    reference, system = constants_of(scenario), constants_of(scenario, xp=xp)
    state, other = initial_state(reference, B), initial_state(system, B)
    while not np.all(state.ended):
        inputs = (tapes.conditions(state.round_index), random_allocation(rng, scenario, B, 0.3, 0.5))
        state, outcome = step(reference, state, *inputs)
        other, other_outcome = step(system, other, *converted(inputs, xp.asarray))
        for ours, theirs in zip(leaves((state, outcome)), leaves((other, other_outcome)), strict=True):
            theirs_in_numpy = np.asarray(theirs)
            assert theirs_in_numpy.dtype == ours.dtype
            np.testing.assert_allclose(theirs_in_numpy, ours, rtol=rtol, atol=rtol)


@given(seeds)
@settings(max_examples=12)
def test_step_under_the_strict_array_standard_equals_numpy(seed):
    assert_library_agrees(array_api_strict, seed, rtol=1e-15)


@given(seeds)
@settings(max_examples=12)
def test_step_in_torch_equals_numpy(seed):
    pytest.importorskip("torch")
    from array_api_compat import torch as torch_namespace

    assert_library_agrees(torch_namespace, seed, rtol=1e-12)


@pytest.mark.parametrize("why", ["nobody is silent", "no battery", "no batch", "no channel"])
def test_torch_episodes_carry_gradients_of_the_bound_without_nan(tiny, why):
    torch = pytest.importorskip("torch")
    from array_api_compat import torch as torch_namespace

    scenario = tiny.replace(energy={"battery_initial_j": [0.3, 0.0, 0.3]}) if why == "no battery" else tiny
    system, K = constants_of(scenario, xp=torch_namespace), tiny.num_devices
    batch, gain = torch.tensor([[8.0, 8.0, 1.0]], dtype=torch.float64), torch.full((1, K), 1e-9, dtype=torch.float64)
    batch[0, 1] *= why != "no batch"
    gain[0, 1] *= why != "no channel"
    part = torch.tensor([[1.0, float(why == "nobody is silent"), 1.0]], dtype=torch.float64)
    batch.requires_grad_()
    power_w = torch.full((1, K), 0.1, dtype=torch.float64, requires_grad=True)
    allocation = Allocation(
        switch=torch.tensor([True]),
        server_freq_hz=torch.tensor([1e9], dtype=torch.float64),
        server_batch=torch.tensor([64.0], dtype=torch.float64),
        freq_hz=torch.full((1, K), 3e8, dtype=torch.float64),
        power_w=power_w,
        batch=batch,
    )
    conditions = Conditions(gain, torch.tensor([[0.005, 0.0, 0.005]], dtype=torch.float64))
    state, outcome = step(system, initial_state(system, 1), conditions, allocation)
    assert torch.equal(outcome.devices.participates, part > 0)
    (of_bound,) = torch.autograd.grad(outcome.objective.sum(), batch, retain_graph=True)
    # By hand, a batch of a single sample included.
    expected = -10 * 0.1 * (1 / 3) ** 2 * 50 / torch.clamp(batch.detach(), min=1) ** 2 / (part.sum() / 3) * part
    torch.testing.assert_close(of_bound, expected, rtol=1e-13, atol=0.0)
    (outcome.objective.sum() + outcome.duration_s.sum() + state.battery_j.sum()).backward()
    for gradient in (batch.grad, power_w.grad):
        assert torch.all(torch.isfinite(gradient))
        assert torch.equal(gradient != 0, part > 0)
