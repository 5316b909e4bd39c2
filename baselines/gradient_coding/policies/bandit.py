"""Discounted UCB over codes: which code is best is found out while rounds are played."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.gradient_coding.policies.coded_lyapunov import CodedLyapunov
from edgelearn_env.baselines.gradient_coding.policies.course import Course, best_course
from edgelearn_env.baselines.gradient_coding.policies.round_choice import RoundChoice
from edgelearn_env.gradient_coding.dynamics import as_played, uses_code
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.model import Observed
from edgelearn_env.stages.bounds import dissimilarity_share

# What was seen counts so much less with every round, and how wide the confidence bounds are.
_DISCOUNT, _WIDTH = 0.95, 0.3

# A round that loses more than so many times what one of everybody is worth counts as one that loses that.
_MOST_LOST = 3.0


class _Stakes(NamedTuple):
    """The last round of each episode, (B,), and where the episode stood before it.

    Attributes:
        arm: place of its code.
        worth: what it was worth if it was decoded, noise taken off, in shares of a round of everybody's.
        second, joule: prices of a second and a joule in such shares.
        elapsed_s, spent_j, participation: before the round.
    """

    arm: np.ndarray
    worth: np.ndarray
    second: np.ndarray
    joule: np.ndarray
    elapsed_s: np.ndarray
    spent_j: np.ndarray
    participation: np.ndarray


class CodeBandit:
    """Discounted UCB (Garivier and Moulines, arXiv:0805.3415) whose arms are policies with one code each.

    With discounted numbers of plays n_c, and mean rewards r_c of each code, it plays the code with the largest

        r_c + width sqrt(ln(sum of all n) / n_c)

    and first of all each code once. Slow devices recover, so what was seen long ago counts less. The rounds of every
    code are designed by its policy; of the choice among codes nothing is known beforehand.

    The reward of a round is what it turned out to be worth at the prices at which it was decided: what the data that it
    counted are worth, less their noise, its time and its energy. Drift plus penalty is the sum of that, so the code of
    the best mean reward is the best one at these prices. As a share of what a round of everybody is worth it is at
    most 1; it is cut at -3 and scaled to [0, 1], as the bounds of UCB ask for.

    What was seen is remembered for each episode of a batch by its place, from its first fine-tuning round on.

    Args:
        arms: one policy for each code; their pre-training is the same.
    """

    @classmethod
    def of(cls, scenario: GradientCodingScenario, course: Course | None = None) -> Self:
        """The bandit over all codes of a scenario, on a course; on the one that is best for them all if None."""
        course = course or best_course(RoundChoice(scenario=scenario, codes=scenario.codes))
        arms = [RoundChoice(scenario=scenario, codes=(code,)) for code in scenario.codes]
        return cls([CodedLyapunov.on_course(arm, course) for arm in arms])

    def __init__(self, arms: Sequence[CodedLyapunov]) -> None:
        self._arms = arms
        self._plays = self._rewards = np.zeros((0, len(arms)))
        self._last: _Stakes | None = None

    def __call__(self, observed: Observed) -> Allocation:
        """The round of the arm that is to be played, in every episode."""
        self._learn(observed)
        options = [arm(observed) for arm in self._arms]
        chosen = np.argmax(self._upper_bounds(), axis=1)
        allocation = mapped(lambda *arrays: np.stack(arrays)[chosen, np.arange(len(chosen))], *options)
        self._last = self._stakes(observed, allocation, chosen)
        return allocation

    def _learn(self, observed: Observed) -> None:
        """Take the last round's reward down, and forget what was before an episode's first fine-tuning round."""
        state = observed.state
        fresh = state.bound_terms.num_finetune_rounds == 0
        if self._last is None or len(self._last.arm) != len(fresh):
            self._plays = self._rewards = np.zeros((len(fresh), len(self._arms)))
            return
        last = self._last
        decoded = state.bound_terms.participation > last.participation
        paid = last.second * (state.elapsed_s - last.elapsed_s) + last.joule * (state.spent_j - last.spent_j)
        reward = np.clip(np.where(decoded, last.worth, 0.0) - paid, -_MOST_LOST, 1.0)
        played = np.eye(len(self._arms))[last.arm]
        share = (reward + _MOST_LOST) / (1 + _MOST_LOST)
        kept = np.where(fresh, 0.0, 1.0)[:, None]
        self._plays = kept * (_DISCOUNT * self._plays + played)
        self._rewards = kept * (_DISCOUNT * self._rewards + played * share[:, None])

    def _upper_bounds(self) -> np.ndarray:
        """Of every code in every episode, (B, C); infinite before it was played."""
        total = np.maximum(np.sum(self._plays, axis=1, keepdims=True), 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            bounds = self._rewards / self._plays + _WIDTH * np.sqrt(np.log(total) / self._plays)
        return np.where(self._plays > 0, bounds, np.inf)

    def _stakes(self, observed: Observed, allocation: Allocation, chosen: np.ndarray) -> _Stakes:
        """What the round is about."""
        prices, state = self._arms[0].round_prices(observed), observed.state
        batch = as_played(allocation).batch
        counted = (batch >= 1) | uses_code(allocation)[:, None]
        noise = np.divide(prices.noise, batch, where=counted, out=np.zeros(batch.shape))
        omega = counted @ self._arms[0].constants.device_weight
        worth = np.sum(np.where(counted, prices.gain, 0.0) - noise, axis=1)
        worth = worth - prices.dissimilarity * dissimilarity_share(omega)
        of_everybody = np.sum(prices.gain, axis=1)
        return _Stakes(
            arm=chosen,
            worth=worth / of_everybody,
            second=prices.second / of_everybody,
            joule=np.mean(prices.joule, axis=1) / of_everybody,
            elapsed_s=state.elapsed_s,
            spent_j=state.spent_j,
            participation=state.bound_terms.participation,
        )
