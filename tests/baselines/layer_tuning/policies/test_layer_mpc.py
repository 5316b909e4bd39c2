"""Control of layer tuning that plans ahead on forecasts."""

import numpy as np
import pytest
from random_layers import random_layers

from edgelearn_env import Scenario, Tape, rollout, sample_tape
from edgelearn_env.baselines import MPC, clairvoyant
from edgelearn_env.baselines.layer_tuning.model.layer_episode import LayerEpisode
from edgelearn_env.baselines.layer_tuning.policies.layer_mpc import LayerBlocks, LayerMPC
from edgelearn_env.baselines.layer_tuning.policies.tuned_layers import planned_levels
from edgelearn_env.baselines.stages.policies.block_episode import Blocks
from edgelearn_env.errors import InvalidInputError, SolverError
from edgelearn_env.layer_tuning import LayerTuningScenario, as_two_stage
from edgelearn_env.tapes import seeds

TINY = Scenario.preset("layers-tiny")


def least_possible(scenario: LayerTuningScenario, tape: Tape) -> float:
    try:
        return clairvoyant(scenario, tape, gap=0.01).bound
    except SolverError as error:
        return error.found.bound


def nets_that_somebody_can_train(scenario: LayerTuningScenario) -> list[int]:
    able = np.any(scenario.levels.most_batch >= 1, axis=(1, 2))
    return np.asarray(scenario.networks.depths)[able].tolist()


def test_no_plan_is_below_the_bound_or_beyond_budgets_and_memories_of_random_small_systems():
    levels = np.zeros(5, dtype=int)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scenario = random_layers(rng, num_devices=2, max_rounds=3, memory="short")
        tape = sample_tape(scenario, seed)
        bound, budgets = least_possible(scenario, tape), scenario.budgets
        for depth in nets_that_somebody_can_train(scenario):
            played = rollout(scenario, tape, LayerMPC(scenario, depth))
            outcomes, decided, final = played.outcomes, played.allocations, played.final_state
            assert played.objective[0] >= bound
            assert final.elapsed_s[0] <= budgets.delay_s
            assert final.spent_j[0] <= budgets.energy_j
            assert np.all(outcomes.layers.memory_byte <= scenario.memory.limit_byte)
            for batch in (decided.batch, decided.server_batch):
                np.testing.assert_array_equal(batch, np.round(batch))
            tuned = outcomes.counted & decided.switch
            assert not np.any(outcomes.layers.lowered[tuned])
            # Who is asked takes part; but where no battery covers anything, one is asked all the same.
            took_part = outcomes.devices.participates[tuned]
            anyone = np.any(took_part, axis=-1)
            np.testing.assert_array_equal(took_part[anyone], decided.batch[tuned][anyone] >= 1)
            assert np.all(np.sum(decided.batch[tuned][~anyone] >= 1, axis=-1) == 1)
            np.testing.assert_array_equal(decided.depth, depth)
            levels += np.bincount(outcomes.layers.blocks[tuned].ravel(), minlength=5)
    assert np.all(levels[:3] > 5), levels


def test_a_round_that_is_refused_is_one_that_stops():
    for seed in range(2):
        scenario = random_layers(np.random.default_rng(seed), num_devices=2, max_rounds=5, memory="short")
        played = rollout(
            scenario, sample_tape(scenario, seed), LayerMPC(scenario, max(nets_that_somebody_can_train(scenario)))
        )
        whispers = np.all(played.allocations.power_w < 1e-12 * np.asarray(scenario.devices.power_max_w), axis=-1)
        np.testing.assert_array_equal(played.outcomes.counted, ~whispers)


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_at_one_level_it_plays_as_in_two_stage_edge_learning(objective):
    rng = np.random.default_rng(0)
    scenario = random_layers(rng, depths=(1,), memory="ample", objective=objective, num_devices=2, max_rounds=6)
    scenario = scenario.replace(memory={"limit_byte": 1e18})
    plain, tape = as_two_stage(scenario, 1, 1), sample_tape(scenario, 0)
    ours, theirs = rollout(scenario, tape, LayerMPC(scenario, 1)), rollout(plain, tape, MPC(plain))
    np.testing.assert_array_equal(ours.outcomes.counted, theirs.outcomes.counted)
    for name in ("switch", "server_batch", "batch"):
        np.testing.assert_array_equal(getattr(ours.allocations, name), getattr(theirs.allocations, name))
    psi = scenario.bound.value(ours.final_state.bound_terms)
    np.testing.assert_allclose(psi, theirs.objective, rtol=1e-9)


