"""Policies that choose codes: what they know, what they may use, and that forecasts are those of the law."""

import functools

import numpy as np
import pytest

from edgelearn_env import Tape, rollout, sample_tape
from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.gradient_coding.policies.bandit import CodeBandit
from edgelearn_env.baselines.gradient_coding.policies.coded_lyapunov import CodedLyapunov
from edgelearn_env.baselines.gradient_coding.policies.course import Course, best_course
from edgelearn_env.baselines.gradient_coding.policies.forecast import StragglerForecast
from edgelearn_env.baselines.gradient_coding.policies.mpc import CodedMPC
from edgelearn_env.baselines.gradient_coding.policies.round_choice import RoundChoice
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.trajectory import Policy, Trajectory

SCENARIO = GradientCodingScenario.load("coded-tiny")
# Few rounds, and devices that are seldom slow, but then for much of what is left.
RISKY = SCENARIO.replace(
    budgets={"max_rounds": 10}, stragglers={"slow_factor": 40.0, "slow_begin": 0.08, "erasure": 0.0}
)
NUM_TAPES, LATER = 4, 6
TAPES = Tape.stack([sample_tape(RISKY, seed) for seed in range(NUM_TAPES)])
FIXED = {"uncoded": (0, 0), "cgc-w": (0, 1), "cgc-e": (1, 0), "hgc": (1, 1)}
CHOOSING = ("markov", "bandit", "mpc")


@functools.cache
def course() -> Course:
    """The best one, but with most rounds left to fine-tuning, which is what policies differ in."""
    best = best_course(RoundChoice(scenario=RISKY, codes=RISKY.codes))
    return best._replace(num_pretrain_rounds=2, num_finetune_rounds=8)


@functools.cache
def policy_of(name: str) -> Policy:
    """A policy that may choose, on a course that they share."""
    choice = RoundChoice(scenario=RISKY, codes=RISKY.codes)
    if name == "bandit":
        return CodeBandit.of(RISKY, course())
    kind = CodedMPC.of if name == "mpc" else CodedLyapunov.on_course
    return kind(choice, course())


@functools.cache
def played(name: str) -> Trajectory:
    return rollout(RISKY, TAPES, policy_of(name))


def codes_of(trajectory: Trajectory) -> list[list[tuple[int, int]]]:
    """Codes of the fine-tuning rounds in which somebody works, episode by episode."""
    decided, counted = trajectory.allocations, trajectory.outcomes.counted
    worked = counted & np.any(trajectory.outcomes.devices.participates, axis=2)
    pairs = np.stack([decided.edge_stragglers, decided.device_stragglers], axis=2)
    return [[tuple(pair) for pair in of[there].tolist()] for of, there in zip(pairs, worked, strict=True)]


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_code_is_used_in_every_round_of_fine_tuning(name):
    code = FIXED[name]
    policy = CodedLyapunov.on_course(RoundChoice(scenario=RISKY, codes=(code,)), course())
    assert {code} == {used for episode in codes_of(rollout(RISKY, TAPES, policy)) for used in episode}


@pytest.mark.parametrize("name", CHOOSING)
def test_a_policy_that_may_choose_uses_codes_where_devices_are_now_and_then_very_slow(name):
    assert any(code != (0, 0) for episode in codes_of(played(name)) for code in episode)


def test_no_code_is_used_where_nothing_is_ever_late():
    calm = RISKY.replace(stragglers={"slow_factor": 1.0, "stall_s": 0.0, "edge_erasure": 0.0})
    policy = CodedLyapunov.on_course(RoundChoice(scenario=calm, codes=calm.codes), course())
    used = codes_of(rollout(calm, Tape.stack([sample_tape(calm, seed) for seed in range(NUM_TAPES)]), policy))
    assert {(0, 0)} == {code for episode in used for code in episode}


@pytest.mark.parametrize("name", CHOOSING)
def test_what_a_round_hides_changes_no_decision_before_it(name):
    hidden, late = TAPES.hidden, np.arange(10)[:, None] >= LATER
    other = TAPES._replace(hidden=hidden._replace(slowdown=np.where(late, 9.0, hidden.slowdown)))
    again = rollout(RISKY, other, policy_of(name)).allocations
    for ours, theirs in zip(played(name).allocations, again, strict=True):
        np.testing.assert_array_equal(ours[:, : LATER + 1], theirs[:, : LATER + 1])
    assert not np.array_equal(played(name).allocations.freq_hz[:, LATER + 1 :], again.freq_hz[:, LATER + 1 :])


@pytest.mark.parametrize("name", CHOOSING)
def test_what_is_remembered_is_of_that_episode_alone(name):
    together = played(name).objective
    alone = rollout(RISKY, TAPES.rows(slice(3, 4)), policy_of(name)).objective
    np.testing.assert_allclose(alone, together[3:4], rtol=1e-9)


def test_a_bandit_plays_each_code_once_before_any_twice():
    for episode in range(NUM_TAPES):
        decided = mapped(lambda array, i=episode: array[i], played("bandit").allocations)
        tuned = np.flatnonzero(decided.switch & ~played("bandit").observed.state.ended[episode])[:4]
        codes = np.column_stack([decided.edge_stragglers, decided.device_stragglers])[tuned]
        assert len(np.unique(codes, axis=0)) == len(codes)


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
