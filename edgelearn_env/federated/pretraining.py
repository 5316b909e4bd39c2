"""What a study begins with: a net that the server has trained on its general samples, with an optimizer of its own."""

import math
from collections.abc import Callable

import numpy as np
import torch

from edgelearn_env.federated.local_update import scores_from
from edgelearn_env.federated.networks import Net, embedded, initial_weights
from edgelearn_env.federated.samples import Samples, drawn

_WARM_UP = 0.05


def pretrained(
    net: Net,
    general: Samples,
    steps: int,
    batch: int = 32,
    peak_step_size: float = 4e-3,
    seed: int = 0,
    after_step: Callable[[], None] | None = None,
) -> dict[str, np.ndarray]:
    """Weights after so many steps of Adam, whose step size rises for a twentieth of them and falls along a cosine.

    Args:
        net: shape of the net.
        general: the server's samples.
        steps: of Adam.
        batch: samples of a step.
        peak_step_size: the largest.
        seed: of first weights and draws.
        after_step: called after each.
    """
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in initial_weights(net, seed).items()}
    optimizer = torch.optim.Adam(list(tensors.values()), betas=(0.9, 0.98))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = peak_step_size * _share(step, steps)
        some = drawn(general, batch, seed, step, 4)
        stream = embedded(tensors, net, torch.from_numpy(some.inputs))
        optimizer.zero_grad()
        scores_from(tensors, net, stream, 0, some.targets).loss.mean().backward()
        optimizer.step()
        if after_step is not None:
            after_step()
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def _share(step: int, steps: int) -> float:
    """Of the largest step size."""
    rising = (step + 1) / max(1.0, _WARM_UP * steps)
    return min(rising, 0.5 * (1 + math.cos(math.pi * step / steps)))
