"""The ladder of gradient coding: every policy that needs no learning, by name, from the simplest up."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from edgelearn_env.baselines.gradient_coding.policies.coded_lyapunov import CodedLyapunov
from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.baselines.stages.policies.tuned_lyapunov import tuned_lyapunov
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.trajectory import Policy

NO_CODE = (0, 0)


def _policy(scenario: GradientCodingScenario, **choices: Any) -> CodedLyapunov:
    """The policy with those choices; numbers of rounds and prices are those that are best without a code."""
    tuned = _tuned_without_code(json.dumps(scenario.to_dict()))
    names = ("num_pretrain_rounds", "num_finetune_rounds", "second_price", "joule_price", "participation_price")
    attributes = {name: getattr(tuned, name) for name in names}
    return CodedLyapunov(constants=tuned.constants, scenario=scenario, **attributes, **choices)


@functools.lru_cache(maxsize=8)
def _tuned_without_code(scenario: str) -> CodedLyapunov:
    """What all policies of a scenario share, tuned once."""
    made = Scenario.load(json.loads(scenario))
    return tuned_lyapunov(made, functools.partial(CodedLyapunov, scenario=made, codes=(NO_CODE,)))


def _largest(scenario: GradientCodingScenario) -> tuple[int, int]:
    return scenario.codes[-1]


LADDER: Mapping[str, Callable[[GradientCodingScenario], Policy]] = {
    "random": lambda scenario: RandomPlay(scenario, seed=TUNING),
    "uncoded": lambda scenario: _policy(scenario, codes=(NO_CODE,)),
    "cgc-w": lambda scenario: _policy(scenario, codes=((0, _largest(scenario)[1]),)),
    "cgc-e": lambda scenario: _policy(scenario, codes=((_largest(scenario)[0], 0),)),
    "hgc": lambda scenario: _policy(scenario, codes=(_largest(scenario),)),
    "jncss-means": lambda scenario: _policy(scenario, codes=scenario.codes, remembers=False, num_samples=0),
    "jncss": lambda scenario: _policy(scenario, codes=scenario.codes, remembers=False),
    "markov": lambda scenario: _policy(scenario, codes=scenario.codes),
}
