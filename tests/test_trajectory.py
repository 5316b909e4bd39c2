"""Whole episodes: rollouts of one tape and of many, what a policy sees, and what it may not do."""

import numpy as np
import pytest
from hypothesis import given, settings
from random_scenarios import random_allocation, random_policy, random_scenario, random_tape, seeds

from edgelearn_env.arrays.records import arrays_of, mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.model import model_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Trajectory, rollout
from edgelearn_env.two_stage.dynamics import step


def leaves(record):
    """The arrays of a nested record, in order."""
    return [leaf for field in record for leaf in leaves(field)] if isinstance(record, tuple) else [record]


def scripted(allocations):
    """A policy that plays what is written for each round, whatever it observes; (B, T, ...) arrays."""

    def decide(observed):
        # Episodes of a batch play the same round until they end.
        t = np.max(observed.state.round_index)
        return mapped(lambda array: array[:, t], allocations)

    return decide


def random_script(rng, scenario, batch_size):
    rounds = [random_allocation(rng, scenario, batch_size, 0.2, 0.4) for _ in range(scenario.budgets.max_rounds + 1)]
    return mapped(lambda *arrays: np.stack(arrays, axis=1), *rounds)


def constant(scenario: Scenario, **changes) -> Allocation:
    """The smallest of everything, for a batch of one, but for `changes`."""
    server, devices, K = scenario.server, scenario.devices, scenario.num_devices
    values = {
        "switch": np.array([True]),
        "server_freq_hz": np.array([server.freq_min_hz]),
        "server_batch": np.array([1.0]),
        "freq_hz": devices.freq_min_hz[None],
        "power_w": devices.power_min_w[None],
        "batch": np.ones((1, K)),
    }
    return Allocation(**values | changes)


@given(seeds)
@settings(max_examples=15)
def test_a_batch_of_tapes_is_played_as_each_tape_alone(seed):
    rng = np.random.default_rng(seed)
    scenario, B = random_scenario(rng), 4
    tapes, script = [random_tape(rng, scenario) for _ in range(B)], random_script(rng, scenario, B)
    together = rollout(scenario, Tape.stack(tapes), scripted(script))
    for i, tape in enumerate(tapes):
        alone = rollout(scenario, tape, scripted(mapped(lambda array, i=i: array[i : i + 1], script)))
        T = alone.outcomes.counted.shape[1]
        assert together.outcomes.counted.shape[1] >= T
        assert together.objective[i] == alone.objective[0]
        assert together.num_pretrain_rounds[i] == alone.num_pretrain_rounds[0]
        assert together.num_finetune_rounds[i] == alone.num_finetune_rounds[0]
        for batched, single in zip(leaves(together.outcomes), leaves(alone.outcomes), strict=True):
            np.testing.assert_array_equal(batched[i, :T], single[0])
        for batched, single in zip(leaves(together.final_state), leaves(alone.final_state), strict=True):
            np.testing.assert_array_equal(batched[i], single[0])
        assert not np.any(together.outcomes.counted[i, T:])


def test_a_tape_without_a_batch_axis_is_a_batch_of_one(tiny, tiny_tape):
    single, batch = (
        rollout(tiny, tape, random_policy(np.random.default_rng(1), tiny))
        for tape in (tiny_tape, Tape.stack([tiny_tape]))
    )
    for first, second in zip(
        leaves((single.observed, single.outcomes)), leaves((batch.observed, batch.outcomes)), strict=True
    ):
        np.testing.assert_array_equal(first, second)


@given(seeds)
@settings(max_examples=20)
def test_the_objective_is_the_bound_after_the_last_round_and_the_records_follow_each_other(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario))
    np.testing.assert_array_equal(trajectory.objective, trajectory.outcomes.objective[:, -1])
    np.testing.assert_array_equal(trajectory.objective, scenario.bound.value(trajectory.final_state.bound_terms))
    system, T = constants_of(scenario), trajectory.outcomes.counted.shape[1]
    for before, start in zip(leaves(trajectory.observed.state), leaves(initial_state(system, 1)), strict=True):
        np.testing.assert_array_equal(before[:, 0], start)
    for t in range(T):
        state, conditions, allocation = mapped(
            lambda array, t=t: array[:, t], (*trajectory.observed, trajectory.allocations)
        )
        after, outcome = step(system, state, conditions, allocation)
        expected = mapped(lambda array, t=t: array[:, t], trajectory.outcomes)
        following = (
            mapped(lambda array, t=t: array[:, t + 1], trajectory.observed.state)
            if t + 1 < T
            else trajectory.final_state
        )
        for first, second in zip(leaves((after, outcome)), leaves((following, expected)), strict=True):
            np.testing.assert_array_equal(first, second)


