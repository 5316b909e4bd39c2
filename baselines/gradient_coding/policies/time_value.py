"""What time is worth that a round takes: the more of what is left, the dearer each second."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.stages.encoding import TINY


class TimeValue(NamedTuple):
    """c(D) = lambda D / (1 - D / sigma), and all that is left is worth c(left).

    Say that rounds to come raise A and P of the bound A / P by r and rho a second, and end at Phi = phi. Then a round
    that takes D leaves them D less, and the bound ends at (phi W - r D) / (W - rho D) with W what P ends at: in units
    of A that costs (phi rho - r) D / (1 - rho D / W). So lambda is the price of the first second, and sigma = W / rho
    the time that all participation takes, past and to come. A second of a short episode, or of a long round, is dear.

    Attributes:
        second: lambda, (B,).
        left_s: of the delay budget, (B,): a longer round is not counted, and ends the episode.
        span_s: sigma, at least what is left, (B,).
    """

    second: np.ndarray
    left_s: np.ndarray
    span_s: np.ndarray

    def cost(self, duration_s: np.ndarray) -> np.ndarray:
        """c(D), (..., B)."""
        used_s = np.minimum(duration_s, self.left_s)
        cost: np.ndarray = self.second * used_s / self._kept(used_s)
        return cost

    def marginal(self, duration_s: np.ndarray) -> np.ndarray:
        """c'(D), (..., B); beyond what is left that of the last second."""
        marginal: np.ndarray = self.second / self._kept(np.minimum(duration_s, self.left_s)) ** 2
        return marginal

    def _kept(self, used_s: np.ndarray) -> np.ndarray:
        """Share of all participation that is not lost."""
        # Where no time is left, none is used, and nothing lost.
        kept: np.ndarray = np.maximum(1 - used_s / np.maximum(self.span_s, TINY), _LEAST_KEPT)
        return kept


# What a first round may lose at most: nothing was had before it.
_LEAST_KEPT = 0.05
