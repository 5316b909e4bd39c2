"""Parts of a net: what a device holds in part only, and what it trains."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from edgelearn_env.federated.networks import Weights, unit_of

# Places kept along each axis of an array.
Index = tuple[np.ndarray, ...]


class Part(NamedTuple):
    """What of a net a device is given to train.

    Attributes:
        trained: names of arrays; all others it holds stay as they are.
        narrowed: of arrays that it holds in part only, what it holds.
    """

    trained: tuple[str, ...]
    narrowed: Mapping[str, Index]


def part_of_units(weights: Weights, units: frozenset[str]) -> Part:
    """The whole net is held, and all arrays of some units are trained."""
    return Part(tuple(sorted(name for name in weights if unit_of(name) in units)), {})


def held(weights: Weights, part: Part) -> dict[str, np.ndarray]:
    """The arrays that the device is given."""
    return {
        name: array[np.ix_(*part.narrowed[name])] if name in part.narrowed else array for name, array in weights.items()
    }


def first_trained_block(part: Part, depth: int) -> int:
    """The number of the first block with a trained or narrowed array; the depth if none has, 0 if the embedding does.

    What comes before it is the same for all rounds as long as nobody trains it.
    """
    touched = {unit_of(name) for name in (*part.trained, *part.narrowed)}
    if "embedding" in touched:
        return 0
    return next((index for index in range(depth) if f"block{index}" in touched), depth)
