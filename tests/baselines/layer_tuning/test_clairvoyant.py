"""The optimum of layer tuning: below every policy, equal to brute force, replayed exactly."""

import itertools

import numpy as np
import pytest
from random_layers import random_layers, random_layers_policy

from edgelearn_env import Scenario, Tape, rollout, sample_tape
from edgelearn_env.baselines import clairvoyant, ladder_of
from edgelearn_env.baselines.layer_tuning.clairvoyant import LayerOptimum
from edgelearn_env.baselines.layer_tuning.priced_layers import PricedLayers
from edgelearn_env.baselines.priced.bounds import bounds_of_all_pairs
from edgelearn_env.errors import SolverError
from edgelearn_env.layer_tuning import LayerTuningScenario, as_two_stage


def best_found(scenario: LayerTuningScenario, tape: Tape, gap: float = 1e-3) -> LayerOptimum:
    try:
        return clairvoyant(scenario, tape, gap=gap)
    except SolverError as error:
        return error.found


def least_of_all_plans(scenario: LayerTuningScenario, tape: Tape) -> float:
    """J of the best plan over all nets, numbers of rounds and levels of each round, one program for each."""
    horizon, num_devices, values = len(tape.harvest_w), scenario.num_devices, []
    for place, depth in enumerate(np.asarray(scenario.networks.depths).tolist()):
        system = PricedLayers(scenario, tape, place)
        most = np.sum(scenario.levels.most_batch[place, :depth] >= 1, axis=0)
        levels = list(itertools.product(*(range(count + 1) for count in most)))
        values.append(system.objective_of(system.nothing().value))
        for first in range(horizon + 1):
            for count in range(0 if first else 1, horizon + 1 - first):
                for roles in itertools.product(levels, repeat=count):
                    if not count or any(roles[-1]):
                        found = system.planned(first, np.array(roles, dtype=int).reshape(count, num_devices))
                        values.append(np.inf if found is None else system.objective_of(found.value))
    return min(values)


def small_system(seed: int) -> tuple[LayerTuningScenario, Tape]:
    """A device and three rounds with three levels, or two devices and two rounds with two nets."""
    rng, kind = np.random.default_rng(seed), seed % 3
    depths, devices, rounds = (((2,), 2, 2), ((1, 2), 2, 2), ((3,), 1, 3))[kind]
    scenario = random_layers(rng, depths=depths, num_devices=devices, max_rounds=rounds)
    return scenario, sample_tape(scenario, seed)


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 15))])
def test_the_optimum_is_that_of_all_nets_and_levels_tried_one_by_one(seed):
    scenario, tape = small_system(seed)
    optimum, least = clairvoyant(scenario, tape, gap=1e-4), least_of_all_plans(scenario, tape)
    assert optimum.bound <= least * (1 + 1e-6)
    assert optimum.value == pytest.approx(least, rel=2e-4)


def check_random_systems(seeds: range, **choices) -> list[float]:
    """Gaps of the optima, once no random policy is below any of them and all plans reach what they promise."""
    gaps = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        scenario = random_layers(rng, **{"max_rounds": int(rng.integers(3, 9))} | choices)
        tape = sample_tape(scenario, seed)
        optimum = best_found(scenario, tape)
        assert rollout(scenario, tape, optimum.plan).objective[0] == pytest.approx(optimum.value, rel=1e-6)
        assert rollout(scenario, tape, optimum.whole_plan).objective[0] == pytest.approx(optimum.achieved, rel=1e-12)
        for whole in (True, False):
            policy = random_layers_policy(rng, scenario, whole=whole)
            assert rollout(scenario, Tape.stack([tape] * 60), policy).objective.min() >= optimum.bound
        gaps.append(optimum.gap)
    return gaps


def test_no_policy_is_below_the_bound_of_six_random_small_systems():
    gaps = check_random_systems(range(6), max_rounds=3, num_devices=2)
    assert sum(gap <= 1.001e-3 for gap in gaps) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(10))
def test_no_policy_is_below_the_bound_of_two_hundred_random_small_systems(chunk):
    gaps = check_random_systems(range(100 + 20 * chunk, 120 + 20 * chunk))
    assert sum(gap <= 1.001e-3 for gap in gaps) >= 15
    assert max(gaps) <= 0.1


def test_a_device_that_must_take_part_and_is_left_no_level_rules_its_round_out():
    scenario = LayerTuningScenario.load("layers-tiny", budgets={"max_rounds": 6})
    system = PricedLayers(scenario, sample_tape(scenario, 0), 0)
    guess = system.first_guess()

    def bounds(sets):
        return bounds_of_all_pairs(system, guess.prices, guess.phi, system.rounds(guess.prices, guess.phi, 1e-4, sets))

    _, above = system.sets.decided(2, 0, takes_part=True).divided(2, 0, 99)
    before, after, ends = bounds(system.sets), bounds(above), np.arange(7)
    holds = (ends[:, None] <= 2) & (ends > 2)
    assert np.all(after[holds] > 0)
    others = ~holds & (ends[:, None] <= ends)
    np.testing.assert_allclose(after[others], before[others], rtol=1e-6, atol=1e-6)


def test_a_net_of_which_all_is_trained_is_the_two_stage_optimum():
    networks = {
        "depths": [1],
        "gap_factor": [1.0],
        "distribution_factor": [1.0],
        "floor": [0.1],
        "share": [[1.0]],
        "noise_factor": [[1.0]],
    }
    scenario = LayerTuningScenario.load("layers-tiny", networks=networks, budgets={"max_rounds": 12})
    plain, tape = as_two_stage(scenario, 1, 1), sample_tape(scenario, 5)
    ours, theirs = clairvoyant(scenario, tape), clairvoyant(plain, tape)
    mu = scenario.learning.pl_constant
    assert (ours.value - 0.1) * 2 * mu == pytest.approx(theirs.value, rel=2e-3)
    assert ours.bound <= 0.1 + theirs.value / (2 * mu)
    assert theirs.bound <= (ours.value - 0.1) * 2 * mu


def test_more_nets_levels_and_memory_never_hurt():
    scenario = LayerTuningScenario.load("layers-tiny", budgets={"max_rounds": 8, "delay_s": 8.0})
    tape = sample_tape(scenario, 1)
    optimum = best_found(scenario, tape)
    roomy, short = (scenario.replace(memory={"limit_byte": limit}) for limit in (64e6, 6e6))
    assert best_found(roomy, tape).bound <= optimum.value
    assert best_found(short, tape).value >= optimum.bound
    for floor, depth in (([0.0, 1.0], 1), ([1.0, 0.0], 2)):
        lopsided = best_found(scenario.replace(networks={"floor": floor}), tape)
        assert lopsided.plan.allocations.depth[0] == depth


def test_each_policy_of_the_ladder_keeps_to_what_it_is_named_after():
    scenario = Scenario.preset("layers-tiny")
    tape, ladder = Tape.stack([sample_tape(scenario, seed) for seed in range(3)]), ladder_of(scenario)
    played = {name: rollout(scenario, tape, ladder[name](scenario)) for name in ("last-block", "whole-net")}
    for name, trajectory in played.items():
        blocks, depth = trajectory.outcomes.layers.blocks, trajectory.final_state.depth[:, None, None]
        trained = blocks > 0
        assert trained.any()
        if name == "last-block":
            assert np.all(blocks[trained] == 1)
        if name == "whole-net":
            assert np.all((blocks == depth)[trained])
        assert not np.any(trajectory.outcomes.layers.lowered & trained)
