"""Restrictions of a plan beyond the scenario's limits, to see what a freedom is worth."""

import dataclasses
from typing import Literal

import numpy as np

from edgelearn_env.baselines.stages.model.closed_forms import Uplink
from edgelearn_env.errors import InvalidInputError

Stages = Literal["both", "pretrain", "finetune"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Restriction:
    """What a plan must keep to; nothing by default.

    Attributes:
        power_w: every upload is sent at just this power, W, (K,).
        pretrain_share: pre-training has this share of both budgets for itself, fine-tuning the rest; between 0 and 1.
        everyone: all devices take part in every fine-tuning round.

    Raises:
        InvalidInputError: a power that is not above 0, or a share that is not between 0 and 1.
    """

    power_w: np.ndarray | None = None
    pretrain_share: float | None = None
    everyone: bool = False

    def __post_init__(self) -> None:
        if self.power_w is not None and not np.all(self.power_w > 0):
            raise InvalidInputError(f"power_w must be above 0, got {self.power_w}")
        if self.pretrain_share is not None and not 0 < self.pretrain_share < 1:
            raise InvalidInputError(f"pretrain_share must lie between 0 and 1, got {self.pretrain_share}")

    @property
    def binds_static_designs(self) -> bool:
        """Whether it takes a freedom from a static design, in which everyone takes part anyway."""
        return self.power_w is not None or self.pretrain_share is not None

    def of_uplink(self, uplink: Uplink) -> Uplink:
        """The uplink with the power that is left to it."""
        return uplink if self.power_w is None else uplink._replace(power_max_w=self.power_w, power_min_w=self.power_w)


UNRESTRICTED = Restriction()


def pairs_of(stages: Stages, horizon: int) -> np.ndarray:
    """Which pairs (M, N) fit on a tape and keep to the stages that may be played, (T + 1, T + 1)."""
    if stages not in ("both", "pretrain", "finetune"):
        raise InvalidInputError(f"stages must be 'both', 'pretrain' or 'finetune', got {stages!r}")
    rounds = np.arange(horizon + 1)
    fits: np.ndarray = rounds[:, None] + rounds <= horizon
    fits &= (rounds == 0) | (stages != "pretrain")
    fits &= (rounds[:, None] == 0) | (stages != "finetune")
    return fits