@given(seeds)
def test_a_policy_is_shown_the_conditions_of_its_own_round_and_no_others(seed):
    rng = np.random.default_rng(seed)
    scenario, B = random_scenario(rng), 3
    tapes = Tape.stack([random_tape(rng, scenario) for _ in range(B)])
    decide, rounds = random_policy(rng, scenario), []

    def watching(observed):
        rounds.append(observed)
        return decide(observed)

    trajectory = rollout(scenario, tapes, watching)
    assert len(rounds) == trajectory.outcomes.counted.shape[1]
    for observed in rounds:
        assert observed._fields == ("state", "conditions")
        for i in range(B):
            t = min(observed.state.round_index[i], scenario.budgets.max_rounds - 1)
            np.testing.assert_array_equal(observed.conditions.channel_gain[i], tapes.channel_gain[i, t])
            np.testing.assert_array_equal(observed.conditions.harvest_w[i], tapes.harvest_w[i, t])
        for array in arrays_of(observed.conditions):
            assert array.base is None, "a view would lead to the whole tape"


@given(seeds)
@settings(max_examples=20)
def test_the_future_of_the_tape_changes_nothing_before_it(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    first, second = random_tape(rng, scenario), random_tape(rng, scenario)
    fork = scenario.budgets.max_rounds // 2
    mixed = Tape(*(np.concatenate([a[:fork], b[fork:]]) for a, b in zip(first[:2], second[:2], strict=True)))
    script = random_script(rng, scenario, 1)
    one, other = (rollout(scenario, tape, scripted(script)) for tape in (first, mixed))
    known = min(fork, one.outcomes.counted.shape[1])
    for a, b in zip(leaves(one.outcomes), leaves(other.outcomes), strict=True):
        np.testing.assert_array_equal(a[:, :known], b[:, :known])


def test_trajectories_do_not_change_with_what_a_policy_does_to_its_arrays_later(tiny, tiny_tape):
    batch = np.full((1, 3), 8.0)

    def decide(_):
        batch[:] += 1.0
        return constant(tiny, batch=batch.copy())

    trajectory = rollout(tiny, tiny_tape, decide)
    np.testing.assert_array_equal(
        trajectory.allocations.batch[0, :, 0], 9.0 + np.arange(trajectory.allocations.batch.shape[1])
    )
    assert not np.shares_memory(trajectory.allocations.batch, batch)


def test_a_tape_that_does_not_fit_is_refused(tiny, tiny_tape):
    longer = tiny.replace(budgets={"max_rounds": 31})
    with pytest.raises(InvalidInputError, match=r"tape\.channel_gain must have shape \(31, 3\) .*, got \(30, 3\)"):
        rollout(longer, tiny_tape, lambda observed: constant(tiny))


LIMITS = {
    "server_freq_hz": ("3e+08", "3e+09", np.array([3.1e9]), np.array([2.9e8])),
    "server_batch": ("1", "512", np.array([513.0]), np.array([0.5])),
    "freq_hz": (
        "[1e+08, 1e+08, 1e+08]",
        "[1.18e+09, 1.3e+09, 5.8e+08]",
        np.array([[1e8, 1e8, 6e8]]),
        np.array([[9e7, 1e8, 1e8]]),
    ),
    "power_w": ("0", "[0.2, 0.2, 0.2]", np.array([[0.1, 0.25, 0.1]]), np.array([[0.1, 0.1, 0.0]])),
    "batch": ("1", "[128, 128, 128] or be 0", np.array([[1.0, 0.0, 129.0]]), np.array([[0.5, 1.0, 1.0]])),
}


@pytest.mark.parametrize("end", [2, 3], ids=["beyond", "below"])
@pytest.mark.parametrize("name", LIMITS)
def test_a_decision_outside_of_the_limits_is_refused_with_the_limits_and_the_value(tiny, tiny_tape, name, end):
    low, high, value = LIMITS[name][0], LIMITS[name][1], LIMITS[name][end]
    with pytest.raises(InvalidInputError) as caught:
        rollout(tiny, tiny_tape, lambda observed: constant(tiny, **{name: value}))
    worst = {2: np.max, 3: np.min}[end](value)
    assert str(caught.value) == f"allocation.{name} must lie between {low} and {high}, got {worst:.9g}"


def test_no_batch_is_a_decision_and_part_of_a_sample_is_none(tiny, tiny_tape):
    batch = np.array([[0.0, 1.0, 2.5]])
    played = rollout(tiny, tiny_tape, lambda observed: constant(tiny, batch=batch))
    np.testing.assert_array_equal(played.allocations.batch[0, 0], batch[0])
    assert not np.any(played.outcomes.devices.participates[0, :, 0])
    for wrong in (-1.0, 0.1, 0.5, 1 - 1e-6):
        with pytest.raises(InvalidInputError, match=r"allocation\.batch must lie between 1 and .* or be 0, got"):
            rollout(tiny, tiny_tape, lambda observed, wrong=wrong: constant(tiny, batch=np.array([[1.0, wrong, 0.0]])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_device_whose_only_sample_lacks_a_rounding_takes_part_as_with_a_whole_one(tiny, tiny_tape, dtype):
    whole = rollout(tiny, tiny_tape, lambda observed: constant(tiny))
    batch = np.nextafter(np.array([[1.0, 1.0, 1.0]], dtype=dtype), dtype(0))
    assert np.all(batch < 1)
    played = rollout(tiny, tiny_tape, lambda observed: constant(tiny, batch=batch))
    np.testing.assert_array_equal(played.outcomes.devices.participates, whole.outcomes.devices.participates)
    assert np.any(whole.outcomes.devices.participates)
    assert played.objective == whole.objective
    assert np.all(batch < 1), "what the policy holds is left as it was"


def test_a_decision_at_its_limit_in_another_precision_is_within_it(tiny, tiny_tape):
    exact = rollout(tiny, tiny_tape, lambda observed: constant(tiny, power_w=tiny.devices.power_max_w[None]))
    power_w = tiny.devices.power_max_w[None].astype(np.float32)
    assert np.any(power_w > tiny.devices.power_max_w)
    played = rollout(tiny, tiny_tape, lambda observed: constant(tiny, power_w=power_w))
    assert played.allocations.power_w.dtype == np.float64
    np.testing.assert_allclose(played.objective, exact.objective, rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", LIMITS)
def test_a_decision_that_is_no_finite_number_is_refused(tiny, tiny_tape, name, value):
    broken = np.full_like(getattr(constant(tiny), name), value)
    with pytest.raises(InvalidInputError, match=rf"allocation\.{name} must lie between .*, got {value:g}"):
        rollout(tiny, tiny_tape, lambda observed: constant(tiny, **{name: broken}))


@pytest.mark.parametrize("name", Allocation._fields)
def test_a_decision_of_a_wrong_shape_is_refused_with_both_shapes(tiny, tiny_tape, name):
    right = getattr(constant(tiny), name)
    for wrong in (right[0], np.concatenate([right, right]), right[..., None]):
        with pytest.raises(InvalidInputError) as caught:
            rollout(tiny, tiny_tape, lambda observed, wrong=wrong: constant(tiny, **{name: wrong}))
        assert str(caught.value) == f"allocation.{name} must have shape {right.shape}, got {wrong.shape}"


@pytest.mark.parametrize("switch", [np.array([1]), np.array([0.7])])
def test_a_switch_that_is_no_truth_value_is_refused(tiny, tiny_tape, switch):
    with pytest.raises(
        InvalidInputError, match=r"allocation\.switch must hold truth values, got (int|float)64 numbers"
    ):
        rollout(tiny, tiny_tape, lambda observed: constant(tiny, switch=switch))


def test_limits_themselves_and_their_rounding_may_be_used(tiny, tiny_tape):
    server, devices = tiny.server, tiny.devices
    for factor in (1.0, 1 + 1e-12):
        allocation = constant(
            tiny,
            server_freq_hz=factor * np.array([server.freq_max_hz]),
            server_batch=factor * np.array([float(server.batch_max)]),
            freq_hz=factor * devices.freq_max_hz[None],
            power_w=factor * devices.power_max_w[None],
            batch=factor * devices.batch_max[None],
        )
        rollout(tiny, tiny_tape, lambda observed, allocation=allocation: allocation)


def test_a_trajectory_without_rounds_shows_the_start(tiny):
    state = initial_state(constants_of(tiny), 2)
    trajectory = Trajectory.of_rounds(tiny, [], state)
    assert all(array.shape[:2] == (2, 0) for array in leaves((trajectory.observed, trajectory.outcomes)))
    np.testing.assert_allclose(trajectory.objective, [2 * 2.3 / 0.1 / (1 / 3)] * 2, rtol=1e-15)
    np.testing.assert_array_equal(trajectory.num_pretrain_rounds + trajectory.num_finetune_rounds, [0, 0])


def test_no_round_looks_like_a_round_in_which_nothing_happened(tiny, tiny_tape):
    played = rollout(tiny, tiny_tape, lambda observed: constant(tiny))
    state = initial_state(constants_of(tiny), 1)
    allocation, outcome = model_of(tiny, "numpy").no_round(state)
    for nothing, something in zip(
        leaves((allocation, outcome)), leaves((played.allocations, played.outcomes)), strict=True
    ):
        assert nothing.shape == something[:, 0].shape
        assert nothing.dtype == something.dtype
    np.testing.assert_array_equal(outcome.objective, tiny.bound.value(state.bound_terms))
    assert sum(np.count_nonzero(array) for array in leaves((allocation, outcome._replace(objective=state.ended)))) == 0


def test_the_tape_is_left_as_it_was(tiny):
    tape = sample_tape(tiny, 3)
    for array in tape[:2]:
        array.flags.writeable = False
    rollout(tiny, tape, random_policy(np.random.default_rng(2), tiny))
