"""Which code makes an iteration shortest: by what nodes take in the mean, and by the whole law."""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from edgelearn_env.gradient_coding.run_time.cluster import Cluster
from edgelearn_env.gradient_coding.run_time.expectation import expected_iteration
from edgelearn_env.gradient_coding.run_time.schemes import HierarchicalScheme, Scheme, every_hierarchical_scheme
from edgelearn_env.gradient_coding.run_time.times import MeanTimes

AnyCode = TypeVar("AnyCode", bound=Scheme)


class Choice(NamedTuple):
    """A code, and how long an iteration takes with it by what it was chosen from, s."""

    code: Scheme
    iteration_s: float


def jncss(means: MeanTimes) -> Choice:
    """Joint node and coding scheme selection: the code whose iteration is shortest if every node takes its mean.

    For every (s_e, s_w): an edge node takes its link and its (m - s_w)-th fastest mean, the iteration the
    (n - s_e)-th fastest of these. Means hide what chance does: nodes that are alike never get a code.

    Args:
        means: true or estimated.
    """
    codes = every_hierarchical_scheme(means.num_edges, means.devices_per_edge)
    return _fastest((code, mean_iteration_s(means, code)) for code in codes)


def fastest_code(cluster: Cluster, codes: Iterable[Scheme] | None = None, num_points: int = 4096) -> Choice:
    """The code of least E[T].

    Args:
        cluster: with its laws.
        codes: to choose from; all hierarchical ones if left out.
        num_points: of the grid, see `expected_iteration`.
    """
    if codes is None:
        codes = every_hierarchical_scheme(cluster.num_edges, cluster.devices_per_edge)
    return _fastest(expected_iterations_s(cluster, codes, num_points).items())


def expected_iterations_s(cluster: Cluster, codes: Iterable[AnyCode], num_points: int = 4096) -> dict[AnyCode, float]:
    """E[T] of each code, s; arguments as of `fastest_code`."""
    return {code: expected_iteration(cluster, code, num_points).mean_s for code in codes}


def mean_iteration_s(means: MeanTimes, code: HierarchicalScheme) -> float:
    """When the server can decode if every node takes its mean, s."""
    return float(code.iteration_s(means.at(code.load_parts(means)))[0])


def _fastest(timed: Iterable[tuple[Scheme, float]]) -> Choice:
    """The first of the fastest: among equals the one that tolerates, and computes, least."""
    return min((Choice(code, iteration_s) for code, iteration_s in timed), key=lambda choice: choice.iteration_s)
