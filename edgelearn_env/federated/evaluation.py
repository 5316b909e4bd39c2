"""How well weights do on samples that nobody trained on: device by device."""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch

from edgelearn_env.federated.frozen_prefix import FrozenPrefix
from edgelearn_env.federated.local_update import scores_from
from edgelearn_env.federated.networks import Net, Weights, embedded
from edgelearn_env.federated.samples import FederatedSamples, Samples

# Samples that go through a net at once.
_AT_ONCE = 64


class Evaluation(NamedTuple):
    """Device by device.

    Attributes:
        loss: mean cross-entropy, nats, (K,).
        accuracy: share of predictions that hit, (K,).
    """

    loss: np.ndarray
    accuracy: np.ndarray

    @property
    def bits(self) -> float:
        """Mean cross-entropy over devices, bits a prediction: for text, bits a character."""
        return float(np.mean(self.loss)) / math.log(2)


def evaluated(
    weights: Weights,
    net: Net,
    samples: FederatedSamples,
    of: str = "test",
    most: int | None = None,
    prefix: FrozenPrefix | None = None,
) -> Evaluation:
    """Loss and accuracy on the devices' validation or test samples.

    Args:
        weights: of the net, with adapters or without.
        net: its shape.
        samples: whose.
        of: "test" or "validation".
        most: samples of a device, the first ones; all if None.
        prefix: of blocks that are still as they were when a run began: a shortcut.
    """
    own = [getattr(device, of).taken(slice(0, most)) for device in samples.devices]
    joined = Samples(np.concatenate([each.inputs for each in own]), np.concatenate([each.targets for each in own]))
    loss, accuracy = _scores(weights, net, joined, (of, most or 0), prefix)
    ends = np.cumsum([each.num_samples for each in own])[:-1]
    return Evaluation(*(np.array([part.mean() for part in np.split(each, ends)]) for each in (loss, accuracy)))


def mean_loss(weights: Weights, net: Net, samples: Samples) -> float:
    """Mean cross-entropy of samples, nats."""
    return float(_scores(weights, net, samples, (), None)[0].mean())


def _scores(
    weights: Weights, net: Net, samples: Samples, name: tuple[int | str, ...], prefix: FrozenPrefix | None
) -> tuple[np.ndarray, np.ndarray]:
    """Loss and share of hits of each sample, (n,)."""
    tensors = {key: torch.from_numpy(array) for key, array in weights.items()}
    found = []
    with torch.no_grad():
        for begin in range(0, samples.num_samples, _AT_ONCE):
            some = samples.taken(slice(begin, begin + _AT_ONCE))
            if prefix is None:
                stream, depth = embedded(tensors, net, torch.from_numpy(some.inputs)), 0
            else:
                stream, depth = prefix.stream((*name, begin), functools.partial(_same, some)), prefix.depth
            found.append(scores_from(tensors, net, stream, depth, some.targets))
    loss, correct = (torch.cat(arrays).numpy().astype(np.float64) for arrays in zip(*found, strict=True))
    return loss, correct


def _same(samples: Samples) -> Samples:
    return samples
