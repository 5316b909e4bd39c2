"""The structured solver against the same program in cvxpy: the same values, with prices that prove them."""

import dataclasses
import logging

import numpy as np
import pytest
from random_layers import random_layers
from small_systems import planned, random_participants, random_system

from edgelearn_env.baselines import clairvoyant
from edgelearn_env.baselines.layer_tuning.priced_layers import PricedLayers
from edgelearn_env.baselines.priced.bounds import bounds_of_all_pairs
from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.conic import program as conic
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.stages.conic.program_data import Scales, program_data
from edgelearn_env.baselines.stages.model.plan_from_times import plan_from_times
from edgelearn_env.baselines.stages.model.planned_episode import Batches, PlanStart
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction
from edgelearn_env.baselines.stages.structured import interior_point
from edgelearn_env.baselines.stages.structured.numbers import Numbers
from edgelearn_env.baselines.stages.structured.solution import structured_solution
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout

# Clarabel is asked for 1e-6.
CLOSE = 3e-6


def numbers_of(episode) -> Numbers:
    sizes = (episode.num_pretrain_rounds, episode.num_finetune_rounds, episode.scenario.num_devices)
    return Numbers.of(program_data(episode, Scales.of(episode)), sizes)


def some_episode(seed: int):
    """A random system of many shapes: devices, rounds of both stages, who is silent."""
    rng = np.random.default_rng(seed)
    num_devices, num_finetune, num_pretrain = (
        int(rng.integers(1, 13)),
        int(rng.integers(1, 25)),
        int(rng.integers(0, 20)),
    )
    scenario, tape = random_system(seed, num_devices=num_devices, max_rounds=num_pretrain + num_finetune)
    silent = float(rng.choice([0.0, 0.3, 0.8]))
    participates = random_participants(rng, (num_finetune, num_devices), silent)
    return planned(scenario, tape, num_pretrain, num_finetune, participates)


def value_of(episode, solution) -> float:
    return episode.learning_bound(solution.times.server_batch, solution.times.batch)


@pytest.mark.parametrize("seed", range(40))
def test_values_are_those_of_the_reference(seed):
    episode = some_episode(seed)
    reference = EpisodeProgram(episode).solve("clarabel")
    ours = EpisodeProgram(episode).solve("structured")
    if reference is None:
        assert ours is None
        return
    assert value_of(episode, ours) == pytest.approx(value_of(episode, reference), rel=CLOSE)


@pytest.mark.parametrize("seed", [15, 95, 169, 179, 248])
def test_programs_whose_first_batteries_leave_no_slack_are_solved(seed):
    assert structured_solution(numbers_of(some_episode(seed))) is not None


def test_most_of_them_are_solved_without_the_reference():
    solved = [structured_solution(numbers_of(some_episode(seed))) is not None for seed in range(40)]
    can_be = [EpisodeProgram(some_episode(seed)).solve("clarabel") is not None for seed in range(40)]
    assert sum(can_be) >= 20
    assert sum(solved) >= 0.9 * sum(can_be)


@pytest.mark.parametrize("seed", range(0, 40, 3))
def test_its_prices_prove_its_value(seed):
    episode = some_episode(seed)
    system = PricedEpisode(episode.scenario, episode.tape, UNRESTRICTED)
    # The episode as the engine has it, without what no plan could use.
    episode = system.episode(episode.num_pretrain_rounds, episode.roles)
    if structured_solution(numbers_of(episode)) is None:
        return
    solution = EpisodeProgram(episode).solve("structured")
    first, last = episode.num_pretrain_rounds, episode.num_pretrain_rounds + episode.num_finetune_rounds
    must = np.zeros(episode.tape.harvest_w.shape, dtype=bool)
    must[first:last] = episode.participates
    phi = value_of(episode, solution)
    prices = system._along_tape(episode, solution.multipliers).lifted(system.setting, 1e-9 * phi)
    rounds = system.rounds(prices, phi, 1e-9, AllowedSets(must, must))
    least = bounds_of_all_pairs(system, prices, phi, rounds)[first, last]
    # A - phi W of the best plan is 0: its Lagrangian at these prices is hardly less.
    assert -2e-5 * phi * episode.total_weight <= least <= 1e-5 * phi * episode.total_weight


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_its_plans_are_played_within_all_budgets_and_batteries(seed):
    episode = some_episode(seed)
    if (solution := EpisodeProgram(episode).solve("structured")) is None:
        return
    played = rollout(episode.scenario, episode.tape, plan_from_times(episode, solution.times, shrink=1e-6))
    assert played.num_pretrain_rounds[0] == episode.num_pretrain_rounds
    assert played.num_finetune_rounds[0] == episode.num_finetune_rounds
    assert played.objective[0] == pytest.approx(value_of(episode, solution), rel=1e-4)


