"""The optimum of episodes with codes: below every policy, equal to brute force, replayed exactly."""

import itertools

import numpy as np
import pytest
from random_codings import small_random_coding

from edgelearn_env import Scenario, Tape, rollout, sample_tape
from edgelearn_env.baselines import RandomPlay, clairvoyant, ladder_of
from edgelearn_env.baselines.gradient_coding.clairvoyant import CodedOptimum
from edgelearn_env.baselines.gradient_coding.model.choices import choices_of
from edgelearn_env.baselines.gradient_coding.priced_codes import PricedCodes
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED
from edgelearn_env.errors import SolverError
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario


def best_found(scenario: GradientCodingScenario, tape: Tape, gap: float = 1e-3) -> CodedOptimum:
    try:
        return clairvoyant(scenario, tape, gap=gap)
    except SolverError as error:
        return error.found


def least_of_all_plans(scenario: GradientCodingScenario, tape: Tape) -> float:
    """Phi of the best plan over all numbers of rounds, all sets and all codes of each round, one program for each."""
    system, horizon, num_devices = PricedCodes(scenario, tape, UNRESTRICTED), len(tape.harvest_w), scenario.num_devices
    sets = [np.array(some, dtype=int) for some in itertools.product((0, 1), repeat=num_devices)]
    choices = choices_of(scenario)
    sets += list(choices.participates * choices.role[:, None])
    values = [system.nothing().value]
    for first in range(horizon + 1):
        for count in range(0 if first else 1, horizon + 1 - first):
            for roles in itertools.product(sets, repeat=count):
                if count and not roles[-1].any():
                    continue
                found = system.planned(first, np.array(roles, dtype=int).reshape(count, num_devices))
                values.append(np.inf if found is None else found.value)
    return min(values)


def small_system(seed: int, num_rounds: int) -> tuple[GradientCodingScenario, Tape]:
    """Two devices, with a code."""
    rng = np.random.default_rng(seed)
    scenario = small_random_coding(rng, most_rounds=3)
    while scenario.num_devices > 2 or len(scenario.codes) == 1:
        scenario = small_random_coding(rng, most_rounds=3)
    scenario = scenario.replace(budgets={"max_rounds": num_rounds})
    return scenario, sample_tape(scenario, seed)


@pytest.mark.parametrize("num_rounds", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_is_that_of_all_sets_and_codes_tried_one_by_one(seed, num_rounds):
    scenario, tape = small_system(seed, num_rounds)
    optimum, least = clairvoyant(scenario, tape, gap=1e-4), least_of_all_plans(scenario, tape)
    assert optimum.bound <= least * (1 + 1e-6)
    assert optimum.value == pytest.approx(least, rel=2e-4)


def assert_replayed_and_never_undercut(scenario: GradientCodingScenario, seed: int, names: list[str]) -> CodedOptimum:
    """Plans reach what they promise; neither random episodes nor those policies of the ladder pass the bound."""
    tape = sample_tape(scenario, seed)
    optimum = best_found(scenario, tape)
    assert rollout(scenario, tape, optimum.plan).objective[0] == pytest.approx(optimum.value, rel=1e-6)
    assert rollout(scenario, tape, optimum.whole_plan).objective[0] == pytest.approx(optimum.achieved, rel=1e-12)
    played = [rollout(scenario, Tape.stack([tape] * 100), RandomPlay(scenario, seed=1)).objective.min()]
    played += [rollout(scenario, tape, ladder_of(scenario)[name](scenario)).objective[0] for name in names]
    assert min(played) >= optimum.bound
    return optimum


def test_no_policy_is_below_the_bound_of_random_small_systems():
    for seed in range(8):
        scenario = small_random_coding(np.random.default_rng(seed))
        assert assert_replayed_and_never_undercut(scenario, seed, []).gap <= 1.001e-3


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 50))
def test_no_policy_is_below_the_bound_of_two_hundred_random_small_systems(first):
    proven = 0
    for seed in range(first, first + 50):
        scenario = small_random_coding(np.random.default_rng(seed), most_rounds=5)
        # Tuning takes longest, so policies take turns.
        names = list(ladder_of(scenario))[seed % 4 :: 4]
        proven += assert_replayed_and_never_undercut(scenario, seed, names).gap <= 1.001e-3
    # Of the others the bound holds too, but is further from the plan.
    assert proven >= 45


def test_without_codes_and_stragglers_it_is_the_two_stage_optimum():
    scenario = Scenario.load("tiny")
    coding = {"num_edges": 1, "stored_edge_stragglers": 0, "stored_device_stragglers": 0}
    table = scenario.to_dict() | {"system": "gradient-coding", "coding": coding, "stragglers": {}}
    plain, tape = GradientCodingScenario.load(table), sample_tape(scenario, 5)
    ours, theirs = clairvoyant(plain, sample_tape(plain, 5)), clairvoyant(scenario, tape)
    assert (ours.value, ours.bound) == pytest.approx((theirs.value, theirs.bound), rel=1e-9)


def test_more_codes_and_fewer_stragglers_never_hurt():
    scenario = GradientCodingScenario.load("coded-tiny", learning={"dissimilarity": 20.0}, budgets={"max_rounds": 8})
    tape = sample_tape(scenario, 4)
    hidden = tape.hidden
    swift = tape._replace(hidden=hidden._replace(slowdown=np.ones_like(hidden.slowdown), stall_s=0 * hidden.stall_s))
    plain = scenario.replace(coding={"stored_edge_stragglers": 0, "stored_device_stragglers": 0})
    optimum = best_found(scenario, tape)
    assert best_found(plain, tape).value >= optimum.bound
    assert best_found(scenario, swift).bound <= optimum.value


def test_a_code_is_used_where_it_pays():
    # One device of three computes twenty times as long in all rounds, and data are too unlike to do without its part.
    scenario = GradientCodingScenario.load(
        "coded-tiny", learning={"dissimilarity": 100.0, "flops_per_sample": 3e8}, budgets={"max_rounds": 6}
    )
    tape = sample_tape(scenario, 0)
    slowdown = np.ones_like(tape.hidden.slowdown)
    slowdown[:, 0] = 20.0
    optimum = best_found(scenario, tape._replace(hidden=tape.hidden._replace(slowdown=slowdown)))
    tuned = optimum.plan.allocations.edge_stragglers + optimum.plan.allocations.device_stragglers
    assert np.any(tuned[optimum.num_pretrain_rounds : -1] > 0)
    assert not np.any(
        optimum.plan.allocations.asked[optimum.num_pretrain_rounds : -1, 0][tuned[optimum.num_pretrain_rounds : -1] > 0]
    )
