"""What a study begins with: a net that the server has trained on its general samples, with an optimizer of its own."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from edgelearn_env.federated.local_update import scores_from
from edgelearn_env.federated.networks import Net, Weights, embedded, initial_weights
from edgelearn_env.federated.samples import Samples, drawn

_WARM_UP = 0.05


def pretrained(
    net: Net, general: Samples, steps: int, batch: int = 32, peak_step_size: float = 4e-3, seed: int = 0
) -> dict[str, np.ndarray]:
    """Weights after so many steps of Adam, whose step size rises for a twentieth of them and falls along a cosine.

    Args:
        net: shape of the net.
        general: the server's samples.
        steps: of Adam.
        batch: samples of a step.
        peak_step_size: the largest.
        seed: of first weights and draws.
    """
    weights = initial_weights(net, seed)
    for trained in pretraining(net, general, steps, batch, peak_step_size, seed):
        weights = trained
    return {name: array.copy() for name, array in weights.items()}


def pretraining(
    net: Net,
    general: Samples,
    steps: int,
    batch: int,
    peak_step_size: float,
    seed: int,
    weights: Weights | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """The weights after each step; they change in place with the next one. Arguments as for `pretrained`.

    With `weights` it goes on from those.
    """
    start = initial_weights(net, seed) if weights is None else weights
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in start.items()}
    optimizer = torch.optim.Adam(list(tensors.values()), betas=(0.9, 0.98))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = peak_step_size * _share(step, steps)
        optimizer.zero_grad()
        _mean_loss(tensors, net, drawn(general, batch, seed, step, 4)).backward()
        optimizer.step()
        yield {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def _mean_loss(tensors: dict[str, Tensor], net: Net, samples: Samples) -> Tensor:
    stream = embedded(tensors, net, torch.from_numpy(samples.inputs))
    return scores_from(tensors, net, stream, 0, samples.targets).loss.mean()


def _share(step: int, steps: int) -> float:
    """Of the largest step size."""
    rising = (step + 1) / max(1.0, _WARM_UP * steps)
    return min(rising, 0.5 * (1 + math.cos(math.pi * step / steps)))
