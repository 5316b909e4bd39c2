"""Presets must keep policies apart: where a trivial one comes near the optimum there is nothing to learn."""

import functools

import numpy as np
import pytest

from edgelearn_env import Scenario, Tape, rollout, sample_tape
from edgelearn_env.baselines.stages.model.optimum import StagedOptimum
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.baselines.two_stage.ladder import LADDER
from edgelearn_env.baselines.two_stage.policies.equal_split import EqualSplit
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.tapes import seeds

SLOW = pytest.mark.slow
TRIVIAL = ("random", "fixed", "myopic")
PRESETS = ["tiny", pytest.param("default", marks=SLOW), pytest.param("large", marks=SLOW)]


@functools.cache
def optimum(preset: str) -> StagedOptimum:
    """The best plan of one tape, to a percent: a worse one only makes it harder to be above."""
    scenario = Scenario.preset(preset)
    return clairvoyant(scenario, sample_tape(scenario, seeds.TEST), gap=0.01)


def best_equal_split(scenario: Scenario, tape: Tape) -> float:
    """The least Phi of equal splits over numbers of rounds of any size, chosen with the tape known."""
    longest = scenario.budgets.max_rounds
    counts = np.unique(np.round(np.geomspace(1, longest + 1, 15) - 1))
    pairs = np.array([(M, N) for M in counts for N in counts if N and sum((M, N)) <= longest])
    policy = EqualSplit(
        constants=constants_of(scenario), num_pretrain_rounds=pairs[:, 0], num_finetune_rounds=pairs[:, 1]
    )
    return float(np.min(rollout(scenario, Tape.stack([tape] * len(pairs)), policy).objective))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_best_plan_uses_both_stages_and_either_alone_is_30_percent_worse(preset):
    scenario = Scenario.preset(preset)
    best = optimum(preset)
    assert best.num_pretrain_rounds > 1
    assert best.num_finetune_rounds > 1
    assert best.num_pretrain_rounds + best.num_finetune_rounds < scenario.budgets.max_rounds
    for stages in ("pretrain", "finetune"):
        # A search for less than that, in vain, is proof enough.
        alone = clairvoyant(scenario, sample_tape(scenario, seeds.TEST), stages=stages, below=1.31 * best.value)
        assert alone.bound >= 1.3 * best.value


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_trivial_is_within_5_percent_of_the_optimum_and_an_equal_split_of_a_benchmark_is_15_above(preset):
    scenario = Scenario.preset(preset)
    tape, value = sample_tape(scenario, seeds.TEST), optimum(preset).value
    for name in TRIVIAL:
        assert rollout(scenario, tape, LADDER[name](scenario)).objective[0] >= 1.05 * value, name
    # Though it knows the tape, and leaves those silent who cannot pay.
    assert best_equal_split(scenario, tape) >= (1.05 if preset == "tiny" else 1.15) * value
