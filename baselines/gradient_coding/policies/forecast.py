"""What a round will hide, as far as an online policy can tell: the likely case, and samples."""

from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.gradient_coding.hidden import Hidden, HiddenLaw
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario


class StragglerForecast(NamedTuple):
    """The law of a round's stragglers, with or without what was last seen of them.

    Attributes:
        law: of the scenario.
        num_edges: n.
        remembers: whether a device that was seen slowed is thought to be so still, by the chain's law; else each round
            is by the stationary law.
    """

    law: HiddenLaw
    num_edges: int
    remembers: bool

    @classmethod
    def of(cls, scenario: GradientCodingScenario, *, remembers: bool) -> Self:
        """The forecast for a scenario."""
        return cls(HiddenLaw.of(scenario), scenario.coding.num_edges, remembers)

    def slow_chance(self, seen_slowdown: np.ndarray) -> np.ndarray:
        """Chance that each device is slowed in the next round, (B, K)."""
        law = self.law
        if not self.remembers:
            return np.broadcast_to(law.slow_at_first[:, 0], seen_slowdown.shape)
        chance: np.ndarray = np.where(seen_slowdown > 1, 1 - law.slow_end[:, 0], law.slow_begin[:, 0])
        return chance

    def likely(self, seen_slowdown: np.ndarray) -> Hidden:
        """Slowed where that is likelier than not, mean stalls, nothing erased; (B, K) and (B, n)."""
        slow = self.slow_chance(seen_slowdown) > 0.5
        one = np.ones(seen_slowdown.shape)
        return Hidden(
            slowdown=np.where(slow, self.law.slow_factor[:, 0], 1.0),
            stall_s=one * self.law.stall_s[:, 0],
            tries=one,
            edge_tries=np.ones((len(one), self.num_edges)),
        )

    def sampled(self, seen_slowdown: np.ndarray, uniforms: np.ndarray) -> Hidden:
        """What the next round may hide, (S, B, K) and (S, B, n).

        Args:
            seen_slowdown: x of the last round that has shown it, (B, K).
            uniforms: numbers uniform in (0, 1), the same for all episodes, (S, 1, 3 K + n).
        """
        num_devices, law = seen_slowdown.shape[1], self.law
        turn, stall, tries = np.split(uniforms, (num_devices, 2 * num_devices), axis=-1)
        times = 1.0 + np.floor(np.log(tries) * law.per_log_erasure[:, 0])
        shape = (len(uniforms), *seen_slowdown.shape)
        return Hidden(
            slowdown=np.where(turn < self.slow_chance(seen_slowdown), law.slow_factor[:, 0], 1.0),
            stall_s=np.broadcast_to(-law.stall_s[:, 0] * np.log(stall), shape),
            tries=np.broadcast_to(times[..., :num_devices], shape),
            edge_tries=np.broadcast_to(times[..., num_devices:], (*shape[:2], self.num_edges)),
        )
