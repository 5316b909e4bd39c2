"""What solves an episode's program: a point, and prices of what couples devices and rounds."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.stages.model.round_times import RoundTimes


class Multipliers(NamedTuple):
    """Prices, in units of the bound, of the constraints that couple devices and rounds; all at least 0.

    Where pre-training has budgets of its own, `time` and `energy` are those of fine-tuning.

    Attributes:
        time: of a second of the delay budget.
        energy: of a joule of the energy budget.
        pay: of e <= battery for those who take part, per joule, (N, K).
        carry: of battery[n] <= what round n - 1 left (n = 0: what pre-training left), per joule, (N, K).
        pretrain_time: of a second of pre-training's own delay budget; 0 where both stages share one.
        pretrain_energy: of a joule of its own energy budget, likewise.
    """

    time: float
    energy: float
    pay: np.ndarray
    carry: np.ndarray
    pretrain_time: float = 0.0
    pretrain_energy: float = 0.0


class Solution(NamedTuple):
    """A solved program: primal point, multipliers, and the share of the budgets that it uses if that was minimised."""

    times: RoundTimes
    multipliers: Multipliers
    share: float = 1.0
