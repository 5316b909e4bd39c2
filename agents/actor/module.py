"""The torch network that recipes train: an `Actor`."""

import numpy as np
import torch
from torch import nn

from edgelearn_env.agents.actor.actor import (
    Actor,
    Features,
    Network,
    Start,
    action_of,
)
from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError


class SkippedMLP(nn.Module):
    """`Network` in torch; its output layer starts at almost nothing."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layer_1, self.layer_2 = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.layer_3 = nn.Linear(hidden + inputs, outputs)
        for layer, gain in ((self.layer_1, 2**0.5), (self.layer_2, 2**0.5), (self.layer_3, 0.01)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """y of inputs x, along the last axis."""
        hidden = torch.tanh(self.layer_2(torch.tanh(self.layer_1(inputs))))
        outputs: torch.Tensor = self.layer_3(torch.cat([hidden, inputs], dim=-1))
        return outputs

    def arrays(self) -> Network:
        """The same in plain arrays."""
        return Network(*(_array(part) for part in self._parts()))

    def take(self, network: Network) -> None:
        """Become that network, of the same size."""
        with torch.no_grad():
            for part, values in zip(self._parts(), network, strict=True):
                part.copy_(torch.tensor(values))

    def _parts(self) -> list[torch.Tensor]:
        layers = (self.layer_1, self.layer_2, self.layer_3)
        return [part for layer in layers for part in (layer.weight, layer.bias)]


class ActorModule(nn.Module):
    """`Actor` in torch; what is trained are its two networks.

    Args:
        start: of the scenario that is played.
        hidden: units a layer.
    """

    def __init__(self, start: Start, hidden: int) -> None:
        super().__init__()
        sizes = start.sizes
        self.server = SkippedMLP(sizes.context, hidden, sizes.decided_for_all)
        self.device = SkippedMLP(sizes.of_device, hidden, sizes.decided_for_device)
        for name, array in _flat(start).items():
            self.register_buffer(name, torch.tensor(array))

    @property
    def start(self) -> Start:
        """Its start, as tensors."""
        mean, std = (
            Features(*(getattr(self, f"{name}_{kind}") for kind in Features._fields)) for name in ("mean", "std")
        )
        return Start(mean, std, *(getattr(self, name) for name in Start._fields[2:]))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """`Actor.action`."""
        start = self.start
        shared, own = start.standardised(observation)
        size, num_devices = len(shared), len(start.traits)
        context = torch.cat([shared, own.mean(dim=1), own.amin(dim=1)], dim=1)
        server = self.server(context) + shared @ start.server_weight.T + start.server_bias
        seen = [context[:, None].expand(-1, num_devices, -1), own, start.traits.expand(size, -1, -1)]
        device = self.device(torch.cat(seen, dim=2))
        device = device + torch.einsum("kij,bkj->bki", start.own_weight, own) + start.own_bias
        action: torch.Tensor = action_of(server, device)
        return action

    def take_networks(self, actor: Actor) -> None:
        """Go on with the networks of an actor; the start stays.

        Raises:
            InvalidInputError: they have another number of hidden units.
        """
        for ours, theirs in ((self.server, actor.server), (self.device, actor.device)):
            units, known = len(ours.layer_1.bias), len(theirs.bias_1)
            if units != known:
                raise InvalidInputError(f"hidden must be that of the networks to begin with, {known}, got {units}")
            ours.take(theirs)

    def actor(self) -> Actor:
        """The same in plain arrays."""
        return Actor(mapped(_array, self.start), self.server.arrays(), self.device.arrays())


_PAIRS = ("mean", "std")


def _flat(start: Start) -> dict[str, np.ndarray]:
    """The arrays of a start by name: `mean_shared`, ..., `traits`."""
    features = {f"{name}_{part}": array for name in _PAIRS for part, array in getattr(start, name)._asdict().items()}
    return features | {name: getattr(start, name) for name in Start._fields[len(_PAIRS) :]}


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()
