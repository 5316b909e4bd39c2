"""Presets must keep policies apart: where a trivial one comes near the optimum there is nothing to learn."""

import numpy as np
import pytest

from edgelearn_env import Scenario, Tape, rollout, sample_tape
from edgelearn_env.baselines.two_stage.clairvoyant.search import clairvoyant
from edgelearn_env.baselines.two_stage.ladder import LADDER
from edgelearn_env.tapes import seeds

SLOW = pytest.mark.slow
TRIVIAL = ("random", "fixed", "equal", "myopic")


@pytest.mark.parametrize("preset", ["tiny", "default", pytest.param("large", marks=SLOW)])
def test_the_best_plan_uses_both_stages_and_either_alone_is_30_percent_worse(preset):
    scenario = Scenario.preset(preset)
    tape = sample_tape(scenario, seeds.TEST)
    best = clairvoyant(scenario, tape)
    assert best.num_pretrain_rounds > 1
    assert best.num_finetune_rounds > 1
    assert best.num_pretrain_rounds + best.num_finetune_rounds < scenario.budgets.max_rounds
    for stages in ("pretrain", "finetune"):
        assert clairvoyant(scenario, tape, stages=stages).bound >= 1.3 * best.value


@pytest.mark.parametrize("preset", ["tiny", "default", pytest.param("large", marks=SLOW)])
def test_nothing_trivial_is_within_5_percent_of_the_optimum_and_an_equal_split_of_a_benchmark_is_25_above(preset):
    scenario = Scenario.preset(preset)
    tapes = [sample_tape(scenario, seed) for seed in seeds.test_seeds(2)]
    value = [clairvoyant(scenario, tape).value for tape in tapes]
    for name in TRIVIAL:
        objective = rollout(scenario, Tape.stack(tapes), LADDER[name](scenario)).objective
        excess = np.exp(np.mean(np.log(objective / value)))
        assert excess >= (1.25 if name == "equal" and preset != "tiny" else 1.05), name
