"""How long the nodes of a cluster take, itemised: random draws, and means."""

from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.gradient_coding.run_time.cluster import Cluster


class Times(NamedTuple):
    """What each node takes in B iterations.

    Attributes:
        compute_s: of each device, for its load, s, (B, n, m).
        device_link_s: of each device's downlink and uplink together, s, (B, n, m).
        edge_link_s: of each edge node's downlink and uplink together, s, (B, n).
    """

    compute_s: np.ndarray
    device_link_s: np.ndarray
    edge_link_s: np.ndarray

    @property
    def device_s(self) -> np.ndarray:
        """Until the edge node has what a device sends, s, (B, n, m)."""
        device_s: np.ndarray = self.compute_s + self.device_link_s
        return device_s


def sampled_times(cluster: Cluster, load_parts: float, num_draws: int, rng: np.random.Generator) -> Times:
    """Independent draws of what all nodes take.

    Args:
        cluster: with its laws.
        load_parts: D, parts that each device computes.
        num_draws: B.
        rng: numbers come from here.
    """
    groups = (num_draws, cluster.num_edges, cluster.devices_per_edge)
    tail_s = rng.exponential(load_parts / cluster.parts_per_s, groups)
    device_tries = rng.geometric(1 - cluster.device_erasure, (TRANSMISSIONS, *groups)).sum(axis=0)
    edge_tries = rng.geometric(1 - cluster.edge_erasure, (TRANSMISSIONS, *groups[:2])).sum(axis=0)
    return Times(
        compute_s=cluster.part_s * load_parts + tail_s,
        device_link_s=device_tries * cluster.device_try_s,
        edge_link_s=edge_tries * cluster.edge_try_s,
    )


class MeanTimes(NamedTuple):
    """What each node takes in the mean, and the parts that are shared.

    Attributes:
        num_parts: K.
        part_s: of each device, for a part, s, (n, m).
        device_link_s: of each device's links together, s, (n, m).
        edge_link_s: of each edge node's links together, s, (n,).
    """

    num_parts: float
    part_s: np.ndarray
    device_link_s: np.ndarray
    edge_link_s: np.ndarray

    @property
    def num_edges(self) -> int:
        """n."""
        return len(self.part_s)

    @property
    def devices_per_edge(self) -> int:
        """m."""
        return len(self.part_s[0])

    @classmethod
    def of(cls, cluster: Cluster) -> Self:
        """The true means: c + 1 / gamma a part, 2 tau / (1 - p) a link there and back."""
        return cls(
            num_parts=cluster.num_parts,
            part_s=cluster.part_s + 1 / cluster.parts_per_s,
            device_link_s=TRANSMISSIONS * cluster.device_try_s / (1 - cluster.device_erasure),
            edge_link_s=TRANSMISSIONS * cluster.edge_try_s / (1 - cluster.edge_erasure),
        )

    def at(self, load_parts: float) -> Times:
        """An iteration in which every node takes its mean, B = 1."""
        return Times(self.part_s[None] * load_parts, self.device_link_s[None], self.edge_link_s[None])

    def kept(self, edges: np.ndarray, devices: np.ndarray) -> Self:
        """Means of those nodes alone, for the same parts; arguments as of `Cluster.kept`."""
        return self._replace(
            part_s=self.part_s[edges[:, None], devices],
            device_link_s=self.device_link_s[edges[:, None], devices],
            edge_link_s=self.edge_link_s[edges],
        )


# Over each link the model comes down and a gradient goes up.
TRANSMISSIONS = 2
