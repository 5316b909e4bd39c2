"""Blocks that nobody trains, computed once: what comes out of them is kept for all rounds, schemes and step sizes."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from edgelearn_env.federated.networks import Net, Tensors, Weights, after_blocks, embedded
from edgelearn_env.federated.samples import Samples

# What names a mini-batch or a test set: the same name, the same samples.
Key = tuple[int | str, ...]


class FrozenStreams:
    """The embedding and the first blocks of a net with fixed weights, and the streams that have come out of them.

    Streams are kept by the name of the samples and by how many blocks they went through, and each goes on from the
    deepest one that is there. A stream depends on nothing but the weights and its own samples.
    """

    def __init__(self, weights: Weights, net: Net) -> None:
        self._weights: Tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        self._net = net
        self._streams: dict[Key, dict[int, Tensor]] = {}

    def stream(self, key: Key, samples: Callable[[], Samples], depth: int) -> Tensor:
        """The stream of these samples after so many blocks, (B, S, d).

        Args:
            key: names the samples.
            samples: makes them; asked only if no stream of theirs is there.
            depth: blocks to go through.
        """
        with torch.no_grad():
            if depth == 0:
                return self._embedded(samples())
            kept = self._streams.setdefault(key, {})
            if depth not in kept:
                below = max((known for known in kept if known < depth), default=0)
                start = kept[below] if below else self._embedded(samples())
                kept[depth] = after_blocks(self._weights, self._net, start, below, depth)
            return kept[depth]

    def _embedded(self, samples: Samples) -> Tensor:
        return embedded(self._weights, self._net, torch.from_numpy(samples.inputs))


class FrozenPrefix(NamedTuple):
    """What of a net stays as it is during a whole run.

    Attributes:
        streams: of the weights that the run begins with.
        depth: how many first blocks nobody trains in any round.
    """

    streams: FrozenStreams
    depth: int

    def stream(self, key: Key, samples: Callable[[], Samples]) -> Tensor:
        """The stream of these samples after those blocks."""
        return self.streams.stream(key, samples, self.depth)
