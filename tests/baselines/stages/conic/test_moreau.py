"""Moreau's optimum of a tape: proven like Clarabel's, and the same."""

import numpy as np
import pytest
from cvxpy.reductions.solvers.solving_chain import SolvingChain
from small_systems import planned, random_system

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.clairvoyance import clairvoyant_batch
from edgelearn_env.baselines.priced.bounds import bounds_of_all_pairs
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.stages.model.optimum import StagedOptimum
from edgelearn_env.baselines.stages.model.restriction import Restriction
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

pytest.importorskip("moreau")

# Relative, asked of each certificate.
GAP = 1e-3


@pytest.fixture
def solvers_used(monkeypatch) -> list[str]:
    """Names of cvxpy's solvers, as they are called."""
    names, solve = [], SolvingChain.solve_via_data

    def noted(chain, *arguments, **options):
        names.append(chain.solver.name())
        return solve(chain, *arguments, **options)

    monkeypatch.setattr(SolvingChain, "solve_via_data", noted)
    return names


def assert_the_same_and_certified(ours: StagedOptimum, reference: StagedOptimum):
    for one, other in ((ours, reference), (reference, ours)):
        assert 0 < one.bound <= other.value
        assert other.value <= one.bound * (1 + GAP) * (1 + GAP)
    assert ours.certificate.gap <= GAP * (1 + 1e-3)
    assert ours.certificate.residual <= 1e-6


@pytest.mark.parametrize("batteries", ["ample", "binding"])
@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_it_agrees_with_clarabel_on_small_systems(objective, batteries):
    scenario, tape = random_system(1, longest=5, objective=objective, batteries=batteries)
    ours, reference = (clairvoyant(scenario, tape, gap=GAP, solver=name) for name in ("moreau", "clarabel"))
    assert_the_same_and_certified(ours, reference)


@pytest.mark.parametrize("stages", ["both", "pretrain", "finetune"])
def test_it_agrees_with_clarabel_on_a_longer_tape(tiny, tiny_tape, stages):
    tiny, tiny_tape = tiny.replace(budgets={"max_rounds": 12}), mapped(lambda array: array[:12], tiny_tape)
    ours = clairvoyant(tiny, tiny_tape, gap=GAP, stages=stages, solver="moreau")
    assert_the_same_and_certified(ours, clairvoyant(tiny, tiny_tape, gap=GAP, stages=stages))
    assert rollout(tiny, tiny_tape, ours.plan).objective[0] == pytest.approx(ours.value, rel=1e-9)


def test_it_alone_is_used_where_it_is_asked_for(solvers_used, tiny):
    tiny = tiny.replace(budgets={"max_rounds": 6})
    tapes = Tape.stack([sample_tape(tiny, seed) for seed in range(2)])
    optima = list(clairvoyant_batch(tiny, tapes, solver="moreau", num_workers=1))
    assert set(solvers_used) == {"MOREAU"}
    for tape, optimum in zip(tapes.each(), optima, strict=True):
        assert clairvoyant(tiny, tape, solver="moreau").certificate == optimum.certificate


def test_its_multipliers_prove_its_solution(tiny, tiny_tape):
    system = PricedEpisode(tiny, tiny_tape, Restriction(everyone=True), solver="moreau")
    found = system.planned(10, np.ones((5, 3), dtype=bool))
    rounds = system.rounds(found.prices, found.value, 1e-9, system.sets)
    bound = bounds_of_all_pairs(system, found.prices, found.value, rounds)[10, 15]
    assert bound == pytest.approx(0.0, abs=2e-5 * found.value * np.sum(found.rounds.weight))


def test_more_rounds_than_the_budgets_allow_have_no_solution_and_a_least_share_above_one(tiny, tiny_tape):
    # The downlinks of 13 rounds take 0.26 s.
    episode = planned(tiny.replace(budgets={"delay_s": 0.3}), tiny_tape, 0, 13)
    assert EpisodeProgram(episode).solve("moreau") is None
    assert EpisodeProgram(episode, thrifty=True).solve("moreau").share > 1


@pytest.mark.slow
def test_it_agrees_with_clarabel_on_tapes_of_the_default_scenario():
    scenario = Scenario.preset("default")
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in range(4)])
    for pair in zip(*(clairvoyant_batch(scenario, tapes, solver=name) for name in ("moreau", "clarabel")), strict=True):
        assert_the_same_and_certified(*pair)
