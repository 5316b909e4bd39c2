"""The package against an independent scalar statement of the model: stored episodes, and random systems."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from random_scenarios import random_allocation, random_policy, random_scenario, random_tape, seeds
from two_stage.golden.make_golden import EPISODES, FOLDER, golden, text_of
from two_stage.golden.transcription import bound, episode

from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.records import Allocation, DeviceRound
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.dynamics import step

# Both sides round differently: a battery is a difference of larger numbers.
CLOSE = {"rtol": 1e-12, "atol": 1e-14}

STORED = [pytest.param(path, id=path.stem) for path in sorted(FOLDER.glob("*.json"))]


def as_table(allocations: Allocation, t: int) -> dict:
    """Round t of the first episode's allocations, as the transcription takes it."""
    return {name: array[0, t].tolist() for name, array in allocations._asdict().items()}


def transcribed(scenario: Scenario, tape: Tape, allocations: Allocation) -> list[dict]:
    tables = [as_table(allocations, t) for t in range(allocations.switch.shape[1])]
    return episode(scenario.to_dict(), tape.channel_gain.tolist(), tape.harvest_w.tolist(), tables)


def assert_same_round(state, outcome, expected):
    """A state after a round and its outcome, both of batch size one, against a transcribed round."""
    assert bool(outcome.counted[0]) == expected["counted"]
    assert END_REASONS[outcome.end_reason[0]] == expected["end_reason"]
    assert bool(state.ended[0]) == (expected["end_reason"] != "running")
    assert bool(state.finetuning[0]) == expected["finetuning"]
    for name in ("reward", "objective", "duration_s", "energy_j", "server_j"):
        np.testing.assert_allclose(getattr(outcome, name)[0], expected[name], err_msg=name, **CLOSE)
    for name in ("elapsed_s", "spent_j", "battery_j"):
        np.testing.assert_allclose(getattr(state, name)[0], expected[name], err_msg=name, **CLOSE)
    for name in DeviceRound._fields:
        np.testing.assert_allclose(getattr(outcome.devices, name)[0], expected[name], err_msg=name, **CLOSE)


@pytest.mark.parametrize("path", STORED)
def test_step_plays_every_stored_episode_as_written(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    system = constants_of(Scenario.from_dict(stored["system"]))
    tape = Tape.stack([Tape(np.array(stored["channel_gain"]), np.array(stored["harvest_w"]))])
    state = initial_state(system, 1)
    for table, expected in zip(stored["allocations"], stored["rounds"], strict=True):
        allocation = Allocation(**{name: np.array([value]) for name, value in table.items()})
        state, outcome = step(system, state, tape.conditions(state.round_index), allocation)
        assert_same_round(state, outcome, expected)
    assert state.ended[0]


@pytest.mark.parametrize("path", STORED)
def test_rollout_plays_every_stored_episode_as_written(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    scenario = Scenario.from_dict(stored["system"])
    tape = Tape(np.array(stored["channel_gain"]), np.array(stored["harvest_w"]))
    tables = iter(stored["allocations"])

    def as_stored(_):
        return Allocation(**{name: np.array([value]) for name, value in next(tables).items()})

    trajectory = rollout(scenario, tape, as_stored)
    assert trajectory.outcomes.objective.shape == (1, len(stored["rounds"]))
    np.testing.assert_allclose(trajectory.objective, stored["rounds"][-1]["objective"], **CLOSE)
    np.testing.assert_allclose(
        trajectory.outcomes.reward[0], [expected["reward"] for expected in stored["rounds"]], **CLOSE
    )


@pytest.mark.parametrize("name", EPISODES)
def test_stored_files_are_what_the_command_writes(name):
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text_of(golden(name))


def test_no_stored_file_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(EPISODES)


def test_stored_episodes_show_what_their_names_say():
    rounds = {name: golden(name)["rounds"] for name in EPISODES}
    last = {name: episode[-1] for name, episode in rounds.items()}
    systems = {name: golden(name)["system"] for name in EPISODES}
    asked = {name: [min(table["batch"]) for table in golden(name)["allocations"]] for name in EPISODES}
    silent = {
        name: [played["counted"] and played["finetuning"] and not all(played["participates"]) for played in episode]
        for name, episode in rounds.items()
    }
    assert sum(silent["short_batteries"]) >= 3
    assert min(asked["short_batteries"]) >= 1
    assert sum(silent["silent_by_choice"]) >= 5
    assert min(asked["silent_by_choice"]) == 0
    assert [i for i, some in enumerate(silent["above_capacity"]) if some] == [4]
    assert [played["duration_s"] for played in rounds["nobody"]].count(0.7) == 1
    assert last["delay_end"]["end_reason"] == "delay budget"
    assert last["energy_end"]["end_reason"] == "energy budget"
    assert min(len(rounds["delay_end"]), len(rounds["energy_end"])) > 4
    assert last["last_round"]["end_reason"] == "last round"
    assert rounds["switch_at_once"][0]["finetuning"]
    assert not last["never_switching"]["finetuning"]
    assert {system["learning"]["objective"] for system in systems.values()} == {"finetune", "two-stage"}
    assert any(played["counted"] and max(played["battery_j"]) == 0.7 for played in rounds["last_round"])


@given(seeds)
def test_rollouts_of_random_systems_match_the_transcription(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    tape = random_tape(rng, scenario)
    trajectory = rollout(scenario, tape, random_policy(rng, scenario))
    expected = transcribed(scenario, tape, trajectory.allocations)
    assert len(expected) == trajectory.outcomes.counted.shape[1]
    system = constants_of(scenario)
    state = initial_state(system, 1)
    for t, played in enumerate(expected):
        allocation = Allocation(*(array[:, t] for array in trajectory.allocations))
        state, outcome = step(system, state, Tape.stack([tape]).conditions(state.round_index), allocation)
        assert_same_round(state, outcome, played)
        np.testing.assert_array_equal(trajectory.outcomes.reward[:, t], outcome.reward)
    np.testing.assert_array_equal(trajectory.final_state.battery_j, state.battery_j)


@given(seeds)
def test_bound_values_of_random_batch_sizes_match_the_transcription(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    pretrained, tuned = rng.integers(0, 8, 2)
    server = [random_allocation(rng, scenario, 1).server_batch.item() for _ in range(pretrained)]
    devices = [random_allocation(rng, scenario, 1).batch[0] for _ in range(tuned)]
    term = np.array([scenario.bound.pretrain_start])
    for batch in server:
        term = scenario.bound.after_pretrain_round(term, np.array([batch]))
    part = np.reshape(devices, (tuned, scenario.num_devices)) > 0
    noise = part * scenario.gradient_noise_weight / np.maximum(devices, 1) if tuned else np.zeros((0, 1))
    weight = np.sum(part * scenario.learning.device_weight, axis=1)
    finetune_term = scenario.bound.finetune_round(np.sum(noise, axis=1), weight)
    progress = BoundTerms(
        np.array([float(pretrained)]),
        np.array([float(tuned)]),
        term,
        np.array([np.sum(finetune_term)]),
        np.array([np.sum(weight)]),
    )
    expected = bound(scenario.to_dict(), server, [batches.tolist() for batches in devices])
    np.testing.assert_allclose(scenario.bound.value(progress), expected, rtol=1e-12)


def test_the_transcription_shares_nothing_with_the_package():
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import two_stage.golden.transcription
assert not [name for name in sys.modules if name.split('.')[0] in ('edgelearn_env', 'numpy')]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
