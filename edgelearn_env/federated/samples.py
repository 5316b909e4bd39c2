"""Samples to train and test on: of the server, and of each device, split into training, validation and test."""

import dataclasses
from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.errors import InvalidInputError


class Samples(NamedTuple):
    """Inputs and what is to be predicted of them.

    Attributes:
        inputs: letters (n, S) or patches (n, S, patch).
        targets: next letters (n, S) or classes (n,).
    """

    inputs: np.ndarray
    targets: np.ndarray

    def taken(self, places: np.ndarray | slice) -> "Samples":
        """Some of them."""
        return Samples(self.inputs[places], self.targets[places])

    @property
    def num_samples(self) -> int:
        """n."""
        return len(self.inputs)


class DeviceSamples(NamedTuple):
    """A device's own samples.

    Attributes:
        name: of the device.
        train, validation, test: disjoint; learning rates are chosen on the second, results reported on the third.
    """

    name: str
    train: Samples
    validation: Samples
    test: Samples

    @classmethod
    def split(cls, name: str, samples: Samples) -> Self:
        """In their order: the last tenth for tests, the tenth before it for validation.

        Raises:
            InvalidInputError: fewer than three samples.
        """
        count, tenth = samples.num_samples, max(1, samples.num_samples // 10)
        if count < 3:
            raise InvalidInputError(f"device {name!r} must have at least 3 samples, got {count}")
        ends = (count - 2 * tenth, count - tenth)
        parts = (slice(0, ends[0]), slice(*ends), slice(ends[1], count))
        return cls(name, *map(samples.taken, parts))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FederatedSamples:
    """What a server and K devices learn from.

    Attributes:
        name: of the data, for titles.
        general: the server's samples.
        devices: each with its own.
        general_test: of the kind that the server has, but held back.
    """

    name: str
    general: Samples
    devices: tuple[DeviceSamples, ...]
    general_test: Samples

    @property
    def num_devices(self) -> int:
        """K."""
        return len(self.devices)

    def chosen(self, devices: np.ndarray | list[int], most: int | None = None) -> "FederatedSamples":
        """The same with some of the devices, each with at most so many training samples, evenly spread over its own."""

        def few(samples: Samples) -> Samples:
            count = samples.num_samples if most is None else min(most, samples.num_samples)
            return samples.taken(np.linspace(0, samples.num_samples - 1, count).astype(int))

        kept = [self.devices[k] for k in devices]
        return dataclasses.replace(self, devices=tuple(each._replace(train=few(each.train)) for each in kept))

    def evenly(self, num_devices: int, most: int | None = None) -> "FederatedSamples":
        """The same with so many devices, evenly spread over those that there are; `most` as for `chosen`.

        Raises:
            InvalidInputError: there are fewer.
        """
        if self.num_devices < num_devices:
            raise InvalidInputError(f"data must be of at least {num_devices} devices, got {self.num_devices}")
        return self.chosen(np.linspace(0, self.num_devices - 1, num_devices).astype(int), most)


def drawn(samples: Samples, count: int, *key: int) -> Samples:
    """`count` samples, drawn with replacement by a key: the same ones wherever and whenever that is asked.

    Args:
        samples: to draw from.
        count: how many.
        key: seed, round, device, step, ...: whole numbers from 0 on.
    """
    return samples.taken(np.random.default_rng(key).integers(0, samples.num_samples, count))
