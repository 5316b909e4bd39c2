"""Delays that are injected into a real round, and how long the model says the round then lasts."""

import dataclasses
from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.gradient_coding.codes.hierarchical_code import HierarchicalCode
from edgelearn_env.gradient_coding.codes.layout import CodeLayout


class Predicted(NamedTuple):
    """What the model says of a round.

    Attributes:
        seconds: until the master can decode.
        answered: whether a device's message is among those that it decodes from, (K,).
    """

    seconds: float
    answered: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Delays:
    """How slow devices and links are in one round, whatever the code.

    Attributes:
        start_s: what a device takes before it computes, s, (K,).
        part_s: what it takes for each part beyond computing it, s, (K,).
        edge_s: what an edge node's message takes to the master, s, (n,).
    """

    start_s: np.ndarray
    part_s: np.ndarray
    edge_s: np.ndarray

    @classmethod
    def drawn(cls, layout: CodeLayout, seed: int) -> Self:
        """Start 20 ms, parts 10 ms, links 20 ms; a quarter of the devices, and of the links, is 20 times slower.

        Args:
            layout: groups of devices.
            seed: of who is slow, and of 20 % of noise in all of them.
        """
        rng = np.random.default_rng(seed)

        def seconds(usual_s: float, count: int, slowdown: float) -> np.ndarray:
            slow = np.where(rng.random(count) < _SLOW, slowdown, 1.0)
            return usual_s * slow * rng.uniform(0.8, 1.2, count)

        return cls(
            start_s=seconds(0.02, layout.num_devices, 1.0),
            part_s=seconds(0.01, layout.num_devices, _SLOWDOWN),
            edge_s=seconds(0.02, layout.num_edges, _SLOWDOWN),
        )

    @classmethod
    def none(cls, layout: CodeLayout) -> Self:
        """No delays."""
        devices, edges = np.zeros(layout.num_devices), np.zeros(layout.num_edges)
        return cls(start_s=devices, part_s=devices, edge_s=edges)

    def device_s(self, code: HierarchicalCode) -> np.ndarray:
        """d_k, the delay of each device that computes its parts of the code: start + parts x part, s, (K,)."""
        return np.asarray(self.start_s + np.count_nonzero(code.coefficients, axis=1) * self.part_s)

    def predicted(self, code: HierarchicalCode) -> Predicted:
        """The round by order statistics: edge i after A_i = (m_i - s_w)-th smallest d + its link, the master after the
        (n - s_e)-th smallest A.
        """
        layout, device_s = code.layout, self.device_s(code)
        answered, edges_s = np.zeros(layout.num_devices, dtype=bool), np.zeros(layout.num_edges)
        for edge, size in enumerate(layout.group_sizes):
            devices = np.array(code.devices_of(edge))
            first = devices[np.argsort(device_s[devices])[: size - layout.device_stragglers]]
            answered[first] = True
            edges_s[edge] = device_s[first[-1]] + self.edge_s[edge]
        in_time = np.argsort(edges_s)[: layout.num_edges - layout.edge_stragglers]
        answered &= np.repeat(np.isin(np.arange(layout.num_edges), in_time), layout.group_sizes)
        return Predicted(float(edges_s[in_time[-1]]), answered)


_SLOW = 0.25
_SLOWDOWN = 20.0
