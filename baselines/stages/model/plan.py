"""Plans: open-loop decisions for a whole episode, playable by the dynamics."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from edgelearn_env.model import Observed
from edgelearn_env.stages.records import Allocation


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to do in every round, whatever happens; a policy for `rollout`.

    Attributes:
        allocations: one row a round, and a last one that stops: it asks for an upload so slow that the round cannot
            be counted, the model's only way to end an episode with budgets left.
        num_pretrain_rounds: M.
        num_finetune_rounds: N.
    """

    # The record of a decision.
    record: ClassVar[Any] = Allocation

    allocations: Any
    num_pretrain_rounds: int
    num_finetune_rounds: int

    @property
    def server_batch(self) -> np.ndarray:
        """b of the pre-training rounds, (M,)."""
        server_batch: np.ndarray = self.allocations.server_batch
        return server_batch[: self.num_pretrain_rounds]

    @property
    def batch(self) -> np.ndarray:
        """b of the fine-tuning rounds, 0 for those who are silent, (N, K)."""
        batch: np.ndarray = self.allocations.batch
        return batch[self.num_pretrain_rounds : -1]

    @property
    def has_whole_batches(self) -> bool:
        """Whether the environment can play it as it is: no batch is fractional."""
        return all(np.array_equal(batch, np.round(batch)) for batch in (self.server_batch, self.batch))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays by name, for a file; `from_arrays` is the inverse."""
        rounds = np.array([self.num_pretrain_rounds, self.num_finetune_rounds])
        return {"rounds": rounds, **self.allocations._asdict()}

    def to_dict(self) -> dict[str, Any]:
        """The decisions of each stage in plain types, without those for the stage that is not played."""
        count, decided = self.num_pretrain_rounds, self.allocations
        return {
            "num_pretrain_rounds": count,
            "num_finetune_rounds": self.num_finetune_rounds,
            **{name: getattr(decided, name)[:count].tolist() for name in ("server_freq_hz", "server_batch")},
            **{name: getattr(decided, name)[count:-1].tolist() for name in ("freq_hz", "power_w", "batch")},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """What `to_arrays` wrote."""
        num_pretrain, num_finetune = arrays["rounds"].tolist()
        allocations = cls.record(**{name: arrays[name] for name in cls.record._fields})
        return cls(allocations=allocations, num_pretrain_rounds=num_pretrain, num_finetune_rounds=num_finetune)

    def __call__(self, observed: Observed) -> Any:
        """The decisions for the round each episode is in."""
        row = np.minimum(observed.state.round_index, self.num_pretrain_rounds + self.num_finetune_rounds)
        return self.record(*(array[row] for array in self.allocations))
