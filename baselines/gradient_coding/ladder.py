"""The ladder of gradient coding: every policy that needs no learning, by name, from the simplest up."""

from collections.abc import Callable, Mapping
from typing import Any

from edgelearn_env.baselines.gradient_coding.policies.bandit import CodeBandit
from edgelearn_env.baselines.gradient_coding.policies.coded_lyapunov import CodedLyapunov
from edgelearn_env.baselines.gradient_coding.policies.mpc import CodedMPC
from edgelearn_env.baselines.gradient_coding.policies.round_choice import RoundChoice
from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.trajectory import Policy

Codes = tuple[tuple[int, int], ...]


def _planned(
    codes: Callable[[int, int], Codes] | None = None, **choices: Any
) -> Callable[[GradientCodingScenario], Policy]:
    """What makes the policy with those codes, all if None, on the course that is best for them.

    `codes` is called with what is stored, (S_e, S_w).
    """

    def made(scenario: GradientCodingScenario) -> Policy:
        allowed = scenario.codes if codes is None else codes(*scenario.codes[-1])
        return CodedLyapunov.on_course(RoundChoice(scenario=scenario, codes=allowed, **choices))

    return made


# Rounds without a code; with one code, for late devices (CGC-W), late edge nodes (CGC-E) or both (HGC); with the code
# that is best by the likely times (JNCSS), by samples of what may happen, with the one that was best so far, and with
# that which is best by samples that know who was slow, at prices that follow queues or are planned anew.
LADDER: Mapping[str, Callable[[GradientCodingScenario], Policy]] = {
    "random": lambda scenario: RandomPlay(scenario, seed=TUNING),
    "uncoded": _planned(lambda edges, devices: ((0, 0),)),
    "cgc-w": _planned(lambda edges, devices: ((0, devices),)),
    "cgc-e": _planned(lambda edges, devices: ((edges, 0),)),
    "hgc": _planned(lambda edges, devices: ((edges, devices),)),
    "jncss-means": _planned(remembers=False, num_samples=0),
    "jncss": _planned(remembers=False),
    "bandit": CodeBandit.of,
    "markov": _planned(),
    "mpc": lambda scenario: CodedMPC.of(RoundChoice(scenario=scenario, codes=scenario.codes)),
}
