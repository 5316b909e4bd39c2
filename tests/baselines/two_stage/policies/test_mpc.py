"""Control that plans ahead on forecasts."""

import numpy as np
import pytest
from small_systems import random_system

from edgelearn_env import Scenario, Tape, rollout, sample_tape
from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.policies import outlooks, receding_horizon
from edgelearn_env.baselines.stages.policies.block_roles import Roles
from edgelearn_env.baselines.stages.policies.myopic import Myopic
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.baselines.two_stage.policies.equal_split import tuned_equal_split
from edgelearn_env.baselines.two_stage.policies.mpc import MPC
from edgelearn_env.model import Observed, model_of
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.tapes import seeds

SCENARIO = Scenario.preset("tiny")


def test_a_program_compiled_once_gives_what_one_without_parameters_gives():
    for seed in range(3):
        episode = PlannedEpisode(
            scenario=SCENARIO, tape=sample_tape(SCENARIO, seed), num_pretrain_rounds=5, num_finetune_rounds=4
        )
        plain, recurring = EpisodeProgram(episode).solve(), EpisodeProgram(episode, recurring=True).solve()
        assert recurring.times.batch == pytest.approx(plain.times.batch, rel=1e-3)
        values = [episode.learning_bound(s.times.server_batch, s.times.batch) for s in (plain, recurring)]
        assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.fixture(scope="module")
def tapes() -> Tape:
    return Tape.stack([sample_tape(SCENARIO, seed) for seed in seeds.test_seeds(2)])


@pytest.fixture(scope="module")
def played(tapes):
    return rollout(SCENARIO, tapes, MPC(SCENARIO))


def test_planning_ahead_closes_half_of_the_gap_of_an_equal_split(tapes, played):
    equal = rollout(SCENARIO, tapes, tuned_equal_split(SCENARIO)).objective
    bound = np.array([clairvoyant(SCENARIO, tape).bound for tape in tapes.each()])
    assert np.all(played.objective >= bound)
    assert np.mean(np.log(played.objective / bound)) <= 0.5 * np.mean(np.log(equal / bound))


def test_an_episode_is_played_the_same_alone_and_in_a_batch(tapes, played):
    alone = rollout(SCENARIO, tapes.rows(1), MPC(SCENARIO))
    assert alone.objective[0] == played.objective[1]


def test_what_comes_later_changes_no_decision(tapes, played):
    known = 6
    other = mapped(lambda array: np.concatenate([array[0, :known], array[0, known:][::-1]]), tapes)
    replayed = rollout(SCENARIO, other, MPC(SCENARIO))
    for name, decided in played.allocations._asdict().items():
        assert np.array_equal(decided[:1, :known], getattr(replayed.allocations, name)[:, :known]), name


def test_both_stages_are_played_in_whole_batches(played):
    assert np.all(played.num_pretrain_rounds > 1)
    assert np.all(played.num_finetune_rounds > 1)
    assert np.array_equal(played.allocations.batch, np.round(played.allocations.batch))


def faded(tapes: Tape, rounds: slice) -> Tape:
    """The same weather, but for a fade of the first device that is too deep in these rounds to be played in."""
    gain = tapes.channel_gain.copy()
    gain[:, rounds, 0] *= 1e-6
    return Tape(gain, tapes.harvest_w)


def test_a_device_in_a_deep_fade_is_silent_while_it_lasts_and_the_others_fine_tune(tapes, played):
    first = int(np.max(played.num_pretrain_rounds))
    after = rollout(SCENARIO, faded(tapes, slice(first, first + 3)), MPC(SCENARIO))
    assert np.all(after.num_pretrain_rounds <= first)
    batch = after.allocations.batch
    np.testing.assert_array_equal(batch[:, first : first + 3, 0], 0)
    assert np.all(batch[:, first : first + 3, 1:] >= 1)
    assert np.all(batch[:, first + 3, 0] >= 1)


def test_choosing_who_takes_part_is_no_worse_than_everyone_and_better_in_fades(tapes, played, monkeypatch):
    tapes = tapes.rows(slice(1))
    fades = faded(tapes, slice(17, 22))
    chosen = rollout(SCENARIO, fades, MPC(SCENARIO)).objective

    def everyone_does(costs, weight, battery_j, is_next) -> Roles:
        return Roles(np.ones((len(is_next), 3), int), np.zeros((len(is_next), 3)))

    monkeypatch.setattr(outlooks, "heaviest_roles", everyone_does)
    everyone = rollout(SCENARIO, tapes, MPC(SCENARIO)).objective
    assert played.objective[0] <= everyone[0] * (1 + 1e-3)
    assert np.all(chosen < rollout(SCENARIO, fades, MPC(SCENARIO)).objective)


