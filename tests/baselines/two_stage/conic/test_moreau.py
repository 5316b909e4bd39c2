"""Moreau's optimum of a tape: proven like Clarabel's, and the same."""

import cvxpy as cp
import numpy as np
import pytest
from small_systems import planned, random_system

from edgelearn_env.baselines.clairvoyance import clairvoyant_batch
from edgelearn_env.baselines.two_stage.clairvoyant.search import clairvoyant
from edgelearn_env.baselines.two_stage.conic.dual import dual_bound
from edgelearn_env.baselines.two_stage.conic.program import EpisodeProgram
from edgelearn_env.baselines.two_stage.model.optimum import TwoStageOptimum
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

pytest.importorskip("moreau")

# Relative, between the two solvers.
SAME = 1e-5

# Each certificate's own.
GAP = 1.1e-5


@pytest.fixture
def solvers_used(monkeypatch) -> list[str]:
    """Names of cvxpy's solvers, as they are called."""
    names, solve = [], cp.Problem.solve

    def noted(problem, **options):
        names.append(options["solver"])
        return solve(problem, **options)

    monkeypatch.setattr(cp.Problem, "solve", noted)
    return names


def assert_the_same_and_certified(ours: TwoStageOptimum, reference: TwoStageOptimum):
    assert ours.value == pytest.approx(reference.value, rel=SAME)
    assert ours.bound == pytest.approx(reference.bound, rel=SAME)
    assert 0 < ours.bound <= ours.value
    assert ours.certificate.gap <= GAP
    assert ours.certificate.residual <= 1e-9


@pytest.mark.parametrize("batteries", ["ample", "binding", "starved", "mixed"])
@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_it_agrees_with_clarabel_on_small_systems(objective, batteries):
    for seed in range(2):
        scenario, tape = random_system(seed, longest=6, objective=objective, batteries=batteries)
        assert_the_same_and_certified(clairvoyant(scenario, tape, solver="moreau"), clairvoyant(scenario, tape))


@pytest.mark.parametrize("stages", ["both", "pretrain", "finetune"])
def test_it_agrees_with_clarabel_on_a_longer_tape(tiny, tiny_tape, stages):
    ours = clairvoyant(tiny, tiny_tape, stages=stages, solver="moreau")
    assert_the_same_and_certified(ours, clairvoyant(tiny, tiny_tape, stages=stages))
    assert rollout(tiny, tiny_tape, ours.plan).objective[0] == pytest.approx(ours.value, rel=1e-9)


def test_it_alone_is_used_where_it_is_asked_for(solvers_used, tiny):
    tiny = tiny.replace(budgets={"max_rounds": 8})
    tapes = Tape.stack([sample_tape(tiny, seed) for seed in range(2)])
    optima = list(clairvoyant_batch(tiny, tapes, solver="moreau", num_workers=1))
    assert set(solvers_used) == {"MOREAU"}
    for *arrays, optimum in zip(*tapes, optima, strict=True):
        assert clairvoyant(tiny, Tape(*arrays), solver="moreau").certificate == optimum.certificate


def test_its_multipliers_prove_its_solution(tiny, tiny_tape):
    episode = planned(tiny, tiny_tape, 10, 5)
    solution = EpisodeProgram(episode).solve("moreau")
    value = episode.learning_bound(solution.times.server_batch, solution.times.batch)
    assert dual_bound(episode, solution.multipliers) == pytest.approx(value, rel=SAME)


def test_more_rounds_than_the_budgets_allow_have_no_solution_and_a_bound_that_proves_it(tiny, tiny_tape):
    # The downlinks of 13 rounds take 0.26 s.
    episode = planned(tiny.replace(budgets={"delay_s": 0.3}), tiny_tape, 0, 13)
    assert EpisodeProgram(episode).solve("moreau") is None
    overdrawn = EpisodeProgram(episode, overdraft_price=1e4).solve("moreau")
    assert dual_bound(episode, overdrawn.multipliers) > episode.learning_bound(np.zeros(0), np.ones((13, 3)))


@pytest.mark.slow
def test_it_agrees_with_clarabel_on_100_tapes_of_the_default_scenario():
    scenario = Scenario.preset("default")
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in range(100)])
    for pair in zip(*(clairvoyant_batch(scenario, tapes, solver=name) for name in ("moreau", "clarabel")), strict=True):
        assert_the_same_and_certified(*pair)
