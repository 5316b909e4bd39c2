"""The ladder of gradient coding: every policy that needs no learning, by name, from the simplest up."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from edgelearn_env.baselines.gradient_coding.policies.coded_lyapunov import CodedLyapunov
from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.baselines.stages.policies.tuned_lyapunov import tuned_lyapunov
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.trajectory import Policy

Codes = tuple[tuple[int, int], ...]


def _tuned(
    codes: Callable[[int, int], Codes] | None = None, **choices: Any
) -> Callable[[GradientCodingScenario], Policy]:
    """What makes the policy with those codes, all if None, and the numbers of rounds that are best on tuning tapes.

    `codes` is called with what is stored, (S_e, S_w).
    """

    def made(scenario: GradientCodingScenario) -> Policy:
        allowed = scenario.codes if codes is None else codes(*scenario.codes[-1])
        return tuned_lyapunov(scenario, functools.partial(CodedLyapunov, scenario=scenario, codes=allowed, **choices))

    return made


# Rounds without a code; with one code, for late devices (CGC-W), late edge nodes (CGC-E) or both (HGC); with the code
# that is best by the likely times (JNCSS), by samples of what may happen, and by samples that know who was slow.
LADDER: Mapping[str, Callable[[GradientCodingScenario], Policy]] = {
    "random": lambda scenario: RandomPlay(scenario, seed=TUNING),
    "uncoded": _tuned(lambda edges, devices: ((0, 0),)),
    "cgc-w": _tuned(lambda edges, devices: ((0, devices),)),
    "cgc-e": _tuned(lambda edges, devices: ((edges, 0),)),
    "hgc": _tuned(lambda edges, devices: ((edges, devices),)),
    "jncss-means": _tuned(remembers=False, num_samples=0),
    "jncss": _tuned(remembers=False),
    "markov": _tuned(),
}
