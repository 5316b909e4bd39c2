"""Plans: played by the dynamics, they do what the program decided, in whole batches too, and then stop."""

import dataclasses

import numpy as np
import pytest
from small_systems import copies, planned, random_participants, random_system

from edgelearn_env.baselines.stages.clairvoyant.replayed_plan import replayed_plan
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.stages.model.plan_from_times import nearest_batches, plan_from_times
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.physics.budgets import DELAY, ENERGY, LAST_ROUND
from edgelearn_env.trajectory import rollout

SEEDS = range(25)


@pytest.fixture(scope="module")
def solved():
    """Episodes of random systems with a random number of rounds, in which some are silent, and their solutions."""
    found = []
    for seed in SEEDS:
        scenario, tape = random_system(seed, shortest=4, longest=12)
        rng, most = np.random.default_rng(seed), scenario.budgets.max_rounds
        for _ in range(10):
            num_pretrain, num_finetune = map(int, rng.integers(0, most // 2 + 1, 2))
            participates = random_participants(
                rng, (num_finetune, scenario.num_devices), float(rng.choice([0.0, 0.75]))
            )
            episode = planned(scenario, tape, num_pretrain, num_finetune, participates)
            if num_pretrain + num_finetune and (solution := EpisodeProgram(episode).solve()) is not None:
                found.append((episode, solution))
                break
    assert len(found) >= 20
    assert sum(bool(np.any(episode.is_idle)) for episode, _ in found) >= 3
    return found


def rounds_of(episode) -> tuple[int, int]:
    return episode.num_pretrain_rounds, episode.num_finetune_rounds


def completed(played, episode) -> bool:
    """Whether it played its rounds with just those that are to take part, and none with anybody after them."""
    num_pretrain, num_finetune = rounds_of(episode)
    counted, participates = played.outcomes.counted[0], played.outcomes.devices.participates[0]
    after = num_pretrain + num_finetune
    return (
        int(played.num_pretrain_rounds[0]) == num_pretrain
        and bool(np.all(counted[:after]))
        and np.array_equal(participates[num_pretrain:after], episode.participates)
        and not np.any(participates[after:])
    )


def test_a_plan_reaches_the_program_s_value_with_its_rounds_and_participants(solved):
    for episode, solution in solved:
        replayed = replayed_plan(episode, solution.times)
        assert completed(replayed.played, episode)
        assert replayed.residual <= 1e-9
        assert replayed.played.objective[0] == pytest.approx(replayed.value, rel=1e-9)
        decided = episode.learning_bound(solution.times.server_batch, solution.times.batch)
        assert replayed.value == pytest.approx(decided, rel=2e-5)


def test_nearly_all_plans_complete_their_rounds_without_a_cut(solved):
    cut = [replayed_plan(episode, solution.times).shrink > 0 for episode, solution in solved]
    assert sum(cut) <= 0.05 * len(cut)


def test_a_plan_in_whole_batches_keeps_within_limits_completes_its_rounds_and_is_no_better(solved):
    for episode, solution in solved:
        replayed = replayed_plan(episode, solution.times)
        plan = plan_from_times(episode, solution.times, shrink=replayed.shrink, whole_batches=True)
        assert plan.has_whole_batches
        assert np.all((plan.server_batch >= 1) & (plan.server_batch <= episode.scenario.server.batch_max))
        assert plan.batch.shape == episode.participates.shape
        np.testing.assert_array_equal(plan.batch >= 1, episode.participates)
        assert np.all(plan.batch <= episode.scenario.devices.batch_max)
        played = rollout(episode.scenario, episode.tape, plan)
        assert completed(played, episode)
        assert played.objective[0] >= replayed.value * (1 - 1e-6)
        assert np.all(plan.server_batch <= replayed.plan.server_batch * (1 + 1e-6))
        assert np.all(plan.batch <= replayed.plan.batch * (1 + 1e-6))


def test_whole_batches_are_at_most_one_sample_below_where_no_battery_is_short():
    checked = 0
    for seed in range(10):
        scenario, tape = random_system(seed, batteries="ample")
        episode = planned(scenario, tape, 1, 2)
        solution = EpisodeProgram(episode).solve()
        if solution is not None:
            plan = plan_from_times(episode, solution.times, whole_batches=True)
            np.testing.assert_array_less(solution.times.batch * (1 - 1e-4) - 1, plan.batch)
            np.testing.assert_array_less(solution.times.server_batch * (1 - 1e-4) - 1, plan.server_batch)
            checked += 1
    assert checked >= 8


def test_given_batches_are_played_as_they_are(solved):
    played = 0
    for episode, solution in solved:
        batches = nearest_batches(episode, solution.times, 0.9)
        given = dataclasses.replace(episode, given_batches=batches)
        thrifty = EpisodeProgram(given, thrifty=True).solve()
        if thrifty is None or thrifty.share > 1:
            continue
        plan = plan_from_times(given, thrifty.times, whole_batches=True)
        np.testing.assert_array_equal(plan.server_batch, batches.server)
        np.testing.assert_array_equal(plan.batch, np.where(episode.participates, batches.devices, 0.0))
        assert completed(rollout(episode.scenario, episode.tape, plan), episode)
        played += 1
    assert played >= 15


def test_the_nearest_batch_by_ratio_is_taken_within_its_limits(tiny, tiny_tape):
    episode, nothing = planned(tiny, tiny_tape, 4, 1), np.zeros(1)
    # Between 2 and 3 the ratio decides at the square root of 6, 2.449.
    times = RoundTimes(np.array([2.44, 2.46, 0.3, 600.0]), np.ones(4), np.array([[1.4, 1.42, 128.4]]), *[nothing] * 3)
    batches = nearest_batches(episode, times)
    np.testing.assert_array_equal(batches.server, [2, 3, 1, 512])
    np.testing.assert_array_equal(batches.devices, [[1, 2, 128]])
    np.testing.assert_array_equal(nearest_batches(episode, times, 0.5).server, [1, 1, 1, 300])


def test_played_plans_stay_within_budgets_and_batteries(solved):
    for episode, solution in solved:
        budgets, energy = episode.scenario.budgets, episode.scenario.energy
        played = replayed_plan(episode, solution.times).played
        batteries = np.vstack([played.observed.state.battery_j[0], played.final_state.battery_j])
        assert np.all(batteries >= -1e-12 * energy.battery_capacity_j)
        assert played.final_state.elapsed_s[0] <= budgets.delay_s
        assert played.final_state.spent_j[0] <= budgets.energy_j


def test_played_rounds_last_as_long_as_the_program_says(solved):
    for episode, solution in solved:
        lasted = replayed_plan(episode, solution.times).played.outcomes.duration_s[0]
        num_pretrain, num_finetune = rounds_of(episode)
        np.testing.assert_allclose(lasted[:num_pretrain], solution.times.server_s, rtol=1e-4)
        tuning = lasted[num_pretrain : num_pretrain + num_finetune] - episode.scenario.radio.downlink_s
        # Rounds end with an upload that is known to the solver's rounding of a small number.
        np.testing.assert_allclose(tuning, solution.times.duration_s, rtol=1e-3, atol=1e-6)


def test_a_plan_that_is_done_stops_the_episode_with_budgets_left(solved):
    stopped = 0
    for episode, solution in solved:
        played = replayed_plan(episode, solution.times).played
        done, counted = sum(rounds_of(episode)), played.outcomes.counted[0]
        # Batteries that cannot even pay for a whisper make rounds of nobody; they change no bound.
        assert not played.outcomes.devices.participates[0, done:].any()
        if counted[-1]:
            assert played.outcomes.end_reason[0, -1] == LAST_ROUND
            continue
        assert played.outcomes.end_reason[0, -1] in (DELAY, ENERGY)
        stopped += len(counted) == done + 1
    assert stopped >= 7


def test_a_plan_of_no_rounds_stops_at_once(tiny, tiny_tape):
    plan = plan_from_times(planned(tiny, tiny_tape, 0, 0), RoundTimes.none(3))
    played = rollout(tiny, tiny_tape, plan)
    assert played.final_state.round_index[0] == 0
    assert played.outcomes.end_reason[0, -1] == DELAY
    assert played.objective[0] == pytest.approx(2 * 2.3 / 0.1 / (1 / 3), rel=1e-14)
    assert plan.server_batch.shape == (0,)
    assert plan.batch.shape == (0, 3)


def test_a_plan_plays_every_episode_of_a_batch_alike(solved):
    episode, solution = solved[0]
    replayed = replayed_plan(episode, solution.times)
    together = rollout(episode.scenario, copies(episode.tape, 3), replayed.plan)
    np.testing.assert_array_equal(together.objective, np.repeat(replayed.played.objective, 3))


def test_a_device_that_would_be_early_uploads_more_slowly():
    early = 0
    for seed in range(6):
        scenario, tape = random_system(seed, num_devices=3, batteries="ample")
        episode = planned(scenario, tape, 0, 2, np.array([[True, False, True], [True, True, True]]))
        if (solution := EpisodeProgram(episode).solve()) is None:
            continue
        devices = rollout(scenario, tape, plan_from_times(episode, solution.times)).outcomes.devices
        finish_s = (devices.compute_s + devices.upload_s)[0, :2]
        last_s = np.max(finish_s, axis=1, keepdims=True) * np.ones(3)
        np.testing.assert_allclose(finish_s[episode.participates], last_s[episode.participates], rtol=1e-6)
        slower = solution.times.upload_s < devices.upload_s[0, :2] * (1 - 1e-6)
        early += int(np.any(slower[episode.participates]))
    assert early >= 1


def test_a_battery_short_by_a_rounding_error_without_a_harvest_spoils_no_number(tiny, tiny_tape):
    # Both rounds ask for more than the batteries hold, and nothing is ever harvested: then devices are silent.
    scenario = tiny.replace(energy={"battery_initial_j": 0.005, "battery_capacity_j": 0.1})
    tape = tiny_tape._replace(harvest_w=np.zeros_like(tiny_tape.harvest_w))
    episode = planned(scenario, tape, 0, 2)
    times = EpisodeProgram(episode).solve().times
    more = times._replace(batch=times.batch * 1.5, compute_s=times.compute_s * 1.2)
    replayed = replayed_plan(episode, more)
    assert not completed(replayed.played, episode)
    assert replayed.residual > 0.1
    assert not replayed.succeeds
    for array in replayed.plan.allocations:
        assert np.all(np.isfinite(array))
