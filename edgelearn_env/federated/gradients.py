"""Gradients of whole sets of samples, and of mini-batches of them: what learning bounds speak of, measured."""

from collections.abc import Mapping

import numpy as np
import torch

from edgelearn_env.federated.local_update import scores_from
from edgelearn_env.federated.networks import Net, Weights, embedded, unit_of
from edgelearn_env.federated.samples import Samples, drawn

Gradient = Mapping[str, np.ndarray]

# Samples that go through a net at once.
_AT_ONCE = 64


def full_gradient(weights: Weights, net: Net, samples: Samples) -> tuple[float, dict[str, np.ndarray]]:
    """Mean loss over all samples, nats, and its gradient by array, in double precision."""
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}
    loss, total = 0.0, {name: np.zeros(array.shape) for name, array in weights.items()}
    for begin in range(0, samples.num_samples, _AT_ONCE):
        some = samples.taken(slice(begin, begin + _AT_ONCE))
        stream = embedded(tensors, net, torch.from_numpy(some.inputs))
        summed = scores_from(tensors, net, stream, 0, some.targets).loss.sum()
        for name, gradient in zip(tensors, torch.autograd.grad(summed, list(tensors.values())), strict=True):
            total[name] += gradient.numpy()
        loss += summed.item()
    return loss / samples.num_samples, {name: array / samples.num_samples for name, array in total.items()}


def mixed(gradients: list[Gradient], weights: np.ndarray) -> dict[str, np.ndarray]:
    """sum_k omega_k g_k."""
    return {
        name: sum(weight * each[name] for weight, each in zip(weights, gradients, strict=True)) for name in gradients[0]
    }


def squared_norm(gradient: Gradient) -> float:
    """||g||^2 over all arrays."""
    return float(sum(np.sum(array**2) for array in gradient.values()))


def squared_distance(one: Gradient, other: Gradient) -> float:
    """||g - h||^2 over all arrays."""
    return float(sum(np.sum((array - other[name]) ** 2) for name, array in one.items()))


def squared_norm_by_unit(gradient: Gradient) -> dict[str, float]:
    """||g_q||^2 of the embedding, each block and the head."""
    found: dict[str, float] = {}
    for name, array in gradient.items():
        found[unit_of(name)] = found.get(unit_of(name), 0.0) + float(np.sum(array**2))
    return found


def sample_variance_by_unit(
    weights: Weights, net: Net, samples: Samples, full: Gradient, batches: int = 4, batch: int = 8, seed: int = 0
) -> dict[str, float]:
    """sigma^2 of one sample, b E||g_b - g||^2 over mini-batches drawn with replacement, unit by unit.

    Args:
        weights: of the net.
        net: its shape.
        samples: to draw from.
        full: their gradient g.
        batches: how many are drawn.
        batch: b.
        seed: of the draws.
    """
    total: dict[str, float] = {}
    for index in range(batches):
        _, gradient = full_gradient(weights, net, drawn(samples, batch, seed, index, 7))
        off = squared_norm_by_unit({name: array - full[name] for name, array in gradient.items()})
        total = {unit: total.get(unit, 0.0) + batch * square / batches for unit, square in off.items()}
    return total