def test_devices_that_can_afford_few_rounds_do_not_end_an_episode():
    # Two thirds of the fleet are so far away that a battery does for a few uploads: no plan in which they take part
    # whenever that costs nothing fits.
    far = {"distance_m": [60.0, 900.0, 1300.0]}
    poor = {"battery_initial_j": 0.1, "battery_capacity_j": 0.2, "harvest_mean_w": 0.002}
    scenario = Scenario.preset("tiny").replace(devices=far, energy=poor)
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in range(2)])
    played = rollout(scenario, tapes, MPC(scenario))
    assert np.all(played.final_state.elapsed_s > 0.9 * scenario.budgets.delay_s)
    equal = rollout(scenario, tapes, tuned_equal_split(scenario)).objective
    assert np.all(played.objective < 1.2 * equal)
    assert np.mean(np.log(played.objective / equal)) < -0.2


def test_what_the_charge_of_silent_devices_is_worth_stays_as_it_was():
    scenario = Scenario.preset("tiny")
    model, controller = model_of(scenario, "numpy"), MPC(scenario)
    state = model.initial_state(1)
    conditions = Tape.stack([sample_tape(scenario, 0)]).conditions(state.round_index)
    observed = mapped(lambda array: array[0], Observed(state, conditions))
    design = controller._at_first
    dear = design.prices._replace(charge=design.prices.charge * [1.0, 1e6, 1.0])
    _, remembered = receding_horizon.next_round(controller._system, observed, design._replace(prices=dear))
    assert remembered.prices.charge[1] == dear.charge[1]
    assert np.all(remembered.prices.charge[[0, 2]] >= dear.charge[[0, 2]] / 2)


def test_no_round_is_refused_but_one_that_stops_and_who_is_given_a_batch_takes_part():
    silent = 0
    # Some hold so little that rounding a batch up would take what the rest needs.
    for seed in (0, 5, 7, 8, 9):
        scenario, tape = random_system(seed, longest=8)
        alone = rollout(scenario, tape, MPC(scenario))
        counted, tuned = alone.outcomes.counted[0], alone.allocations.switch[0]
        stops = np.all(alone.allocations.power_w[0] < 1e-12 * scenario.devices.power_max_w, axis=1)
        np.testing.assert_array_equal(counted, ~stops)
        asked = alone.allocations.batch[0, counted & tuned] >= 1
        np.testing.assert_array_equal(alone.outcomes.devices.participates[0, counted & tuned], asked)
        silent += np.sum(~asked)
    assert silent >= 3


@pytest.mark.parametrize(
    "changes",
    [
        {"learning": {"upload_bit": 1e12}},
        {"energy": {"battery_initial_j": 0.0, "harvest_mean_w": 0.0}},
        {"devices": {"batch_max": 1}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_where_fine_tuning_is_of_no_use_the_server_learns_alone(changes):
    scenario = SCENARIO.replace(**changes)
    tape = sample_tape(scenario, 0)
    played, best = rollout(scenario, tape, MPC(scenario)), clairvoyant(scenario, tape)
    assert best.num_finetune_rounds == 0
    assert best.bound <= played.objective[0] <= 1.1 * best.bound
    assert not np.any(played.outcomes.devices.participates)


def test_where_nothing_can_be_learnt_nothing_is_played():
    scenario = SCENARIO.replace(learning={"initial_gap": 1e-12})
    played = rollout(scenario, sample_tape(scenario, 0), MPC(scenario))
    assert not np.any(played.outcomes.counted)


def test_a_device_that_has_just_emptied_its_battery_does_not_end_an_episode():
    # On this tape a device spends all it has in one fine-tuning round; whatever it is asked for next does not fit.
    scenario = Scenario.preset("remote")
    tape = sample_tape(scenario, 2000001)
    played = rollout(scenario, tape, MPC(scenario))
    assert played.objective[0] < rollout(scenario, tape, Myopic(constants=constants_of(scenario))).objective[0]


def test_devices_out_of_reach_do_not_keep_the_others_from_fine_tuning():
    # The static design, in which all take part, is without fine-tuning here.
    scenario = SCENARIO.replace(devices={"distance_m": [100.0, 50_000.0, 50_000.0]})
    tape = sample_tape(scenario, 0)
    played = rollout(scenario, tape, MPC(scenario))
    assert played.objective[0] < 1.1 * clairvoyant(scenario, tape).bound
    assert np.array_equal(np.any(played.outcomes.devices.participates[0], axis=0), [True, False, False])
