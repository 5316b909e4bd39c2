"""Clusters whose nodes are all different, and one of a few numbers, for the tests of run times."""

import numpy as np

from edgelearn_env.gradient_coding.run_time.cluster import Cluster


def random_cluster(rng: np.random.Generator, num_edges: int, devices_per_edge: int) -> Cluster:
    """Every node with numbers of its own."""
    devices, edges = (num_edges, devices_per_edge), (num_edges,)
    return Cluster(
        num_edges=num_edges,
        devices_per_edge=devices_per_edge,
        num_parts=float(rng.integers(1, 60)),
        part_s=rng.uniform(0.0, 0.1, devices),
        parts_per_s=10 ** rng.uniform(0, 2, devices),
        device_try_s=10 ** rng.uniform(-2, 0, devices),
        device_erasure=rng.uniform(0.0, 0.6, devices),
        edge_try_s=10 ** rng.uniform(-2, 0, edges),
        edge_erasure=rng.uniform(0.0, 0.6, edges),
    )


def even_cluster(num_edges: int = 2, devices_per_edge: int = 3, **changes: object) -> Cluster:
    """All nodes alike."""
    fields = {"num_parts": 6.0, "part_s": 0.01, "parts_per_s": 100.0, "device_try_s": 0.05, "device_erasure": 0.1}
    fields |= {"edge_try_s": 0.1, "edge_erasure": 0.1} | changes
    return Cluster(num_edges=num_edges, devices_per_edge=devices_per_edge, **fields)
