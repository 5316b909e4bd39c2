"""Between allocations with codes and actions, between states and observations, and what an allocation may be."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from random_codings import random_coded_allocation, random_coded_policy, random_coded_tape, random_coding
from random_scenarios import seeds

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.dynamics import initial_state
from edgelearn_env.gradient_coding.encoding import Codec
from edgelearn_env.gradient_coding.limits import checked_allocation
from edgelearn_env.model import model_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages import encoding as stages
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.trajectory import rollout

RUN_TIME = Scenario.preset("run-time")
TINY = Scenario.preset("coded-tiny")


def test_sizes_are_as_the_environment_says():
    codec = Codec.of(RUN_TIME)
    assert (codec.action_size, codec.observation_size) == (5 + 4 * 25, 7 + 6 * 25)


@given(seeds)
def test_an_allocation_comes_back_from_the_action_that_names_it(seed):
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng)
    codec, allocation = Codec.of(scenario), random_coded_allocation(rng, scenario, 5)
    action = codec.encode_action(allocation)
    assert (action.dtype, action.shape) == (np.float32, (5, codec.action_size))
    again = codec.decode(action)
    for name in ("switch", "server_batch", "batch", "edge_stragglers", "device_stragglers", "asked"):
        np.testing.assert_array_equal(getattr(again, name), getattr(allocation, name), err_msg=name)
    for name in ("server_freq_hz", "freq_hz", "power_w"):
        np.testing.assert_allclose(getattr(again, name), getattr(allocation, name), rtol=1e-5, err_msg=name)
    np.testing.assert_array_equal(codec.encode_action(again), action)


@given(seeds)
def test_every_action_names_an_allocation_within_the_limits(seed):
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng)
    codec = Codec.of(scenario)
    action = rng.uniform(-2, 2, (6, codec.action_size))
    for allocation in (codec.decode(action), codec.fractional(action)):
        mapped(np.testing.assert_array_equal, checked_allocation(scenario, allocation, 6), allocation)


def test_stragglers_are_evenly_spread_over_the_range_of_an_action():
    codec = Codec.of(RUN_TIME)
    action = np.zeros((5, codec.action_size))
    action[:, 3 + 75], action[:, 4 + 75] = np.linspace(-1, 1, 5), np.linspace(1, -1, 5)
    named = codec.decode(action)
    assert named.edge_stragglers.tolist() == [0, 1, 2, 3, 4]
    assert named.device_stragglers.tolist() == [4, 3, 2, 1, 0]
    assert codec.decode(np.full((1, codec.action_size), 9.0)).edge_stragglers[0] == 4
    # Where nothing is stored there is no code to name.
    plain = RUN_TIME.replace(coding={"stored_edge_stragglers": 0, "stored_device_stragglers": 0})
    highest = Codec.of(plain).decode(np.ones((1, codec.action_size)))
    assert (highest.edge_stragglers[0], highest.device_stragglers[0]) == (0, 0)


def test_a_device_is_asked_unless_its_entry_is_in_the_lowest_quarter():
    action = np.zeros((1, 21))
    action[0, -4:] = [-1.0, -0.51, -0.49, 1.0]
    assert Codec.of(TINY).decode(action).asked.tolist() == [[False, False, True, True]]


def test_what_is_not_a_number_asks_for_no_code_and_for_nobody():
    action = np.ones((1, 21))
    action[0, -6:] = np.nan
    named = Codec.of(TINY).decode(action)
    assert (named.edge_stragglers[0], named.device_stragglers[0]) == (0, 0)
    assert not np.any(named.asked)


@given(seeds)
@settings(max_examples=20)
def test_what_is_seen_of_stragglers_comes_after_what_all_systems_show_and_lies_within_the_bounds(seed):
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng)
    played = rollout(scenario, random_coded_tape(rng, scenario), random_coded_policy(rng, scenario))
    codec, staged = Codec.of(scenario), stages.Codec.of(scenario)
    states, conditions = mapped(lambda array: array[0], tuple(played.observed))
    observed = codec.encode(states, conditions)
    assert (observed.dtype, observed.shape[1]) == (np.float32, codec.observation_size)
    assert np.all((observed >= 0) & (observed <= 1))
    size, K = staged.observation_size, scenario.num_devices
    np.testing.assert_array_equal(observed[:, :size], staged.encode(states, conditions))
    seen, coding = states.seen, scenario.coding
    expected = [
        seen.edge_stragglers[:, None] / max(coding.stored_edge_stragglers, 1),
        seen.device_stragglers[:, None] / max(coding.stored_device_stragglers, 1),
        1 - 1 / seen.slowdown,
        1 - 1 / seen.tries,
        seen.lateness,
    ]
    np.testing.assert_allclose(observed[:, size:], np.concatenate(expected, axis=1), rtol=0, atol=2**-24)
    assert observed.shape[1] == size + 2 + 3 * K


def test_what_this_round_hides_is_not_observed():
    state, each = initial_state(CodingConstants.of(TINY), 1), np.ones((1, 4))
    conditions, codec = Conditions(1e-9 * each, 0.0 * each), Codec.of(TINY)
    expected = codec.encode(state, conditions)
    np.testing.assert_array_equal(codec.encode(state, conditions._replace(hidden="anything")), expected)
    np.testing.assert_array_equal(expected[0, 17:], np.zeros(14))


@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
def test_other_array_libraries_name_and_see_the_same(library):
    if library == "torch":
        pytest.importorskip("torch")
        from edgelearn_env.arrays import torch_names as xp
    else:
        xp = array_api_strict
    for seed in range(5):
        rng = np.random.default_rng(seed)
        scenario = random_coding(rng)
        ours, theirs = Codec.of(scenario), Codec.of(scenario, xp)
        action = rng.uniform(-1.2, 1.2, (4, ours.action_size))
        for way in ("decode", "fractional"):
            expected, found = getattr(ours, way)(action), getattr(theirs, way)(xp.asarray(action))
            for array, other in zip(expected, found, strict=True):
                assert np.asarray(other).dtype == array.dtype
                np.testing.assert_allclose(np.asarray(other), array, rtol=1e-12)
        named = ours.decode(action)
        again = theirs.encode_action(mapped(xp.asarray, named))
        np.testing.assert_allclose(np.asarray(again), ours.encode_action(named), rtol=0, atol=2**-22)
        played = rollout(scenario, random_coded_tape(rng, scenario), random_coded_policy(rng, scenario))
        observed = mapped(lambda array: array[0], tuple(played.observed))
        seen = theirs.encode(*mapped(xp.asarray, observed))
        assert seen.dtype == xp.float32
        np.testing.assert_allclose(np.asarray(seen), ours.encode(*observed), rtol=0, atol=2**-23)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"edge_stragglers": np.array([2])},
            "allocation.edge_stragglers must lie between 0 and coding.stored_edge_stragglers = 1, got 2",
        ),
        (
            {"device_stragglers": np.array([-1])},
            "allocation.device_stragglers must lie between 0 and coding.stored_device_stragglers = 1, got -1",
        ),
        (
            {"edge_stragglers": np.array([1.0])},
            "allocation.edge_stragglers must hold whole numbers, got float64 numbers",
        ),
        ({"edge_stragglers": np.array([0, 1])}, "allocation.edge_stragglers must have shape (1,), got (2,)"),
        ({"asked": np.ones((1, 4))}, "allocation.asked must hold truth values, got float64 numbers"),
        ({"asked": np.ones(4, dtype=bool)}, "allocation.asked must have shape (1, 4), got (4,)"),
        (
            {"batch": np.full((1, 4), 0.5)},
            "allocation.batch must lie between 1 and [128, 128, 128, 128] or be 0, got 0.5",
        ),
    ],
)
def test_what_no_round_can_do_is_refused_in_a_sentence(changes, sentence):
    allocation = random_coded_allocation(np.random.default_rng(0), TINY, 1)._replace(**changes)
    with pytest.raises(InvalidInputError) as caught:
        checked_allocation(TINY, allocation, 1)
    assert str(caught.value) == sentence


def test_an_allocation_of_another_system_is_refused_with_the_fields_of_this_one():
    coded = random_coded_allocation(np.random.default_rng(0), TINY, 1)
    with pytest.raises(InvalidInputError, match=r"^allocation must have the fields .*, asked, got switch, .*, batch$"):
        checked_allocation(TINY, coded.staged, 1)
    with pytest.raises(InvalidInputError, match=r"^allocation must have the fields .*, batch, got switch, .*, asked$"):
        model_of(Scenario.preset("tiny")).checked_allocation(coded, 1)
    with pytest.raises(InvalidInputError, match=r"got dict$"):
        checked_allocation(TINY, {}, 1)
