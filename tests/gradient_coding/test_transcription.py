"""Coded rounds against an independent scalar statement of them, on random systems, actions and hidden values."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from gradient_coding.transcription import episode
from hypothesis import given, settings
from random_codings import random_coded_policy, random_coded_tape, random_coding
from random_scenarios import seeds

from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.dynamics import initial_state, step
from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.stages.records import DeviceRound
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import Trajectory, rollout

# Both sides round differently: a battery is a difference of larger numbers.
CLOSE = {"rtol": 1e-11, "atol": 1e-13}


def played(seed: int) -> tuple[Trajectory, Tape]:
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng)
    tape = random_coded_tape(rng, scenario)
    return rollout(scenario, tape, random_coded_policy(rng, scenario)), tape


def transcribed(trajectory: Trajectory, tape: Tape) -> list[dict]:
    decided = trajectory.allocations
    tables = [
        {name: array[0, t].tolist() for name, array in decided._asdict().items()}
        for t in range(decided.switch.shape[1])
    ]
    hidden = {name: array.tolist() for name, array in tape.hidden._asdict().items()}
    return episode(trajectory.scenario.to_dict(), tape.channel_gain.tolist(), tape.harvest_w.tolist(), hidden, tables)


def assert_same_round(state, outcome, expected):
    """A state after a round and its outcome, both of batch size one, against a transcribed round."""
    assert bool(outcome.counted[0]) == expected["counted"]
    assert END_REASONS[outcome.end_reason[0]] == expected["end_reason"]
    assert bool(state.finetuning[0]) == expected["finetuning"]
    for name in ("reward", "objective", "duration_s", "energy_j"):
        np.testing.assert_allclose(getattr(outcome, name)[0], expected[name], err_msg=name, **CLOSE)
    for name in ("elapsed_s", "spent_j", "battery_j"):
        np.testing.assert_allclose(getattr(state, name)[0], expected[name], err_msg=name, **CLOSE)
    for name in DeviceRound._fields:
        np.testing.assert_allclose(getattr(outcome.devices, name)[0], expected[name], err_msg=name, **CLOSE)
    for name in outcome.coded._fields:
        np.testing.assert_allclose(getattr(outcome.coded, name)[0], expected[name], err_msg=name, **CLOSE)


@given(seeds)
@settings(max_examples=60)
def test_rollouts_of_random_systems_match_the_transcription(seed):
    trajectory, tape = played(seed)
    expected = transcribed(trajectory, tape)
    assert len(expected) == trajectory.outcomes.counted.shape[1]
    constants = CodingConstants.of(trajectory.scenario)
    state = initial_state(constants, 1)
    for t, round_ in enumerate(expected):
        allocation = type(trajectory.allocations)(*(array[:, t] for array in trajectory.allocations))
        state, outcome = step(constants, state, Tape.stack([tape]).conditions(state.round_index), allocation)
        assert_same_round(state, outcome, round_)
        if round_["counted"] and round_["finetuning"]:
            for name, shown in (("slowdown", state.seen.slowdown), ("tries", state.seen.tries)):
                np.testing.assert_array_equal(shown[0], getattr(tape.hidden, name)[t])
            np.testing.assert_allclose(state.seen.lateness[0], round_["lateness"], **CLOSE)
            np.testing.assert_array_equal(state.seen.edge_stragglers, allocation.edge_stragglers)
            np.testing.assert_array_equal(state.seen.device_stragglers, allocation.device_stragglers)


def test_random_systems_meet_all_that_a_round_can_be():
    met = {}
    for seed in range(60):
        trajectory, tape = played(seed)
        for t, round_ in enumerate(transcribed(trajectory, tape)):
            if not (round_["counted"] and round_["finetuning"]):
                continue
            decided = trajectory.allocations
            coded = bool(decided.edge_stragglers[0, t] + decided.device_stragglers[0, t])
            kinds = {
                "code": coded,
                "late and cancelled": any(round_["lateness"]),
                "lost": coded and not round_["decoded"],
                "nobody with a code": coded and not any(round_["participates"]),
                "nobody without": not coded and not any(round_["participates"]),
                "some silent without a code": not coded
                and 0 < sum(round_["participates"]) < tape.channel_gain.shape[1],
                "a device that cannot pay": bool(
                    np.any((decided.asked if coded else decided.batch >= 1)[0, t] & ~np.array(round_["participates"]))
                ),
                "both kinds of stragglers": bool(decided.edge_stragglers[0, t] and decided.device_stragglers[0, t]),
                "a part of no batch with a code": coded and bool(np.any(decided.batch[0, t] == 0)),
            }
            for kind, holds in kinds.items():
                met[kind] = met.get(kind, 0) + holds
    assert all(count >= 5 for count in met.values()), met


def test_the_transcription_shares_nothing_with_the_package():
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import gradient_coding.transcription
assert not [name for name in sys.modules if name.split('.')[0] in ('edgelearn_env', 'numpy')]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
