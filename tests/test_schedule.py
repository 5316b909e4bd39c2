"""Schedules: what a trajectory decided, as real training is told of it."""

import numpy as np
import pytest

from edgelearn_env.baselines.ladder import ladder_of
from edgelearn_env.baselines.stages.policies.myopic import Myopic
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.schedule import DeviceTurn, Schedule, ScheduledRound
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout


def test_a_schedule_says_what_the_trajectory_did(tiny, tiny_tape):
    trajectory = rollout(tiny, tiny_tape, Myopic(constants=constants_of(tiny)))
    schedule = Schedule.of(trajectory, "myopic")
    assert schedule.num_pretrain_rounds == trajectory.num_pretrain_rounds[0] > 0
    assert schedule.num_finetune_rounds == trajectory.num_finetune_rounds[0] > 0
    assert schedule.predicted == trajectory.objective[0]
    final = trajectory.final_state
    assert schedule.rounds[-1].elapsed_s == final.elapsed_s[0]
    assert schedule.rounds[-1].spent_j == final.spent_j[0]
    participation = sum(each.participation for each in schedule.rounds)
    assert participation == pytest.approx(final.bound_terms.participation[0])
    for index, each in enumerate(schedule.rounds):
        takes_part = trajectory.outcomes.devices.participates[0, index]
        assert [turn.device for turn in each.turns] == np.flatnonzero(takes_part).tolist()
        for turn in each.turns:
            assert turn.batch == max(1, round(float(trajectory.allocations.batch[0, index, turn.device])))
            assert turn.weight == tiny.learning.device_weight[turn.device]
        assert bool(each.server_batch) == (index < schedule.num_pretrain_rounds)


def test_a_schedule_of_layers_names_the_net_and_the_last_blocks_of_each_device():
    scenario = Scenario.preset("layers-tiny")
    trajectory = rollout(scenario, sample_tape(scenario, 1), ladder_of(scenario)["myopic"](scenario))
    schedule, layers = Schedule.of(trajectory, "myopic"), trajectory.outcomes.layers
    assert schedule.depth == trajectory.final_state.depth[0] > 0
    assert schedule.predicted == trajectory.objective[0]
    assert schedule.num_finetune_rounds > 0
    for index, each in enumerate(schedule.rounds):
        for turn in each.turns:
            first, end = turn.blocks
            assert (end, end - first) == (schedule.depth, layers.blocks[0, index, turn.device])


def test_a_file_brings_it_back(tmp_path):
    rounds = (ScheduledRound(8, (), 1.0, 0.5), ScheduledRound(0, (DeviceTurn(2, 3, 0.5, (1, 2)),), 2.0, 0.7))
    schedule = Schedule(name="two", rounds=rounds, predicted=0.25, depth=2)
    schedule.save(tmp_path / "two.json")
    assert Schedule.load(tmp_path / "two.json") == schedule
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InvalidInputError, match=r"not what Schedule\.save writes"):
        Schedule.load(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("rounds", "sentence"),
    [
        ((ScheduledRound(0, (), 1, 0), ScheduledRound(8, (), 2, 0)), "the server's first"),
        ((ScheduledRound(0, (DeviceTurn(0, 0, 1.0),), 1, 0),), "batch must be at least 1"),
    ],
)
def test_what_is_no_schedule_is_refused(rounds, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        Schedule(name="wrong", rounds=rounds)
