"""What codes are worth as one number of a cluster changes: every scheme at its best, by E[T].

The cluster is our own, made after arXiv:2406.10831; the parameters of the experiments there are not known to us.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.gradient_coding.run_time.jncss import Choice, expected_iterations_s, jncss
from edgelearn_env.baselines.gradient_coding.run_time.slow_nodes import fastest_team, uncoded
from edgelearn_env.gradient_coding.run_time.cluster import Cluster
from edgelearn_env.gradient_coding.run_time.schemes import (
    FlatScheme,
    HierarchicalScheme,
    Scheme,
    every_hierarchical_scheme,
)
from edgelearn_env.gradient_coding.run_time.times import MeanTimes

# The headline of arXiv:2406.10831: up to so many times as fast as uncoded.
HEADLINE_SPEED_UP = 4.37

UNCODED = "uncoded"
BEST = "hierarchical, best (s_e, s_w)"
LEFT_OUT = "uncoded, slow nodes left out"

# The codes that each scheme chooses from; the one of least E[T] counts.
CODES: Mapping[str, Callable[[Cluster], list[Scheme]]] = {
    BEST: lambda cluster: [*every_hierarchical_scheme(cluster.num_edges, cluster.devices_per_edge)],
    UNCODED: lambda cluster: [HierarchicalScheme(0, 0)],
    "at the devices, best (0, s_w)": lambda cluster: [
        HierarchicalScheme(0, late) for late in range(cluster.devices_per_edge)
    ],
    "at the edge nodes, best (s_e, 0)": lambda cluster: [
        HierarchicalScheme(late, 0) for late in range(cluster.num_edges)
    ],
    "flat, best s": lambda cluster: [FlatScheme(late) for late in range(cluster.num_edges * cluster.devices_per_edge)],
    "hierarchical, JNCSS from means": lambda cluster: [jncss(MeanTimes.of(cluster)).code],
}
SCHEMES = (*CODES, LEFT_OUT)


class Sweep(NamedTuple):
    """One number of the cluster, and the values that it takes.

    Attributes:
        label: its name, for an axis.
        values: in ascending order.
        changed: the cluster with one of them.
    """

    label: str
    values: tuple[float, ...]
    changed: Callable[[float], Cluster]


class StudyPoint(NamedTuple):
    """A scheme at one value of a sweep: its code, and E[T], s."""

    sweep: str
    value: float
    scheme: str
    code: str
    iteration_s: float


def cluster_of_equals(num_edges: int = 5, devices_per_edge: int = 5, num_parts: float = 50.0) -> Cluster:
    """Nodes that are all alike: c = 10 ms and gamma = 0.1 / ms a part, tries of 50 ms and 100 ms, p = 0.1."""
    return Cluster(
        num_edges=num_edges,
        devices_per_edge=devices_per_edge,
        num_parts=num_parts,
        part_s=0.01,
        parts_per_s=100.0,
        device_try_s=0.05,
        device_erasure=0.1,
        edge_try_s=0.1,
        edge_erasure=0.1,
    )


def slowed_cluster(factor: float = 10.0, num_edges: int = 5) -> Cluster:
    """One slow device under each edge node, and one slow edge node."""
    return cluster_of_equals(num_edges=num_edges).with_slow_nodes(1, 1, factor)


SWEEPS: Mapping[str, Sweep] = {
    "slow-down": Sweep(
        "slow nodes take so many times as long", (1, 1.5, 2, 3, 5, 10, 20, 30), lambda value: slowed_cluster(value)
    ),
    "erasure": Sweep(
        "chance p that a try fails",
        (0, 0.05, 0.1, 0.2, 0.3, 0.4),
        lambda value: dataclasses.replace(slowed_cluster(), device_erasure=value, edge_erasure=value),
    ),
    "edges": Sweep("edge nodes n", (2, 3, 4, 5, 6, 8, 10), lambda value: slowed_cluster(num_edges=int(value))),
}


def study_points(sweep: str, value: float, num_points: int = 1024) -> list[StudyPoint]:
    """Every scheme at one value of a sweep.

    Args:
        sweep: one of SWEEPS.
        value: of it.
        num_points: of the grid, see `expected_iteration`.
    """
    found = schemes_at_their_best(SWEEPS[sweep].changed(value), num_points)
    return [StudyPoint(sweep, value, name, choice.code.in_words, choice.iteration_s) for name, choice in found.items()]


def schemes_at_their_best(cluster: Cluster, num_points: int = 1024) -> dict[str, Choice]:
    """Of every scheme the code of least E[T]; each code is evaluated once."""
    codes = {name: of(cluster) for name, of in CODES.items()}
    expected_s = expected_iterations_s(cluster, dict.fromkeys(itertools.chain(*codes.values())), num_points)
    fastest = {name: min(choices, key=lambda code: expected_s[code]) for name, choices in codes.items()}
    team = fastest_team(cluster, uncoded, num_points)
    return {name: Choice(code, expected_s[code]) for name, code in fastest.items()} | {
        LEFT_OUT: Choice(team.code, team.iteration_s)
    }


def speed_ups_of_every_code(cluster: Cluster, num_points: int = 1024) -> np.ndarray:
    """E[T] of no code over that of each (s_e, s_w), (n, m)."""
    codes = every_hierarchical_scheme(cluster.num_edges, cluster.devices_per_edge)
    expected_s = np.array([*expected_iterations_s(cluster, codes, num_points).values()])
    speed_ups: np.ndarray = expected_s[0] / expected_s
    return speed_ups.reshape(cluster.num_edges, cluster.devices_per_edge)
