"""Whole episodes of random systems are those of a scalar transcription that shares nothing with the package."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from layer_tuning.transcription import episode
from random_layers import random_layers, random_layers_policy

from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout

ROUNDING = 1e-9


def played_twice(seed: int, objective: str):
    """An episode as the package plays it, and as the transcription does."""
    rng = np.random.default_rng(seed)
    scenario = random_layers(rng, max_rounds=int(rng.integers(3, 12))).replace(learning={"objective": objective})
    tape = sample_tape(scenario, seed)
    played = rollout(scenario, tape, random_layers_policy(rng, scenario))
    tables = [
        {name: array[0, t].tolist() for name, array in played.allocations._asdict().items()}
        for t in range(played.outcomes.reward.shape[1])
    ]
    rounds = episode(scenario.to_dict(), tape.channel_gain.tolist(), tape.harvest_w.tolist(), tables)
    return played, rounds


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
@pytest.mark.parametrize("seed", range(60))
def test_every_round_is_what_the_mathematics_say(seed, objective):
    played, rounds = played_twice(seed, objective)
    outcomes, final = played.outcomes, played.final_state
    assert len(rounds) == outcomes.reward.shape[1]
    for t, expected in enumerate(rounds):
        assert END_REASONS[outcomes.end_reason[0, t]] == expected["end_reason"]
        np.testing.assert_array_equal(outcomes.layers.blocks[0, t], expected["blocks"])
        for array, name in ((outcomes.reward, "reward"), (outcomes.objective, "objective")):
            assert array[0, t] == pytest.approx(expected[name], rel=ROUNDING, abs=ROUNDING)
        np.testing.assert_allclose(outcomes.layers.memory_byte[0, t], expected["memory_byte"])
    assert final.depth[0] == rounds[-1]["depth"]
    for name in ("elapsed_s", "spent_j", "battery_j"):
        np.testing.assert_allclose(getattr(final, name)[0], rounds[-1][name], rtol=ROUNDING, atol=ROUNDING)


def test_the_systems_are_of_all_kinds():
    reasons, blocks, depths, lowered = set(), set(), set(), False
    for seed in range(60):
        played, rounds = played_twice(seed, "finetune")
        reasons.add(rounds[-1]["end_reason"])
        blocks |= set(played.outcomes.layers.blocks.ravel().tolist())
        depths.add(int(played.final_state.depth[0]))
        lowered |= bool(played.outcomes.layers.lowered.any())
    assert reasons == set(END_REASONS[1:])
    assert blocks >= {0, 1, 2, 3}
    assert depths == {0, 1, 2, 3, 4}
    assert lowered


def test_the_transcription_shares_nothing_with_the_package():
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import layer_tuning.transcription
assert not [name for name in sys.modules if name.split('.')[0] in ('edgelearn_env', 'numpy')]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
