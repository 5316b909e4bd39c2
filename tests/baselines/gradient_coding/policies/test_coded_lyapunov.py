"""Policies that choose codes: what they know, what they may use, and that forecasts are those of the law."""

import functools

import numpy as np
import pytest

from edgelearn_env import Tape, rollout, sample_tape
from edgelearn_env.baselines import ladder_of
from edgelearn_env.baselines.gradient_coding.policies.bandit import CodeBandit
from edgelearn_env.baselines.gradient_coding.policies.coded_lyapunov import CodedLyapunov
from edgelearn_env.baselines.gradient_coding.policies.course import Course, best_course
from edgelearn_env.baselines.gradient_coding.policies.forecast import StragglerForecast
from edgelearn_env.baselines.gradient_coding.policies.mpc import CodedMPC
from edgelearn_env.baselines.gradient_coding.policies.round_choice import RoundChoice
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.trajectory import Policy

SCENARIO = GradientCodingScenario.load("coded-tiny")
TAPES = Tape.stack([sample_tape(SCENARIO, seed) for seed in range(8)])
# Devices that are seldom slow, but then for much of what is left.
RISKY = SCENARIO.replace(stragglers={"slow_factor": 40.0, "slow_begin": 0.08, "erasure": 0.0})
CHOOSING = ("markov", "bandit", "mpc")
FIXED = {"uncoded": (0, 0), "cgc-w": (0, 1), "cgc-e": (1, 0), "hgc": (1, 1)}


@functools.cache
def course_of_all_codes() -> Course:
    return best_course(RoundChoice(scenario=RISKY, codes=RISKY.codes))


@functools.cache
def policy_of(name: str) -> Policy:
    """A policy that may choose."""
    choice = RoundChoice(scenario=RISKY, codes=RISKY.codes)
    course = course_of_all_codes()
    if name == "bandit":
        return CodeBandit.of(RISKY, course)
    if name == "mpc":
        return CodedMPC.of(choice, course)
    return CodedLyapunov.on_course(choice, course)


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_code_is_used_in_every_round_of_fine_tuning(name):
    played = rollout(SCENARIO, TAPES, ladder_of(SCENARIO)[name](SCENARIO))
    tuned = played.outcomes.counted & (played.outcomes.coded.load.sum(axis=2) > 0)
    decided = played.allocations.edge_stragglers[tuned], played.allocations.device_stragglers[tuned]
    assert np.any(tuned)
    assert {*zip(*(part.tolist() for part in decided), strict=True)} == {FIXED[name]}


@pytest.mark.parametrize("name", CHOOSING)
def test_a_policy_that_may_choose_uses_more_than_one_code(name):
    played = rollout(RISKY, TAPES, policy_of(name))
    tuned = played.outcomes.counted & (played.outcomes.coded.load.sum(axis=2) > 0)
    codes = zip(played.allocations.edge_stragglers[tuned], played.allocations.device_stragglers[tuned], strict=True)
    assert len(set(codes)) > 1


@pytest.mark.parametrize("name", CHOOSING)
def test_what_a_round_hides_changes_no_decision_before_it(name):
    hidden = TAPES.hidden
    # All is alike up to the sixteenth round.
    other = hidden._replace(slowdown=np.where(np.arange(20)[:, None] < 15, hidden.slowdown, 9.0))
    first, second = (
        rollout(RISKY, tapes, policy_of(name)).allocations for tapes in (TAPES, TAPES._replace(hidden=other))
    )
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours[:, :16], theirs[:, :16])


@pytest.mark.parametrize("name", CHOOSING)
def test_what_is_remembered_belongs_to_an_episode_and_its_place(name):
    policy = policy_of(name)
    first, again = (rollout(RISKY, TAPES, policy).objective for _ in range(2))
    np.testing.assert_array_equal(first, again)
    alone = rollout(RISKY, TAPES.rows(slice(3, 4)), policy).objective
    np.testing.assert_allclose(alone, first[3:4], rtol=1e-9)


def test_codes_are_worth_it_where_devices_are_now_and_then_very_slow():
    plain = CodedLyapunov.on_course(RoundChoice(scenario=RISKY, codes=((0, 0),)))
    without, chosen = (np.log(rollout(RISKY, TAPES, policy).objective) for policy in (plain, policy_of("markov")))
    assert np.mean(chosen) < np.mean(without)


def test_a_bandit_plays_each_code_once_before_any_twice():
    played = rollout(RISKY, TAPES, policy_of("bandit"))
    for episode in range(len(TAPES.channel_gain)):
        tuned = np.flatnonzero(played.observed.state.finetuning[episode] | played.allocations.switch[episode])[:4]
        edges, devices = (
            getattr(played.allocations, f"{name}_stragglers")[episode, tuned] for name in ("edge", "device")
        )
        assert len({*zip(edges.tolist(), devices.tolist(), strict=True)}) == len(tuned)


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
