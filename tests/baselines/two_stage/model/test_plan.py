"""Plans: played by the dynamics, they do what the program decided, in whole batches too, and then stop."""

import numpy as np
import pytest
from small_systems import copies, planned, random_system

from edgelearn_env.baselines.two_stage.clairvoyant.reach import within_reach
from edgelearn_env.baselines.two_stage.clairvoyant.replayed_plan import SHRINKS
from edgelearn_env.baselines.two_stage.conic.dual import dual_bound
from edgelearn_env.baselines.two_stage.conic.program import EpisodeProgram
from edgelearn_env.baselines.two_stage.model.plan import plan_from_times
from edgelearn_env.baselines.two_stage.model.round_times import RoundTimes
from edgelearn_env.physics.budgets import BATTERY, DELAY, LAST_ROUND
from edgelearn_env.trajectory import rollout

SEEDS = range(25)


@pytest.fixture(scope="module")
def solved():
    """Episodes of random systems with a random number of rounds, and their solutions."""
    found = []
    for seed in SEEDS:
        scenario, tape = random_system(seed, shortest=4, longest=12)
        reach = within_reach(planned(scenario, tape, 0, scenario.budgets.max_rounds))
        reach[0, 0] = False
        num_pretrain, num_finetune = map(int, np.random.default_rng(seed).choice(np.argwhere(reach)))
        episode = planned(scenario, tape, num_pretrain, num_finetune)
        solution = EpisodeProgram(episode).solve()
        if solution is not None:
            found.append((episode, solution))
    assert len(found) >= 18
    return found


def rounds_of(episode) -> tuple[int, int]:
    return episode.num_pretrain_rounds, episode.num_finetune_rounds


def completed(played, episode) -> bool:
    return (int(played.num_pretrain_rounds[0]), int(played.num_finetune_rounds[0])) == rounds_of(episode)


def shrink_that_completes(episode, times, *, whole: bool = False) -> float:
    for shrink in SHRINKS:
        plan = plan_from_times(episode, times, shrink=shrink, whole_batches=whole)
        if completed(rollout(episode.scenario, episode.tape, plan), episode):
            return shrink
    raise AssertionError("no share completes all rounds")


def test_a_plan_reaches_the_program_s_value_and_exactly_its_rounds(solved):
    for episode, solution in solved:
        plan = plan_from_times(episode, solution.times, shrink=shrink_that_completes(episode, solution.times))
        played = rollout(episode.scenario, episode.tape, plan)
        assert completed(played, episode)
        reached = episode.learning_bound(plan.server_batch, plan.batch)
        assert played.objective[0] == pytest.approx(reached, rel=1e-9)
        decided = episode.learning_bound(solution.times.server_batch, solution.times.batch)
        assert reached == pytest.approx(decided, rel=2e-5)


def test_nearly_all_plans_complete_their_rounds_without_a_cut(solved):
    cut = [shrink_that_completes(episode, solution.times) > 0 for episode, solution in solved]
    assert sum(cut) <= 0.05 * len(cut)


def test_a_plan_in_whole_batches_keeps_within_limits_completes_its_rounds_and_is_no_better_than_the_bound(solved):
    for episode, solution in solved:
        shrink = shrink_that_completes(episode, solution.times)
        plan = plan_from_times(episode, solution.times, shrink=shrink, whole_batches=True)
        for batch, largest in (
            (plan.server_batch, episode.scenario.server.batch_max),
            (plan.batch, episode.scenario.devices.batch_max),
        ):
            np.testing.assert_array_equal(batch, np.round(batch))
            assert np.all((batch >= 1) & (batch <= largest))
        assert plan.batch.shape == (episode.num_finetune_rounds, episode.scenario.num_devices)
        played = rollout(episode.scenario, episode.tape, plan)
        assert completed(played, episode)
        assert played.objective[0] >= dual_bound(episode, solution.multipliers) * (1 - 1e-12)
        relaxed = plan_from_times(episode, solution.times, shrink=shrink)
        assert np.all(plan.server_batch <= relaxed.server_batch * (1 + 1e-6))
        assert np.all(plan.batch <= relaxed.batch * (1 + 1e-6))


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


def test_played_plans_stay_within_budgets_and_batteries(solved):
    for episode, solution in solved:
        budgets, energy = episode.scenario.budgets, episode.scenario.energy
        plan = plan_from_times(episode, solution.times, shrink=shrink_that_completes(episode, solution.times))
        played = rollout(episode.scenario, episode.tape, plan)
        batteries = np.vstack([played.observed.state.battery_j[0], played.final_state.battery_j])
        assert np.all(batteries >= -1e-12 * energy.battery_capacity_j)
        assert played.final_state.elapsed_s[0] <= budgets.delay_s
        assert played.final_state.spent_j[0] <= budgets.energy_j


