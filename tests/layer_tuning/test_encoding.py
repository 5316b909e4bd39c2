"""Actions and observations of layer tuning: limits, rounding, and that each names what it says."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from random_layers import random_layers, random_layers_allocation, random_layers_policy
from random_scenarios import seeds

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning.encoding import Codec
from edgelearn_env.layer_tuning.limits import checked_allocation
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages import encoding as stages
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout

TINY, LAYERS = Scenario.preset("layers-tiny"), Scenario.preset("layers")


def test_sizes_are_those_of_all_systems_and_a_net_and_levels():
    codec = Codec.of(LAYERS)
    assert (codec.action_size, codec.observation_size) == (4 + 4 * 9, 6 + 3 * 9)


def test_depths_and_blocks_are_spread_over_the_range_of_an_action():
    codec = Codec.of(LAYERS)
    action = np.zeros((7, codec.action_size))
    action[:, 30], action[:, 31] = np.linspace(-1, 1, 7), np.linspace(1, -1, 7)
    named = codec.decode(action)
    assert named.depth.tolist() == [2, 2, 4, 4, 4, 6, 6]
    assert named.blocks[:, 0].tolist() == [6, 5, 4, 3, 2, 1, 0]
    beyond = codec.decode(np.full((1, codec.action_size), 9.0))
    assert (beyond.depth[0], beyond.blocks[0, 0]) == (6, 6)


@given(seeds)
def test_every_action_names_an_allocation_within_the_limits_and_comes_back(seed):
    rng = np.random.default_rng(seed)
    scenario = random_layers(rng)
    codec = Codec.of(scenario)
    action = rng.uniform(-2, 2, (6, codec.action_size))
    for allocation in (codec.decode(action), codec.fractional(action)):
        mapped(np.testing.assert_array_equal, checked_allocation(scenario, allocation, 6), allocation)
    named = codec.decode(action)
    again = codec.decode(codec.encode_action(named))
    for name in ("switch", "server_batch", "batch", "depth", "blocks"):
        np.testing.assert_array_equal(getattr(again, name), getattr(named, name), err_msg=name)


@given(seeds)
@settings(max_examples=15)
def test_the_depth_is_seen_after_what_all_systems_show(seed):
    rng = np.random.default_rng(seed)
    scenario = random_layers(rng)
    played = rollout(scenario, sample_tape(scenario, 1), random_layers_policy(rng, scenario))
    states, conditions = mapped(lambda array: array[0], tuple(played.observed))
    observed = Codec.of(scenario).encode(states, conditions)
    assert observed.dtype == np.float32
    assert np.all((observed >= 0) & (observed <= 1))
    np.testing.assert_array_equal(observed[:, :-1], stages.Codec.of(scenario).encode(states, conditions))
    np.testing.assert_allclose(observed[:, -1], states.depth / scenario.networks.most_blocks, atol=2**-24)


@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
def test_other_array_libraries_name_and_see_the_same(library):
    if library == "torch":
        pytest.importorskip("torch")
        from edgelearn_env.arrays import torch_names as xp
    else:
        xp = array_api_strict
    rng, ours, theirs = np.random.default_rng(0), Codec.of(LAYERS), Codec.of(LAYERS, xp)
    action = rng.uniform(-1.2, 1.2, (4, ours.action_size))
    for expected, found in zip(ours.decode(action), theirs.decode(xp.asarray(action)), strict=True):
        assert np.asarray(found).dtype == expected.dtype
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-12)
    named = ours.decode(action)
    again = theirs.encode_action(mapped(xp.asarray, named))
    np.testing.assert_allclose(np.asarray(again), ours.encode_action(named), rtol=0, atol=2**-22)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"depth": np.array([3])}, "allocation.depth must be one of networks.depths, 1, 2, got 3"),
        ({"depth": np.array([2.0])}, "allocation.depth must hold whole numbers, got float64 numbers"),
        (
            {"blocks": np.array([[0, 3, 1]])},
            "allocation.blocks must lie between 0 and 2, the blocks of the deepest net, got 3",
        ),
        ({"blocks": np.array([1, 1, 1])}, "allocation.blocks must have shape (1, 3), got (3,)"),
    ],
)
def test_what_no_round_can_do_is_refused_in_a_sentence(changes, sentence):
    allocation = random_layers_allocation(np.random.default_rng(0), TINY, 1)._replace(**changes)
    with pytest.raises(InvalidInputError) as caught:
        checked_allocation(TINY, allocation, 1)
    assert str(caught.value) == sentence