def test_it_comes_near_the_optimum_with_levels_that_differ_among_devices():
    tape = sample_tape(TINY, seeds.test_seeds(1)[0])
    played, bound = rollout(TINY, tape, LayerMPC(TINY, 2)), clairvoyant(TINY, tape, gap=5e-3).bound
    assert bound <= played.objective[0] <= 1.03 * bound
    blocks = played.outcomes.layers.blocks[0]
    assert np.any(np.max(blocks, axis=1) > np.min(blocks, axis=1))


def test_what_comes_later_changes_no_decision():
    short = TINY.replace(budgets={"max_rounds": 8, "delay_s": 8.0})
    tape, known = sample_tape(short, 3), 5
    other = Tape(*(np.concatenate([array[:known], array[known:][::-1]]) for array in tape[:2]))
    ours, theirs = (rollout(short, each, LayerMPC(short, 2)).allocations for each in (tape, other))
    for name, decided in ours._asdict().items():
        np.testing.assert_array_equal(decided[:, :known], getattr(theirs, name)[:, :known], err_msg=name)


def test_which_net_would_end_best_changes_no_decision():
    scenario = TINY.replace(networks={"gap_factor": [0.4, 1.0]}, budgets={"max_rounds": 8, "delay_s": 8.0})
    tape, floors = sample_tape(scenario, 2), ([0.0, 9.0], [9.0, 0.0])
    ours, theirs = (
        rollout(each, tape, LayerMPC(each, 2)).allocations
        for each in (scenario.replace(networks={"floor": floor}) for floor in floors)
    )
    assert np.sum(~ours.switch) > 1
    for name, decided in ours._asdict().items():
        np.testing.assert_array_equal(decided, getattr(theirs, name), err_msg=name)


def test_a_block_of_rounds_counts_as_so_many_alike(rng):
    tape, sizes = sample_tape(TINY, 0), (1, 3, 2)
    roles, batch = np.array([[2, 1, 1], [2, 2, 0], [1, 0, 1]]), rng.integers(1, 20, (3, 3)).astype(float)
    nothing = LayerBlocks.of_nothing(TINY, place=1, given_roles=np.zeros((0, 3), dtype=int))
    blocks = nothing.in_blocks(Blocks((1, 2), sizes), roles, tape=tape)
    rounds = LayerEpisode(
        scenario=TINY,
        tape=tape,
        num_pretrain_rounds=3,
        num_finetune_rounds=6,
        place=1,
        given_roles=np.repeat(roles, sizes, axis=0),
    )
    values = (
        blocks.learning_bound(np.array([4.0, 7.0]), batch),
        rounds.learning_bound(np.array([4.0, 7.0, 7.0]), np.repeat(batch, sizes, axis=0)),
    )
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    np.testing.assert_array_equal(blocks.roles, roles)


@pytest.mark.parametrize(("floor", "depth"), [([0.0, 1.0], 1), ([1.0, 0.0], 2)])
def test_the_net_is_the_one_that_is_best_for_it(floor, depth):
    scenario = TINY.replace(networks={"floor": floor}, budgets={"max_rounds": 5, "delay_s": 5.0})
    played = rollout(scenario, sample_tape(scenario, 0), planned_levels(scenario))
    assert played.final_state.depth[0] == depth


def test_a_net_that_is_none_or_that_nobody_can_train_is_refused():
    with pytest.raises(InvalidInputError, match=r"depth must be one of networks\.depths, 1, 2, got 3"):
        LayerMPC(TINY, 3)
    least = TINY.levels.held_byte[:, 0] + TINY.levels.sample_byte[:, 0]
    cramped = TINY.replace(memory={"limit_byte": float(np.mean(least))})
    with pytest.raises(InvalidInputError, match="depth must be of a net that some device can train a block of, got 2"):
        LayerMPC(cramped, 2)