def test_played_rounds_last_as_long_as_the_program_says(solved):
    for episode, solution in solved:
        plan = plan_from_times(episode, solution.times, shrink=shrink_that_completes(episode, solution.times))
        lasted = rollout(episode.scenario, episode.tape, plan).outcomes.duration_s[0]
        num_pretrain, num_finetune = rounds_of(episode)
        np.testing.assert_allclose(lasted[:num_pretrain], solution.times.server_s, rtol=1e-4)
        tuning = lasted[num_pretrain : num_pretrain + num_finetune] - episode.scenario.radio.downlink_s
        # Rounds end with a wait or an upload, both known to the solver's rounding of a small number.
        np.testing.assert_allclose(tuning, solution.times.duration_s, rtol=1e-3, atol=1e-6)


def test_a_plan_that_is_done_stops_the_episode_with_budgets_left(solved):
    stopped = 0
    for episode, solution in solved:
        plan = plan_from_times(episode, solution.times, shrink=shrink_that_completes(episode, solution.times))
        played = rollout(episode.scenario, episode.tape, plan)
        reason = played.outcomes.end_reason[0, -1]
        if sum(rounds_of(episode)) == episode.scenario.budgets.max_rounds:
            assert reason == LAST_ROUND
            continue
        # An empty battery without a harvest cannot even pay for a whisper.
        assert reason in (DELAY, BATTERY)
        assert not played.outcomes.counted[0, -1]
        assert played.outcomes.counted.shape[1] == sum(rounds_of(episode)) + 1
        stopped += 1
    assert stopped >= 7


def test_a_plan_of_no_rounds_stops_at_once(tiny, tiny_tape):
    plan = plan_from_times(planned(tiny, tiny_tape, 0, 0), RoundTimes.none(3))
    played = rollout(tiny, tiny_tape, plan)
    assert played.final_state.round_index[0] == 0
    assert played.outcomes.end_reason[0, -1] == DELAY
    assert played.objective[0] == pytest.approx(2 * 2.3 / 0.1, rel=1e-14)
    assert plan.server_batch.shape == (0,)
    assert plan.batch.shape == (0, 3)


def test_a_plan_plays_every_episode_of_a_batch_alike(solved):
    episode, solution = solved[0]
    plan = plan_from_times(episode, solution.times, shrink=shrink_that_completes(episode, solution.times))
    alone = rollout(episode.scenario, episode.tape, plan)
    together = rollout(episode.scenario, copies(episode.tape, 3), plan)
    np.testing.assert_array_equal(together.objective, np.repeat(alone.objective, 3))


def test_a_device_that_would_be_early_uploads_more_slowly():
    early = 0
    for seed in range(6):
        scenario, tape = random_system(seed, num_devices=3, batteries="ample")
        solution = EpisodeProgram(episode := planned(scenario, tape, 0, 2)).solve()
        if solution is None:
            continue
        played = rollout(scenario, tape, plan_from_times(episode, solution.times))
        devices = played.outcomes.devices
        finish_s = (devices.wait_s + devices.compute_s + devices.upload_s)[0, :2]
        np.testing.assert_allclose(finish_s, np.max(finish_s, axis=1, keepdims=True) * np.ones(3), rtol=1e-6)
        early += int(np.any(solution.times.upload_s < devices.upload_s[0, :2] * (1 - 1e-6)))
    assert early >= 1


def test_a_battery_short_by_a_rounding_error_without_a_harvest_spoils_no_number(tiny, tiny_tape):
    # Both rounds ask for a hair more than the battery holds, and nothing is ever harvested.
    scenario = tiny.replace(energy={"battery_initial_j": 0.005, "battery_capacity_j": 0.1})
    tape = tiny_tape._replace(harvest_w=np.zeros_like(tiny_tape.harvest_w))
    episode = planned(scenario, tape, 0, 2)
    times = EpisodeProgram(episode).solve().times
    more = times._replace(batch=times.batch * 1.5, compute_s=times.compute_s * 1.2)
    plan = plan_from_times(episode, more)
    assert not completed(rollout(scenario, tape, plan), episode)
    for array in plan.allocations:
        assert np.all(np.isfinite(array))
