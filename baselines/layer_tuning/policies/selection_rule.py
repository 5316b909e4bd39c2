"""The selection rule of layer finetuning: which net, and how many of its blocks each device trains for good."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning.networks import Networks
from edgelearn_env.physics.transformer import layer_costs

Limit = np.ndarray | float


class StepLimits(NamedTuple):
    """What a local step, and the upload after it, may take; a number or one for each device, (K,).

    Attributes:
        memory_byte: at the worst moment of a step.
        upload_byte: of what was trained.
        flops: of a step.
    """

    memory_byte: Limit = np.inf
    upload_byte: Limit = np.inf
    flops: Limit = np.inf


class Selection(NamedTuple):
    """A net for good: its blocks l, and how many each device trains, 0 for one that trains none, (K,)."""

    depth: int
    blocks: np.ndarray

    @property
    def typical_blocks(self) -> int:
        """As many as half of those who train any have, at least 1."""
        able = self.blocks[self.blocks > 0]
        return int(np.median(able)) if able.size else 1


def most_blocks(networks: Networks, batch: float, limits: StepLimits, optimizer_words: int = 0) -> np.ndarray:
    """t_c(l): the most last blocks of each net that meet a device's limits, 0 where not even one does, (D, K).

    Args:
        networks: the family.
        batch: samples of a step.
        limits: of each device.
        optimizer_words: numbers that the optimizer keeps beside each trained weight.
    """
    depth = np.asarray(networks.depths)[:, None, None]
    level = np.arange(1, networks.most_blocks + 1)[:, None]
    costs = layer_costs(networks.size, depth, level, batch, optimizer_words)
    fits = (
        (costs.peak_bytes <= np.asarray(limits.memory_byte))
        & (costs.upload_bytes <= np.asarray(limits.upload_byte))
        & (costs.flops <= np.asarray(limits.flops))
    )
    # Costs rise with the blocks, so those that fit are the first ones.
    most: np.ndarray = np.sum(fits & (level <= depth), axis=1)
    return most


def selected(networks: Networks, batch: float, limits: StepLimits, optimizer_words: int = 0) -> Selection:
    """l* = argmax of the mean of t_c(l) over devices, of the nets that every device can train; each trains t_c(l*).

    Of nets with the same mean the deepest, which is this package's own tie-break. The rule is known from summaries of
    the paper on layer finetuning; nothing in it knows what a block is worth, so it may prefer more blocks of a net that
    is worse: under a limit on FLOPs two of two blocks to one of four.

    Args:
        networks, batch, limits, optimizer_words: as for `most_blocks`.

    Raises:
        InvalidInputError: every net is too large for some device.
    """
    most = most_blocks(networks, batch, limits, optimizer_words)
    mean = np.where(np.all(most >= 1, axis=1), np.mean(most, axis=1), -1.0)
    if np.max(mean) < 0:
        raise InvalidInputError("limits must let every device train a block of some net, got ones that do not")
    place = len(mean) - 1 - int(np.argmax(mean[::-1]))
    return Selection(int(np.asarray(networks.depths)[place]), most[place])
