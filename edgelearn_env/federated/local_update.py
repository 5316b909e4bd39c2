"""A device's work in a round: local steps of SGD on the part of the net that it is to train. Pure."""

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edgelearn_env.federated.frozen_prefix import FrozenPrefix
from edgelearn_env.federated.networks import Net, Scores, Tensors, Weights, after_blocks, embedded, head_scores
from edgelearn_env.federated.parts import Index, Part, held
from edgelearn_env.federated.samples import Samples, drawn


class Order(NamedTuple):
    """What a device is told.

    Attributes:
        net: shape of the net.
        part: what it holds and trains.
        round_index: n, of the schedule.
        site: whose samples: 0 the server, 1 + k device k.
        batch: samples of a step.
        steps: local steps.
        step_size: eta of each.
        seed: of the draws of samples.
        weight: omega_k, for the aggregation.
    """

    net: Net
    part: Part
    round_index: int
    site: int
    batch: int
    steps: int
    step_size: float
    seed: int
    weight: float


class Update(NamedTuple):
    """What a device sends back.

    Attributes:
        site: whose.
        weight: omega_k.
        arrays: what it has trained, by name.
        narrowed: of arrays that it held in part only, which part.
        loss: mean over its steps, each before the step, nats.
        cpu_s: of its process, s; measured, so never the same twice.
    """

    site: int
    weight: float
    arrays: Mapping[str, np.ndarray]
    narrowed: Mapping[str, Index]
    loss: float
    cpu_s: float

    @property
    def num_bytes(self) -> int:
        """Of its arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def local_update(weights: Weights, order: Order, samples: Samples, prefix: FrozenPrefix | None = None) -> Update:
    """Train a part of a net: w <- w - eta grad of the mean loss of a mini-batch, so many times.

    Which samples a step draws is a function of seed, round, site and step alone, whatever the part.

    Args:
        weights: of the whole net.
        order: what to do.
        samples: of the site.
        prefix: of blocks that nobody trains, a shortcut.
    """
    begun_s = time.process_time()
    mine = held(weights, order.part)
    # What is trained is copied, since torch would write into the caller's arrays.
    tensors = {
        name: torch.from_numpy(array.copy() if name in order.part.trained else array) for name, array in mine.items()
    }
    losses = []
    for step in range(order.steps):
        trained = {name: tensors[name].requires_grad_() for name in order.part.trained}
        loss = _batch_scores(tensors, order, step, samples, prefix).loss.mean()
        gradients = torch.autograd.grad(loss, list(trained.values()))
        with torch.no_grad():
            tensors |= {
                name: array - order.step_size * gradient
                for (name, array), gradient in zip(trained.items(), gradients, strict=True)
            }
        losses.append(loss.item())
    narrowed = {name: order.part.narrowed[name] for name in order.part.trained if name in order.part.narrowed}
    arrays = {name: tensors[name].detach().numpy() for name in order.part.trained}
    return Update(order.site, order.weight, arrays, narrowed, float(np.mean(losses)), time.process_time() - begun_s)


def scores_from(weights: Tensors, net: Net, stream: Tensor, first: int, targets: np.ndarray) -> Scores:
    """What the rest of a net makes of the stream before block `first`."""
    last = after_blocks(weights, net, stream, first, net.depth)
    return head_scores(weights, net, last, torch.from_numpy(targets))


def _batch_scores(tensors: Tensors, order: Order, step: int, samples: Samples, prefix: FrozenPrefix | None) -> Scores:
    key = (order.seed, order.round_index, order.site, step)
    batch = drawn(samples, order.batch, *key)
    if prefix is None:
        stream, first = embedded(tensors, order.net, torch.from_numpy(batch.inputs)), 0
    else:
        stream, first = prefix.stream((*key, order.batch), lambda: batch), prefix.depth
    return scores_from(tensors, order.net, stream, first, batch.targets)
