"""Slow nodes left out: which nodes take part, together with the code of those that do."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.gradient_coding.run_time.jncss import mean_iteration_s
from edgelearn_env.gradient_coding.run_time.cluster import Cluster
from edgelearn_env.gradient_coding.run_time.expectation import expected_iteration
from edgelearn_env.gradient_coding.run_time.schemes import HierarchicalScheme, JobSize, every_hierarchical_scheme
from edgelearn_env.gradient_coding.run_time.times import MeanTimes

# Codes to choose from, for n' edge nodes and m' devices under each.
CodesOf = Callable[[int, int], Sequence[HierarchicalScheme]]


class Team(NamedTuple):
    """Nodes that take part, and their code; the parts of all others are theirs.

    Attributes:
        edges: indices of edge nodes, (n',).
        devices: indices of devices under each of them, (n', m').
        code: of those that take part.
        iteration_s: how long an iteration takes by what they were chosen from, s.
    """

    edges: np.ndarray
    devices: np.ndarray
    code: HierarchicalScheme
    iteration_s: float


def uncoded(num_edges: int, devices_per_edge: int) -> list[HierarchicalScheme]:
    """No code, as codes to choose from."""
    return [HierarchicalScheme(0, 0)]


def jncss_team(means: MeanTimes) -> Team:
    """Those whose iteration is shortest if every node takes its mean; they are uncoded.

    Without chance a code is never worth more than leaving out those whom it would not wait for: the load is
    K / ((n - s_e) (m - s_w)) then, and K (s_e + 1) (s_w + 1) / (n m), which is no less, with the code.

    Args:
        means: true or estimated.
    """
    return _fastest_team(
        means, uncoded, lambda edges, devices, code: mean_iteration_s(means.kept(edges, devices), code)
    )


def fastest_team(cluster: Cluster, codes: CodesOf = every_hierarchical_scheme, num_points: int = 4096) -> Team:
    """Those of least E[T], of the teams that are fastest in the mean for their size and code.

    Args:
        cluster: with its laws.
        codes: to choose from.
        num_points: of the grid, see `expected_iteration`.
    """

    def expected_s(edges: np.ndarray, devices: np.ndarray, code: HierarchicalScheme) -> float:
        return expected_iteration(cluster.kept(edges, devices), code, num_points).mean_s

    return _fastest_team(MeanTimes.of(cluster), codes, expected_s)


def _fastest_team(
    means: MeanTimes, codes: CodesOf, iteration_s: Callable[[np.ndarray, np.ndarray, HierarchicalScheme], float]
) -> Team:
    teams = (Team(*members, iteration_s(*members)) for members in _members(means, codes))
    return min(teams, key=lambda team: team.iteration_s)


def _members(means: MeanTimes, codes: CodesOf) -> Iterator[tuple[np.ndarray, np.ndarray, HierarchicalScheme]]:
    """For every number of edge nodes, of devices under each, and every code of these: the nodes of least means."""
    for num_edges in range(1, means.num_edges + 1):
        for devices_per_edge in range(1, means.devices_per_edge + 1):
            for code in codes(num_edges, devices_per_edge):
                load_parts = code.load_parts(JobSize(means.num_parts, num_edges, devices_per_edge))
                yield *_least_means(means, load_parts, num_edges, devices_per_edge), code


def _least_means(
    means: MeanTimes, load_parts: float, num_edges: int, devices_per_edge: int
) -> tuple[np.ndarray, np.ndarray]:
    """Under each edge node the fastest devices; of the edge nodes those that are then done first."""
    times = means.at(load_parts)
    device_s, link_s = times.device_s[0], times.edge_link_s[0]
    devices = np.argsort(device_s, axis=1, kind="stable")[:, :devices_per_edge]
    slowest_s = np.take_along_axis(device_s, devices, axis=1)[:, -1]
    edges = np.argsort(slowest_s + link_s, kind="stable")[:num_edges]
    return edges, devices[edges]
