"""The expected run time of an iteration, from distribution functions on a grid, with what the grid may cost."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.run_time.cluster import Cluster
from edgelearn_env.gradient_coding.run_time.laws import EdgeLinks, device_done_probability
from edgelearn_env.gradient_coding.run_time.schemes import Scheme
from edgelearn_env.gradient_coding.run_time.times import TRANSMISSIONS


class ExpectedTime(NamedTuple):
    """E[T] of an iteration.

    Attributes:
        mean_s: as found on the grid, s.
        error_s: the true one is no farther from it than this, s.
    """

    mean_s: float
    error_s: float


def expected_iteration(cluster: Cluster, code: Scheme, num_points: int = 4096) -> ExpectedTime:
    """E[T] = integral of P(T > t) dt, by trapezoids on an even grid of times.

    P(T > t) follows from the devices' distribution functions, which are exact, by counting who is late. With h between
    two times, the error is at most 3/2 h, and what lies beyond the grid: durations of links are moved by less than h,
    which moves T by less than h, and P(T > t) falls from 1 to 0, which holds the trapezoids' error to h / 2. It is
    mostly a hundred times less.

    Args:
        cluster: with its laws.
        code: one that fits it.
        num_points: of the grid.

    Raises:
        InvalidInputError: the code does not fit the cluster, or the grid has no two points.
    """
    if num_points < 2:
        raise InvalidInputError(f"num_points must be at least 2, got {num_points}")
    load_parts = code.load_parts(cluster)
    end_s, beyond_s = _end_of_grid(cluster, code, load_parts)
    time_s = np.linspace(0.0, end_s, num_points)
    undone = _undone_probability(cluster, code, load_parts, time_s)
    return ExpectedTime(float(np.trapezoid(undone, time_s)), 1.5 * float(time_s[1]) + beyond_s)


def _undone_probability(cluster: Cluster, code: Scheme, load_parts: float, time_s: np.ndarray) -> np.ndarray:
    """P(T > t), (T,)."""
    device_done = device_done_probability(cluster, load_parts, time_s)
    return 1 - code.decodable_probability(device_done, EdgeLinks(cluster, time_s))


def _end_of_grid(cluster: Cluster, code: Scheme, load_parts: float) -> tuple[float, float]:
    """A time after which next to nothing of P(T > t) is left, and a bound on its integral from there on, s.

    It begins where even the slowest node is done, and is drawn in on coarse grids.
    """
    end_s, beyond_s = _end_of_all(cluster, load_parts)
    while True:
        time_s = np.linspace(0.0, end_s, _COARSE)
        undone = _undone_probability(cluster, code, load_parts, time_s)
        negligible = np.flatnonzero(undone < _NEGLIGIBLE)
        if not len(negligible) or negligible[0] > _COARSE // 2:
            return end_s, beyond_s
        # A step more, since links are moved by up to one; from there on each step is worth what is left at its start.
        beyond_s += float(np.sum(undone[negligible[0] :]) * time_s[1])
        end_s = float(time_s[negligible[0] + 1])


def _end_of_all(cluster: Cluster, load_parts: float) -> tuple[float, float]:
    """When all nodes are done, but for next to nothing, and a bound on the integral of P(T > t) from then on, s.

    For any q > 0, E[max(X - t, 0)] <= e^{-q t} E[e^{q X}] / (e q), X being what a device and its edge node's link take
    together; T is at most the largest X. q is half of what the slowest law bears.
    """
    rate, links = cluster.parts_per_s / load_parts, _links(cluster)
    q = 0.5 * min(float(np.min(each)) for each in (rate, *(-log_erasure / try_s for log_erasure, try_s in links)))
    of_device, of_edge = (_log_moment_of_link(log_erasure, try_s, q) for log_erasure, try_s in links)
    log_moment = q * cluster.part_s * load_parts - np.log1p(-q / rate) + of_device + of_edge[:, None]
    largest = float(np.max(log_moment))
    log_sum = largest + float(np.log(np.sum(np.exp(log_moment - largest))))
    return (log_sum - np.log(_NEGLIGIBLE)) / q, _NEGLIGIBLE / (np.e * q)


def _links(cluster: Cluster) -> list[tuple[np.ndarray, np.ndarray]]:
    """ln p and tau of all devices, and of all edge nodes."""
    with np.errstate(divide="ignore"):
        log_erasures = [np.log(cluster.device_erasure), np.log(cluster.edge_erasure)]
    return list(zip(log_erasures, [cluster.device_try_s, cluster.edge_try_s], strict=True))


def _log_moment_of_link(log_erasure: np.ndarray, try_s: np.ndarray, q: float) -> np.ndarray:
    """ln E[e^{q N tau}] = 2 ln((1 - p) e^{q tau} / (1 - p e^{q tau}))."""
    failing = np.log1p(-np.exp(log_erasure)) - np.log1p(-np.exp(log_erasure + q * try_s))
    return np.asarray(TRANSMISSIONS * (q * try_s + failing))


_COARSE = 512

# Chance of an iteration that ends after the grid.
_NEGLIGIBLE = 1e-9
