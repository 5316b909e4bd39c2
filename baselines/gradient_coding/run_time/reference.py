"""Run times of three reference clusters, which tables and tests go by."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edgelearn_env.baselines.gradient_coding.run_time.jncss import fastest_code
from edgelearn_env.baselines.gradient_coding.run_time.slow_nodes import fastest_team, uncoded
from edgelearn_env.baselines.gradient_coding.run_time.study import cluster_of_equals, slowed_cluster
from edgelearn_env.gradient_coding.run_time.cluster import Cluster
from edgelearn_env.gradient_coding.run_time.expectation import expected_iteration
from edgelearn_env.gradient_coding.run_time.schemes import FlatScheme, HierarchicalScheme, Scheme


class ReferenceRow(NamedTuple):
    """A scheme in a reference cluster: E[T], a bound on its error, s, and how many times as fast as uncoded."""

    cluster: str
    scheme: str
    code: str
    iteration_s: float
    error_s: float
    speed_up: float


def reference_rows() -> list[ReferenceRow]:
    """Codes of 5 x 5 devices that are alike; schemes of 5 x 5 and of 10 x 10 devices of which some are slow."""
    alike = [("fixed", HierarchicalScheme(*late)) for late in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (4, 4))]
    large = cluster_of_equals(10, 10, 100.0).with_slow_nodes(2, 2, 10.0)
    return [
        *_rows("5 x 5, alike", cluster_of_equals(), alike),
        *_rows_of_slowed("5 x 5, slow 1 x 10", slowed_cluster(), HierarchicalScheme(1, 1)),
        *_rows_of_slowed("10 x 10, slow 2 x 10", large, HierarchicalScheme(2, 2)),
    ]


def _rows_of_slowed(name: str, cluster: Cluster, enough: HierarchicalScheme) -> Iterator[ReferenceRow]:
    """Schemes of a cluster whose slow nodes `enough` tolerates, as does a flat code for as many devices."""
    devices = cluster.devices_per_edge
    late = enough.late_edges * devices + (cluster.num_edges - enough.late_edges) * enough.late_devices
    schemes: list[tuple[str, Scheme]] = [
        ("uncoded", HierarchicalScheme(0, 0)),
        ("for all slow nodes", FlatScheme(late)),
        ("for all slow nodes", enough),
        ("best", fastest_code(cluster, num_points=1024).code),
    ]
    yield from _rows(name, cluster, schemes)
    team = fastest_team(cluster, uncoded, num_points=1024)
    kept = cluster.kept(team.edges, team.devices)
    size = f"{kept.num_edges} x {kept.devices_per_edge}"
    for row in _rows(name, kept, [(f"fastest {size} alone", team.code)]):
        yield row._replace(speed_up=expected_iteration(cluster, HierarchicalScheme(0, 0)).mean_s / row.iteration_s)


def _rows(name: str, cluster: Cluster, schemes: Sequence[tuple[str, Scheme]]) -> Iterator[ReferenceRow]:
    uncoded_s = expected_iteration(cluster, HierarchicalScheme(0, 0)).mean_s
    for scheme, code in schemes:
        found = expected_iteration(cluster, code)
        yield ReferenceRow(name, scheme, code.in_words, found.mean_s, found.error_s, uncoded_s / found.mean_s)