@pytest.mark.parametrize("seed", range(0, 30, 3))
def test_shares_of_given_batches_are_those_of_the_reference(seed):
    episode = some_episode(seed)
    if (chosen := EpisodeProgram(episode).solve("clarabel")) is None:
        return
    rng = np.random.default_rng(seed)
    factor = float(rng.choice([0.7, 0.97, 1.02]))
    server, devices = episode.scenario.server.batch_max, episode.scenario.devices.batch_max
    batches = Batches(
        np.clip(factor * chosen.times.server_batch, 1, server), np.clip(factor * chosen.times.batch, 1, devices)
    )
    given = dataclasses.replace(episode, given_batches=batches)
    ours, reference = (EpisodeProgram(given, thrifty=True).solve(name) for name in ("structured", "clarabel"))
    if reference is None:
        assert ours is None
    else:
        assert ours.share == pytest.approx(reference.share, rel=CLOSE)


@pytest.mark.parametrize("seed", range(6))
def test_rounds_of_layers_are_programs_too(seed):
    rng = np.random.default_rng(seed)
    scenario = random_layers(rng, num_devices=5, max_rounds=20)
    system = PricedLayers(scenario, sample_tape(scenario, seed), 0)
    most = scenario.networks.depths[0]
    highest = np.minimum(np.broadcast_to(system.sets.highest, (20, 5)), most).astype(int)[4:16]
    roles = np.where(rng.random(highest.shape) < 0.7, rng.integers(0, highest + 1), 0)
    episode = system.episode(4, roles)
    ours, reference = (EpisodeProgram(episode).solve(name) for name in ("structured", "clarabel"))
    assert (ours is None) == (reference is None)
    if ours is not None:
        assert value_of(episode, ours) == pytest.approx(value_of(episode, reference), rel=CLOSE)


def test_optima_are_those_of_the_reference():
    scenario = Scenario.preset("default").replace(budgets={"max_rounds": 30, "delay_s": 20.0, "energy_j": 60.0})
    tape = sample_tape(scenario, 1)
    ours, reference = (clairvoyant(scenario, tape, gap=1e-4, solver=name) for name in ("structured", "clarabel"))
    assert ours.value == pytest.approx(reference.value, rel=1e-4)
    assert max(ours.bound, reference.bound) <= min(ours.value, reference.value)


@pytest.mark.parametrize("restriction", ["power_w", "pretrain_share"])
def test_programs_of_another_kind_are_left_to_the_reference(restriction):
    episode = some_episode(3)
    kept = {"power_w": np.asarray(episode.scenario.devices.power_max_w), "pretrain_share": 0.5}
    episode = dataclasses.replace(episode, restriction=Restriction(**{restriction: kept[restriction]}))
    assert numbers_of(episode) is None
    ours, reference = (EpisodeProgram(episode).solve(name) for name in ("structured", "clarabel"))
    assert (ours is None) == (reference is None)
    if ours is not None:
        assert ours.multipliers.time == reference.multipliers.time


def test_a_program_for_which_it_finds_nothing_is_left_to_the_reference_which_says_so(monkeypatch, caplog):
    monkeypatch.setattr(interior_point, "_MOST_STEPS", 3)
    episode = some_episode(3)
    with caplog.at_level(logging.INFO, logger=conic.__name__):
        solution = EpisodeProgram(episode).solve("structured")
    assert solution is not None
    M, (N, K) = episode.num_pretrain_rounds, episode.participates.shape
    assert caplog.messages == [f"a program of {M} + {N} rounds and {K} devices is left to Clarabel"]


def test_a_program_without_a_solution_ends():
    episode = some_episode(5)
    start = PlanStart.at_start(episode.scenario)
    late = dataclasses.replace(episode, given_start=start._replace(delay_s=0.2 * start.delay_s))
    assert EpisodeProgram(late).solve("clarabel") is None
    assert structured_solution(numbers_of(late)) is None
