"""The cluster whose run time is asked for: edge nodes, devices under each, how fast they compute and talk."""

import dataclasses
from typing import Any, Self

import numpy as np

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.quantities import Limits, Quantities, quantity

# One number for all nodes, or one for each; an array once it is checked.
PerNode = Array


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cluster(Quantities):
    """n edge nodes with m devices each, which share K parts of the data; every node has a law of its own.

    A device with a load of D parts takes c D + Exp(rate gamma / D) + N tau seconds, N being the tries of its downlink
    and of its uplink, each geometric from 1 with success 1 - p. An edge node's link to the server takes N tau likewise,
    with its own tau and p.

    A number given for an array stands for all; all arrays are read-only, (n, m) for devices and (n,) for edge nodes.

    Raises:
        InvalidInputError: a value is out of its limits, or an array has another shape.
    """

    num_edges: int = quantity("edge nodes", "n", at_least=1, integer=True)
    devices_per_edge: int = quantity("devices under each edge node", "m", at_least=1, integer=True)
    num_parts: float = quantity("parts of the data", "K", "part", above=0)
    part_s: PerNode = quantity("time that a part takes at least", "c", "s/part", at_least=0, per_device=True)
    parts_per_s: PerNode = quantity(
        "parts over the mean time on top of that", "gamma", "part/s", above=0, per_device=True
    )
    device_try_s: PerNode = quantity("a try of a device's link", "tau", "s", above=0, per_device=True)
    device_erasure: PerNode = quantity("chance that such a try fails", "p", at_least=0, below=1, per_device=True)
    edge_try_s: PerNode = quantity("a try of an edge node's link", "tau_e", "s", above=0, per_device=True)
    edge_erasure: PerNode = quantity("chance that such a try fails", "p_e", at_least=0, below=1, per_device=True)

    def __post_init__(self) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        for field in dataclasses.fields(self):
            name, limits = field.name, field.metadata["limits"]
            object.__setattr__(self, name, _checked(self.name_of(name), getattr(self, name), limits, shapes.get(name)))
            if name == "devices_per_edge":
                groups = (self.num_edges, self.devices_per_edge)
                shapes = dict.fromkeys(DEVICE_FIELDS, groups) | dict.fromkeys(EDGE_FIELDS, groups[:1])

    def with_slow_nodes(self, devices: int, edges: int, factor: float) -> Self:
        """The cluster in which some nodes, the first ones, are slow.

        Slow devices compute that many times as long, in every part of their law (c and 1 / gamma); their links stay.
        Slow edge nodes take that many times as long for a try.

        Args:
            devices: slow ones under each edge node, at most m.
            edges: edge nodes with a slow link, at most n.
            factor: above 0.
        """
        if not factor > 0:
            raise InvalidInputError(f"factor must be above 0, got {factor:g}")
        slower_device = _first_ones("devices", devices, self.devices_per_edge, factor)
        slower_edge = _first_ones("edges", edges, self.num_edges, factor)
        return dataclasses.replace(
            self,
            part_s=self.part_s * slower_device,
            parts_per_s=self.parts_per_s / slower_device,
            edge_try_s=self.edge_try_s * slower_edge,
        )

    def kept(self, edges: np.ndarray, devices: np.ndarray) -> Self:
        """The cluster of those nodes alone, for the same parts.

        Args:
            edges: indices of edge nodes, (n',).
            devices: indices of devices under each of them, (n', m').
        """
        of_devices = {name: getattr(self, name)[edges[:, None], devices] for name in DEVICE_FIELDS}
        of_edges = {name: getattr(self, name)[edges] for name in EDGE_FIELDS}
        num_edges, devices_per_edge = devices.shape
        return dataclasses.replace(
            self, num_edges=num_edges, devices_per_edge=devices_per_edge, **of_devices, **of_edges
        )


DEVICE_FIELDS = ("part_s", "parts_per_s", "device_try_s", "device_erasure")
EDGE_FIELDS = ("edge_try_s", "edge_erasure")


def _first_ones(field: str, count: int, among: int, factor: float) -> np.ndarray:
    """`factor` for the first ones, 1 for the others, (among,)."""
    if not 0 <= count <= among:
        raise InvalidInputError(f"{field} must be from 0 to {among}, got {count}")
    return np.where(np.arange(among) < count, factor, 1.0)


def _checked(name: str, value: Any, limits: Limits, shape: tuple[int, ...] | None) -> Any:
    """`value` once it obeys `limits`: a read-only array of that shape, or a float or an int without one."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name} must be a number, got {value!r}") from None
    if array.ndim and array.shape != shape:
        kind = "a number" if shape is None else f"a number or an array of shape {shape}"
        raise InvalidInputError(f"{name} must be {kind}, got an array of shape {array.shape}")
    complaint = limits.complaint(array)
    if complaint is not None:
        offender = next(number for number in array.reshape(-1, 1) if limits.complaint(number) is not None)
        raise InvalidInputError(f"{name} must be {complaint}, got {offender[0]:g}")
    if shape is None:
        return int(array) if limits.integer else float(array)
    array = np.array(np.broadcast_to(array, shape))
    array.flags.writeable = False
    return array
