"""Any policy of two stages, with a net and levels that stay as they are."""

import dataclasses
from collections.abc import Callable
from typing import Self

import numpy as np

from edgelearn_env.baselines.layer_tuning.policies.chosen_net import with_net
from edgelearn_env.baselines.layer_tuning.policies.selection_rule import Selection
from edgelearn_env.layer_tuning.constants import LayerConstants
from edgelearn_env.layer_tuning.records import Allocation
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.model import Observed
from edgelearn_env.stages.constants import Constants
from edgelearn_env.trajectory import Policy


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedLevels:
    """Clocks, powers, batches and the switch by a policy that knows nothing of nets.

    Attributes:
        policy: decides as in a two-stage system.
        place: of the net's depth.
        selection: the net, and what each device trains of it.
    """

    policy: Policy
    place: int
    selection: Selection

    @classmethod
    def of(cls, scenario: LayerTuningScenario, selection: Selection, make: Callable[[Constants], Policy]) -> Self:
        """The policy that is made for devices at these levels, with batches that fit into their memories."""
        place, constants = scenario.networks.place_of(selection.depth), LayerConstants.of(scenario)
        where, blocks = np.array([place]), selection.blocks[None].astype(np.int64)
        most_batch = constants.by_device(constants.most_batch, where, blocks)[0]
        names = ("cycles_per_sample", "upload_bit", "device_weight", "gradient_noise_weight")
        at = constants.at(where, blocks)
        alike = scenario.replace(devices={"batch_max": np.maximum(most_batch, 1.0)})
        made = at._replace(
            scenario=alike, bound=constants.bounds[place], **{name: getattr(at, name)[0] for name in names}
        )
        return cls(policy=make(made), place=place, selection=selection)

    def __call__(self, observed: Observed) -> Allocation:
        """What the policy decides if this net is trained."""
        staged = self.policy(with_net(observed, self.place))
        blocks = np.broadcast_to(self.selection.blocks, staged.batch.shape).astype(np.int64)
        return Allocation(**staged._asdict(), depth=np.full(len(staged.switch), self.selection.depth), blocks=blocks)
