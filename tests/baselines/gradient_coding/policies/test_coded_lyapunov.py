"""Policies that choose codes: what they know, what they may use, and that forecasts are those of the law."""

import numpy as np
import pytest

from edgelearn_env import Tape, rollout, sample_tape
from edgelearn_env.baselines import ladder_of
from edgelearn_env.baselines.gradient_coding.policies.coded_lyapunov import CodedLyapunov
from edgelearn_env.baselines.gradient_coding.policies.forecast import StragglerForecast
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.trajectory import Trajectory

SCENARIO = GradientCodingScenario.load("coded-tiny", budgets={"max_rounds": 10})
TAPES = Tape.stack([sample_tape(SCENARIO, seed) for seed in range(4)])
FIXED = {"uncoded": (0, 0), "cgc-w": (0, 1), "cgc-e": (1, 0), "hgc": (1, 1)}


@pytest.fixture(scope="module")
def markov() -> CodedLyapunov:
    """The policy that may choose a code each round; tuning it takes longest."""
    return ladder_of(SCENARIO)["markov"](SCENARIO)


@pytest.fixture(scope="module")
def chosen_freely(markov) -> Trajectory:
    return rollout(SCENARIO, TAPES, markov)


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_code_is_used_in_every_round_of_fine_tuning(name):
    played = rollout(SCENARIO, TAPES, ladder_of(SCENARIO)[name](SCENARIO))
    tuned = played.outcomes.counted & (played.outcomes.coded.load.sum(axis=2) > 0)
    decided = played.allocations.edge_stragglers[tuned], played.allocations.device_stragglers[tuned]
    assert np.any(tuned)
    assert {*zip(*(part.tolist() for part in decided), strict=True)} == {FIXED[name]}


def test_a_policy_that_may_choose_uses_more_than_one_code(chosen_freely):
    tuned = chosen_freely.outcomes.counted & (chosen_freely.outcomes.coded.load.sum(axis=2) > 0)
    decided = chosen_freely.allocations.edge_stragglers[tuned], chosen_freely.allocations.device_stragglers[tuned]
    assert len({*zip(*(part.tolist() for part in decided), strict=True)}) > 1


def test_what_a_round_hides_changes_no_decision_before_it(markov, chosen_freely):
    hidden = TAPES.hidden
    # All is alike up to the sixth round.
    other = hidden._replace(slowdown=np.where(np.arange(10)[:, None] < 5, hidden.slowdown, 9.0))
    changed = rollout(SCENARIO, TAPES._replace(hidden=other), markov).allocations
    for ours, theirs in zip(chosen_freely.allocations, changed, strict=True):
        np.testing.assert_array_equal(ours[:, :6], theirs[:, :6])
    assert not np.array_equal(chosen_freely.allocations.batch[:, 6:], changed.batch[:, 6:])


@pytest.mark.parametrize("remembers", [True, False])
def test_sampled_rounds_follow_the_law_of_tapes(remembers):
    forecast = StragglerForecast.of(SCENARIO, remembers=remembers)
    seen = np.array([[3.0, 1.0, 1.0, 3.0]])
    uniforms = np.random.default_rng(2).uniform(size=(20_000, 1, 3 * 4 + 2))
    drawn = forecast.sampled(seen, uniforms)
    chance = np.where(seen > 1, 1 - 0.5, 0.2) if remembers else np.full(seen.shape, 0.2 / 0.7)
    np.testing.assert_allclose(forecast.slow_chance(seen), chance)
    for values, mean in (
        (drawn.slowdown > 1, chance),
        (drawn.stall_s, 0.002),
        (drawn.tries, 1 / 0.8),
        (drawn.edge_tries, 1 / 0.9),
    ):
        error = np.std(values, axis=0) / np.sqrt(len(values))
        assert np.all(np.abs(np.mean(values, axis=0) - mean) <= 4.5 * error)
