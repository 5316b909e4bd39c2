"""What every registered system's optimum must keep to, whatever it models."""

import numpy as np
import pytest
from systems_under_contract import SYSTEM_NAMES, small_scenario

from edgelearn_env import InvalidInputError, Scenario, rollout, sample_tape
from edgelearn_env.baselines import Optimum, clairvoyant, clairvoyant_batch, ladder_of
from edgelearn_env.scenarios.systems import SYSTEMS
from edgelearn_env.tapes.tape import Tape

SOLVED = [name for name in SYSTEM_NAMES if SYSTEMS[name].optimum]
SEEDS, GAP = (0, 1, 2), 1e-4


@pytest.fixture(scope="module", params=SOLVED)
def scenario(request) -> Scenario:
    # Tuning and looking ahead take as much longer as there are rounds.
    return small_scenario(request.param).replace(budgets={"max_rounds": 6})


@pytest.fixture(scope="module")
def optima(scenario) -> list[Optimum]:
    return [clairvoyant(scenario, sample_tape(scenario, seed), gap=GAP) for seed in SEEDS]


@pytest.mark.parametrize("gap", [0.0, -1.0, np.nan, np.inf])
def test_what_is_no_gap_is_refused_before_anything_is_solved(scenario, gap):
    tape, sentence = sample_tape(scenario, 0), f"^gap must be a finite number above 0, got {gap!r}$"
    with pytest.raises(InvalidInputError, match=sentence):
        clairvoyant(scenario, tape, gap=gap)
    with pytest.raises(InvalidInputError, match=sentence):
        clairvoyant_batch(scenario, Tape.stack([tape]), gap=gap)


def test_a_bound_is_below_its_plan_and_near_it(optima):
    for optimum in optima:
        assert isinstance(optimum, Optimum)
        assert 0 < optimum.bound <= optimum.value * (1 + 1e-9) <= optimum.achieved * (1 + 2e-9)
        assert optimum.gap == optimum.value / optimum.bound - 1 <= 2 * GAP
        assert optimum.certificate.residual <= 1e-6


def test_plans_replayed_by_the_dynamics_reach_what_they_promise(scenario, optima):
    for seed, optimum in zip(SEEDS, optima, strict=True):
        tape = sample_tape(scenario, seed)
        assert rollout(scenario, tape, optimum.whole_plan).objective[0] == pytest.approx(optimum.achieved, rel=1e-12)
        assert rollout(scenario, tape, optimum.plan).objective[0] == pytest.approx(optimum.value, rel=1e-6)


def test_no_policy_of_the_ladder_is_below_the_bound(scenario, optima):
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in SEEDS])
    bound = np.array([optimum.bound for optimum in optima])
    best = np.full(len(SEEDS), np.inf)
    for make in ladder_of(scenario).values():
        reached = rollout(scenario, tapes, make(scenario)).objective
        assert np.all(reached >= bound)
        best = np.minimum(best, reached)
    # Nor is the bound of another scale than what policies reach.
    assert np.all(best <= 2 * bound)


@pytest.mark.parametrize("budget", ["delay_s", "energy_j"])
def test_a_looser_budget_never_hurts(scenario, optima, budget):
    looser = scenario.replace(budgets={budget: 1.5 * getattr(scenario.budgets, budget)})
    for seed, optimum in zip(SEEDS[:1], optima, strict=False):
        found = clairvoyant(looser, sample_tape(scenario, seed), gap=GAP)
        assert found.bound <= optimum.value
        assert found.value <= optimum.value * (1 + GAP)


def test_an_optimum_is_the_same_from_its_arrays(optima):
    for optimum in optima:
        again = type(optimum).from_arrays(optimum.to_arrays())
        assert (again.value, again.bound, again.achieved) == (optimum.value, optimum.bound, optimum.achieved)
        assert again.to_dict() == optimum.to_dict()
