"""Scenarios of layer tuning: what they refuse, what levels take, what their bounds lie between."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from made_up_layers import MADE_UP_LAYERS
from random_layers import random_layers, random_layers_policy
from random_scenarios import seeds

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning import LayerTuningScenario, Levels
from edgelearn_env.physics.transformer import layer_costs
from edgelearn_env.scenarios.scenario import Scenario, first_difference
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout

LAYERS, TINY = MADE_UP_LAYERS, Scenario.preset("layers-tiny")


@pytest.mark.parametrize("scenario", [LAYERS, TINY], ids=["layers", "layers-tiny"])
def test_a_preset_says_of_the_deepest_net_what_the_formulas_do(scenario):
    depth = scenario.networks.most_blocks
    costs = layer_costs(scenario.networks.size, depth, depth, 1)
    assert scenario.learning.flops_per_sample == costs.flops
    assert scenario.learning.upload_bit == 8 * costs.upload_bytes


def test_in_layers_strong_devices_train_everything_medium_and_weak_ones_less():
    # Of the deepest net, with batches of 16.
    fitting = np.sum(LAYERS.levels.most_batch[-1] >= 16, axis=0)
    np.testing.assert_array_equal(fitting, [6, 6, 6, 3, 3, 3, 1, 1, 1])


def test_levels_are_in_proportion_to_the_formulas_of_a_step():
    levels, size, memory = LAYERS.levels, LAYERS.networks.size, LAYERS.memory
    whole = layer_costs(size, 6, 6, 1)
    for place, depth in enumerate((2, 4, 6)):
        for blocks in range(1, depth + 1):
            costs = layer_costs(size, depth, blocks, 1)
            cycles = LAYERS.learning.flops_per_sample / levels.flops_per_cycle[place, blocks - 1]
            assert cycles == pytest.approx(LAYERS.learning.flops_per_sample * costs.flops / whole.flops / 4.0)
            assert levels.upload_bit[place, blocks - 1] == pytest.approx(8 * costs.upload_bytes)
            for device, most in enumerate(levels.most_batch[place, blocks - 1]):
                held, more = (
                    layer_costs(size, depth, blocks, batch, memory.optimizer_words).peak_bytes
                    for batch in (most, most + 1)
                )
                assert not most or held <= memory.limit_byte[device]
                assert more > memory.limit_byte[device] or most == LAYERS.devices.batch_max[device]
        assert levels.exists[place].sum() == depth
    np.testing.assert_array_equal(levels.share[0], [0.75, 1, 1, 1, 1, 1])


def test_the_server_pre_trains_all_nets_side_by_side():
    depths = np.array([2, 4, 6])
    flops = layer_costs(LAYERS.networks.size, depths, depths, 1).flops
    assert LAYERS.server_cycles_per_sample == pytest.approx(np.sum(flops) / LAYERS.server.flops_per_cycle)


def test_each_net_has_a_gap_of_its_own_and_all_the_same_value_of_their_terms():
    bounds = [LAYERS.bound_of(place) for place in range(3)]
    assert [bound.initial_gap for bound in bounds] == pytest.approx([0.9 * 2.3, 0.95 * 2.3, 2.3])
    assert {bound.least_weight for bound in bounds} == {0.45 * 0.1111111111111111}


@given(seeds)
@settings(max_examples=25)
def test_the_learning_bound_stays_between_the_two_values_that_are_named(seed):
    rng = np.random.default_rng(seed)
    scenario = random_layers(rng)
    played = rollout(scenario, sample_tape(scenario, 0), random_layers_policy(rng, scenario))
    low, high = scenario.bound_value_range
    for terms in (played.observed.state.bound_terms, played.final_state.bound_terms):
        psi = scenario.bound.value(terms)
        assert np.all((psi >= low * (1 - 1e-12)) & (psi <= high * (1 + 1e-12)))


def test_a_scenario_is_the_same_from_its_table_and_from_a_pickle():
    for again in (Scenario.load(LAYERS.to_dict()), pickle.loads(pickle.dumps(LAYERS))):
        assert again == LAYERS
        assert not np.asarray(again.networks.share).flags.writeable
        assert all(np.array_equal(*pair) for pair in zip(again.levels, LAYERS.levels, strict=True))
    assert isinstance(LAYERS.levels, Levels)


def test_a_difference_of_tables_is_told():
    other = LAYERS.replace(networks={"share": [[0.7, 1.0], [0.55, 0.75, 0.9, 1.0], [0.45, 0.65, 0.8, 0.9, 0.96, 1.0]]})
    assert first_difference(LAYERS, other).startswith("networks.share was [[0.75, 1, 1, 1, ...], ")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"networks": {"depths": [2, 2]}}, "networks.depths must be rising whole numbers"),
        ({"networks": {"depths": "deep"}}, "networks.depths must be a list of finite numbers, got 'deep'"),
        ({"networks": {"gap_factor": [1.0, 1.0, 1.0]}}, "networks.gap_factor must have a number for each of 2 depths"),
        ({"networks": {"floor": [-0.1, 0.0]}}, "networks.floor must be at least 0, got [-0.1, 0]"),
        ({"networks": {"share": [[1.0]]}}, "networks.share must have a row for each of 2 depths"),
        (
            {"networks": {"share": [[1.0], [1.0]]}},
            "networks.share must have at least 2 numbers for the net of 2 blocks",
        ),
        ({"networks": {"share": [[1.0], [0.8, 0.9]]}}, "networks.share must be 1 for all blocks of a net"),
        ({"networks": {"share": [[1.0], [0.0, 1.0]]}}, "networks.share must be above 0, not falling"),
        ({"networks": {"noise_factor": [[1.0], [-1.0, 1.0]]}}, "networks.noise_factor must be at least 0"),
        ({"networks": {"predicts_every_token": 1}}, "networks.predicts_every_token must be true or false, got 1"),
        ({"memory": {"limit_byte": 1e3}}, "memory.limit_byte leaves no device the memory"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(InvalidInputError) as caught:
        LayerTuningScenario.load("layers-tiny", **changes)
    assert str(caught.value).startswith(sentence)
