"""Scenarios of layer tuning: a family of nets, and devices that can train their last blocks."""

import dataclasses
from typing import ClassVar

import numpy as np

from edgelearn_env.layer_tuning.levels import Levels
from edgelearn_env.layer_tuning.networks import Memory, Networks
from edgelearn_env.physics.transformer import layer_costs
from edgelearn_env.scenarios.scenario import size_and_budgets
from edgelearn_env.stages.bounds import BOUNDS, LearningBound, least_weight, value_range
from edgelearn_env.stages.scenario import StagedScenario


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LayerTuningScenario(StagedScenario):
    """One system of layer tuning; per-device fields are read-only arrays of shape (K,).

    `learning` speaks of the deepest net when all of it is trained; `networks` says what other depths and levels need
    and are worth beside it. In a pre-training round the server trains all nets side by side, with the same batch.

    Raises:
        InvalidInputError: a value is out of its limits, an array has the wrong length, a budget cannot pay for a single
            fine-tuning round, or no device can train anything.
    """

    system: ClassVar[str] = "layer-tuning"

    networks: Networks
    memory: Memory

    def __post_init__(self) -> None:
        StagedScenario.__post_init__(self)
        sentence = "leaves no device the memory to train a block of any net with one sample"
        self.memory.require(np.any(self.levels.most_batch >= 1), "limit_byte", sentence)

    @property
    def in_words(self) -> str:
        """Its size, budgets and depths, for a title."""
        depths = ", ".join(map(str, np.asarray(self.networks.depths).tolist()))
        return f"{size_and_budgets(self)}, {self.learning.objective} bound, nets of {depths} blocks"

    @property
    def levels(self) -> Levels:
        """What each level of each depth takes and counts."""
        return Levels.of(self.networks, self.memory, self.learning, self.devices)

    @property
    def server_flops_per_cycle(self) -> float:
        """Of one sample for the deepest net: the server trains the shallower ones too."""
        depths = np.asarray(self.networks.depths)
        work = layer_costs(self.networks.size, depths, depths, 1).flops
        return float(self.server.flops_per_cycle * work[-1] / np.sum(work))

    @property
    def server_cycles_per_sample(self) -> float:
        """a_s: clock cycles the server needs for one sample, in all nets."""
        return self.learning.flops_per_sample / self.server_flops_per_cycle

    @property
    def device_cycles_per_sample(self) -> np.ndarray:
        """a_k: clock cycles device k needs for one sample and one block of the shallowest net, the least, (K,)."""
        return np.asarray(self.learning.flops_per_sample / self.levels.flops_per_cycle[0, 0])

    @property
    def least_share(self) -> float:
        """The least rho_l(t) of all levels: what a round counts in which a device of weight 1 trains one block."""
        return float(np.min(self.networks.share))

    @property
    def bound(self) -> LearningBound:
        """The learning bound of the deepest net."""
        return self.bound_of(self.networks.num_depths - 1)

    def bound_of(self, place: int) -> LearningBound:
        """The learning bound of a net, by the place of its depth; all nets' bounds have the same value of their terms.

        Its participation is P = sum_n sum_k omega_k rho_l(t_kn), floored at the least that a round can give.
        """
        of_net = dataclasses.replace(  # type: ignore[type-var]  # `part` makes dataclasses, which mypy does not see
            self.learning,
            initial_gap=self.initial_gap_of(place),
            distribution_gap=self.distribution_gap_of(place),
            device_weight=self.learning.device_weight * self.least_share,
        )
        return BOUNDS[self.learning.objective].of(of_net)

    def initial_gap_of(self, place: int) -> float:
        """G_0 of a net, by the place of its depth."""
        return float(self.learning.initial_gap * np.asarray(self.networks.gap_factor)[place])

    def distribution_gap_of(self, place: int) -> float:
        """delta^2 of a net, likewise."""
        return float(self.learning.distribution_gap * np.asarray(self.networks.distribution_factor)[place])

    @property
    def bound_value_range(self) -> tuple[float, float]:
        """Two values that the learning bound lies between at any time of any episode, whatever the depth."""
        ranges = [self._bound_value_range(place) for place in range(self.networks.num_depths)]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def _bound_value_range(self, place: int) -> tuple[float, float]:
        learning, levels = self.learning, self.levels
        form = self.bound_of(place).quotient_form(np.arange(self.budgets.max_rounds + 1))
        worth = learning.device_weight * levels.gradient_variance[place] / levels.share[place, :, None]
        shares, counts = form.finetune_weight * worth, learning.device_weight > 0
        least = np.min(shares / self.devices.batch_max, where=counts, initial=np.inf)
        least_participation = least_weight(learning.device_weight) * self.least_share
        return value_range(form, self.server.batch_max, (float(least), float(np.max(shares))), least_participation)
