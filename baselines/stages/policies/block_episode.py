"""The rest of an episode in blocks of alike rounds, which grow with their distance."""

import dataclasses
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Tape

# A block of alike rounds is this much longer than the one before it.
_GROWTH = 1.7

# A rest of fine-tuning rounds that would make less than this share of the block before it belongs to that.
_SMALL_REST = 0.5


class Blocks(NamedTuple):
    """How many alike rounds each block stands for, by stage."""

    pretrain: tuple[int, ...]
    finetune: tuple[int, ...]

    @classmethod
    def of(cls, num_pretrain: int, num_finetune: int) -> Self:
        """So many rounds of each stage in blocks; the next round is one of its own, and so is fine-tuning's last one.

        What follows a block has to find charge in the batteries: without a last round alone, all but one round of the
        last block could be played without.
        """
        # Far from now forecasts are alike: few blocks do.
        first = max(1.0, num_finetune / 6) if num_pretrain else 1.0
        last = (1,) if num_finetune else ()
        return cls(_sizes(num_pretrain, 1.0), (*_sizes(num_finetune - 1, first, _SMALL_REST), *last))

    @property
    def rounds_ahead(self) -> np.ndarray:
        """How many rounds from now the middle of each block is, (M + N,)."""
        sizes = np.array([*self.pretrain, *self.finetune])
        middle: np.ndarray = np.cumsum(sizes) - (sizes + 1) / 2
        return middle


def _sizes(total: int, first: float, small_rest: float = 0.0) -> tuple[int, ...]:
    """Sizes of blocks that sum to `total`: one round, then from `first` on ever longer."""
    sizes, size, left = [1] if total > 0 else [], first, total - 1
    while left > 0:
        sizes.append(left if left < (1 + small_rest) * round(size) else round(size))
        left -= sizes[-1]
        size *= _GROWTH
    return tuple(sizes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockEpisode(PlannedEpisode):
    """A planned episode in blocks of alike rounds, each one row of the tape.

    Attributes:
        blocks: rounds in each of them.
    """

    blocks: Blocks

    @classmethod
    def of_nothing(cls, scenario: StagedScenario, **own: Any) -> Self:
        """An episode of no rounds; `own` are the fields of its class."""
        tape = Tape(*np.ones((2, 1, scenario.num_devices)))
        return cls(
            scenario=scenario,
            tape=tape,
            num_pretrain_rounds=0,
            num_finetune_rounds=0,
            blocks=Blocks((), ()),
            **own,
        )

    @cached_property
    def pretrain_repeats(self) -> np.ndarray:
        """Rounds in each pre-training block, (M,)."""
        return np.array(self.blocks.pretrain, dtype=float)

    @cached_property
    def finetune_repeats(self) -> np.ndarray:
        """Rounds in each fine-tuning block, (N,)."""
        return np.array(self.blocks.finetune, dtype=float)

    def in_blocks(self, blocks: Blocks, roles: np.ndarray, **changes: Any) -> Self:
        """The episode with other blocks, other roles in those of fine-tuning, (N, K), and what else changes."""
        changes |= {"num_pretrain_rounds": len(blocks.pretrain), "num_finetune_rounds": len(blocks.finetune)}
        return dataclasses.replace(self, blocks=blocks, **self._given(roles), **changes)

    def _given(self, roles: np.ndarray) -> dict[str, Any]:
        """The fields that hold what devices do."""
        return {"given_participates": roles > 0}


def first_block(episode: BlockEpisode, times: RoundTimes) -> tuple[BlockEpisode, RoundTimes]:
    """The episode cut to its first block, and what is decided for that."""
    num_pretrain = min(episode.num_pretrain_rounds, 1)
    num_finetune = 1 - num_pretrain
    blocks = Blocks(episode.blocks.pretrain[:num_pretrain], episode.blocks.finetune[:num_finetune])
    first = episode.in_blocks(blocks, episode.roles[:num_finetune])
    return first, RoundTimes(
        server_batch=times.server_batch[:num_pretrain],
        server_s=times.server_s[:num_pretrain],
        batch=times.batch[:num_finetune],
        compute_s=times.compute_s[:num_finetune],
        upload_s=times.upload_s[:num_finetune],
        duration_s=times.duration_s[:num_finetune],
    )
