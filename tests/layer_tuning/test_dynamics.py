"""Rounds of layer tuning: what devices train, hold and count, in any array library."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from made_up_layers import MADE_UP_LAYERS
from random_layers import random_layers, random_layers_allocation, random_layers_policy
from random_scenarios import seeds

from edgelearn_env.arrays.records import arrays_of, mapped
from edgelearn_env.layer_tuning.constants import LayerConstants
from edgelearn_env.layer_tuning.dynamics import initial_state, losses_of_nets, objective, planned_round, step
from edgelearn_env.layer_tuning.records import Allocation
from edgelearn_env.physics.transformer import layer_costs
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.bounds import dissimilarity_share
from edgelearn_env.tapes.tape import Conditions, sample_tape
from edgelearn_env.trajectory import rollout

LAYERS = MADE_UP_LAYERS


def decision(*, blocks, depth=6, batch=8.0, switch=True, scenario=LAYERS) -> Allocation:
    """A batch of one round, the same for all devices where one number is given."""
    each = np.ones((1, scenario.num_devices))
    return Allocation(
        switch=np.array([switch]),
        server_freq_hz=np.array([1e9]),
        server_batch=np.array([64.0]),
        freq_hz=5e8 * each,
        power_w=0.05 * each,
        batch=batch * each,
        depth=np.array([depth]),
        blocks=(blocks * each).astype(np.int64),
    )


def one_step(scenario=LAYERS, state=None, **decided):
    constants, each = LayerConstants.of(scenario), np.ones((1, scenario.num_devices))
    state = initial_state(constants, 1) if state is None else state
    return step(constants, state, Conditions(1e-8 * each, 0.0 * each), decision(scenario=scenario, **decided))


def test_each_device_trains_as_many_blocks_as_its_memory_holds_with_its_batch():
    _, outcome = one_step(blocks=4, batch=16.0)
    np.testing.assert_array_equal(outcome.layers.blocks, [[4, 4, 4, 3, 3, 3, 1, 1, 1]])
    np.testing.assert_array_equal(outcome.layers.lowered, [[False] * 3 + [True] * 6])
    held = [layer_costs(LAYERS.networks.size, 6, blocks, 16).peak_bytes for blocks in (4, 3, 1)]
    np.testing.assert_array_equal(outcome.layers.memory_byte[0, ::3], held)
    assert np.all(outcome.layers.memory_byte <= LAYERS.memory.limit_byte)


def test_a_device_for_whose_batch_there_is_no_memory_at_all_is_silent_and_that_is_told():
    _, outcome = one_step(blocks=6, batch=32.0)
    np.testing.assert_array_equal(outcome.devices.participates, [[True] * 3 + [True] * 3 + [False] * 3])
    np.testing.assert_array_equal(outcome.layers.blocks[0, 6:], 0)
    assert np.all(outcome.layers.lowered[0, 6:])
    assert not np.any(outcome.devices.compute_j[0, 6:] + outcome.layers.memory_byte[0, 6:])


def test_part_of_a_sample_takes_the_memory_of_a_whole_one():
    most = LAYERS.levels.most_batch[2, 0, 8]
    assert one_step(blocks=1, batch=most)[1].layers.blocks[0, 8] == 1
    assert one_step(blocks=1, batch=most + 0.25)[1].layers.blocks[0, 8] == 0


def test_the_net_is_chosen_with_the_switch_and_never_again():
    before, _ = one_step(blocks=1, depth=2, switch=False)
    assert before.depth[0] == 0
    state, _ = one_step(blocks=6, depth=4, state=before)
    again, outcome = one_step(blocks=6, depth=2, state=state)
    assert (state.depth[0], again.depth[0]) == (4, 4)
    assert outcome.layers.blocks.max() == 4
    assert not outcome.layers.lowered[0, 0]


def test_a_round_counts_weights_by_shares_and_noise_by_levels():
    scenario = LAYERS.replace(learning={"dissimilarity": 2.0}, memory={"limit_byte": 64e6})
    blocks = np.array([[6, 4, 2, 1, 1, 0, 0, 3, 6]])
    state, outcome = one_step(scenario, blocks=blocks)
    np.testing.assert_array_equal(outcome.layers.blocks, blocks)
    share, noise = np.array([0, 0.45, 0.65, 0.8, 0.9, 0.96, 1.0]), np.array([0, 0.55, 0.72, 0.84, 0.92, 0.97, 1.0])
    assert state.bound_terms.participation[0] == pytest.approx(np.sum(share[blocks]) / 9, rel=1e-12)
    variance = 50.0 * noise[blocks]
    omega = np.array([np.sum(blocks >= block) / 9 for block in range(1, 7)])
    unlike = np.sum(np.diff(share) * dissimilarity_share(omega))
    expected = 10.0 * 0.1 * np.sum(variance / 81 / 8) + 2.0 * unlike
    assert state.bound_terms.finetune_term[0] == pytest.approx(expected, rel=1e-12)


def test_before_the_switch_the_net_that_would_end_best_is_in_charge_after_it_the_chosen_one():
    constants = LayerConstants.of(LAYERS)
    state = initial_state(constants, 1)
    losses = losses_of_nets(constants, state)[0]
    assert objective(constants, state)[0] == losses.min() == losses[0]
    after, outcome = one_step(blocks=1, depth=6)
    assert outcome.objective[0] == losses_of_nets(constants, after)[0, 2]
    assert outcome.reward[0] == np.log(losses.min()) - np.log(outcome.objective[0])
    assert after.bound_terms.pretrain_term[0] == after.pretrain_terms[0, 2]


def test_pre_training_moves_all_nets():
    after, _ = one_step(blocks=1, switch=False)
    gaps = 2.3 * np.array([0.9, 0.95, 1.0])
    expected = (1 - 0.04) * gaps + 0.1 * 0.05 / 2 + 10 * 0.01 * 50 / 2 / 64
    np.testing.assert_allclose(after.pretrain_terms[0], expected, rtol=1e-12)


@given(seeds)
@settings(max_examples=25)
def test_rewards_add_up_and_no_device_ever_holds_more_than_its_memory(seed):
    rng = np.random.default_rng(seed)
    scenario = random_layers(rng)
    played = rollout(scenario, sample_tape(scenario, 1), random_layers_policy(rng, scenario, whole=False))
    first = objective(LayerConstants.of(scenario), mapped(lambda array: array[:, 0], played.observed.state))
    earned = np.log(first / played.objective)[0]
    np.testing.assert_allclose(np.sum(played.outcomes.reward), earned, rtol=1e-9, atol=1e-9)
    layers, participates = played.outcomes.layers, played.outcomes.devices.participates
    assert np.all(layers.memory_byte <= scenario.memory.limit_byte)
    np.testing.assert_array_equal(layers.blocks > 0, participates)
    np.testing.assert_array_equal(layers.memory_byte > 0, participates)
    assert np.all(layers.blocks <= played.final_state.depth[:, None, None])


@pytest.mark.parametrize("library", ["array_api_strict", "torch"])
def test_other_array_libraries_play_the_same(library):
    if library == "torch":
        pytest.importorskip("torch")
        from edgelearn_env.arrays import torch_names as xp
    else:
        xp = array_api_strict
    for seed in range(6):
        rng = np.random.default_rng(seed)
        scenario = random_layers(rng, max_rounds=6)
        constants, theirs = LayerConstants.of(scenario), LayerConstants.of(scenario, xp)
        state, other, tape = initial_state(constants, 3), initial_state(theirs, 3), sample_tape(scenario, seed)
        for index in range(5):
            allocation = random_layers_allocation(rng, scenario, 3)
            conditions = mapped(lambda array, i=index: np.stack([array[i]] * 3), Conditions(*tape[:2]))
            state, outcome = step(constants, state, conditions, allocation)
            other, same = step(theirs, other, *(mapped(xp.asarray, each) for each in (conditions, allocation)))
            for mine, its in zip(arrays_of((state, outcome)), arrays_of((other, same)), strict=True):
                assert np.asarray(its).dtype == mine.dtype
                np.testing.assert_allclose(np.asarray(its), mine, rtol=1e-12, atol=1e-12)


def test_decisions_and_states_are_not_written_to():
    scenario, rng = Scenario.preset("layers-tiny"), np.random.default_rng(0)
    constants = LayerConstants.of(scenario)
    state, allocation = initial_state(constants, 2), random_layers_allocation(rng, scenario, 2)
    conditions = Conditions(np.full((2, 3), 1e-9), np.full((2, 3), 0.01))
    before = mapped(np.copy, (state, allocation))
    after = step(constants, state, conditions, allocation)
    mapped(np.testing.assert_array_equal, (state, allocation), before)
    given_ = [*arrays_of((state, allocation))]
    assert not any(np.shares_memory(array, mine) for array in arrays_of(after) for mine in given_)


@given(seeds)
@settings(max_examples=20)
def test_a_planned_round_is_what_is_played_where_budgets_allow(seed):
    rng = np.random.default_rng(seed)
    scenario = random_layers(rng)
    constants, tape = LayerConstants.of(scenario), sample_tape(scenario, seed)
    state, conditions = initial_state(constants, 8), Conditions(*(np.stack([array[0]] * 8) for array in tape[:2]))
    decided = random_layers_allocation(rng, scenario, 8)
    planned, (_, outcome) = (play(constants, state, conditions, decided) for play in (planned_round, step))
    played = outcome.counted
    for name in ("duration_s", "energy_j", "server_j"):
        np.testing.assert_array_equal(getattr(planned, name)[played], getattr(outcome, name)[played])
    tuned = played & decided.switch
    np.testing.assert_array_equal(planned.devices.participates[tuned], outcome.devices.participates[tuned])
