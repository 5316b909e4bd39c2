"""Distribution functions of what the nodes of a cluster take, on an even grid of times t = 0, h, 2 h, ..."""

import numpy as np
from scipy.signal import fftconvolve

from edgelearn_env.gradient_coding.run_time.cluster import DEVICE_FIELDS, Cluster
from edgelearn_env.gradient_coding.run_time.times import TRANSMISSIONS


def tries_probability(erasure: np.ndarray) -> np.ndarray:
    """P(N = 2 + k) = (k + 1) (1 - p)^2 p^k, N tries for a downlink and an uplink, (number of laws, tries).

    Tries that are less likely than rounding are left out, and what they have falls to the last one.

    Args:
        erasure: p, (number of laws,).
    """
    worst = float(np.max(erasure))
    num_tries = 1 if worst == 0 else 2 + int(1.2 * np.log(_ROUNDING) / np.log(worst))
    k = np.arange(num_tries)
    probability: np.ndarray = (k + 1) * (1 - erasure[:, None]) ** TRANSMISSIONS * erasure[:, None] ** k
    probability[:, -1] += 1 - probability.sum(axis=1)
    return probability


def device_done_probability(cluster: Cluster, load_parts: float, time_s: np.ndarray) -> np.ndarray:
    """P(c D + Exp(gamma / D) + N tau <= t), exact at every t, (n, m, T).

    Args:
        cluster: with its laws.
        load_parts: D, parts that each device computes.
        time_s: t, s, (T,).
    """
    fields = np.stack([getattr(cluster, name).ravel() for name in DEVICE_FIELDS], axis=1)
    # Devices are often alike: a law is evaluated once.
    laws, which = np.unique(fields, axis=0, return_inverse=True)
    done = _done_probability(laws, load_parts, time_s)
    return done[which.ravel()].reshape(cluster.num_edges, cluster.devices_per_edge, -1)


def _done_probability(laws: np.ndarray, load_parts: float, time_s: np.ndarray) -> np.ndarray:
    """sum_k P(N = k) (1 - e^{-r (t - c D - k tau)}) over the tries that fit into t, r = gamma / D; (laws, T).

    With S_j = P_j + e^{-r tau} S_{j-1} it is P(N <= j) - S_j e^{-r x}, x being the time since the latest try that fits.

    Args:
        laws: c, gamma, tau and p of each, (laws, 4).
        load_parts: D.
        time_s: t, s, (T,).
    """
    part_s, parts_per_s, try_s, erasure = laws.T
    rate, probability = parts_per_s / load_parts, tries_probability(erasure)
    decay, weighted = np.exp(-rate * try_s), probability.copy()
    for k in range(1, weighted.shape[1]):
        weighted[:, k] += decay * weighted[:, k - 1]
    late_s = time_s - (part_s * load_parts + TRANSMISSIONS * try_s)[:, None]
    index = np.clip(np.floor(late_s / try_s[:, None]), 0, probability.shape[1] - 1).astype(int)
    since_s = np.maximum(late_s - index * try_s[:, None], 0.0)
    at_most = np.take_along_axis(np.cumsum(probability, axis=1), index, axis=1)
    waiting = np.take_along_axis(weighted, index, axis=1)
    done = at_most - waiting * np.exp(-rate[:, None] * since_s)
    return np.where(late_s > 0, np.clip(done, 0.0, 1.0), 0.0)


class EdgeLinks:
    """The links of edge nodes to the server, on a grid; each takes N tau, at most h more or less than it should.

    A duration between two times of the grid is taken as one of them, by chance, so that its mean stays.
    """

    def __init__(self, cluster: Cluster, time_s: np.ndarray) -> None:
        """Args: the cluster, and the grid, t = 0, h, 2 h, ..., s, (T,)."""
        step_s, num_points = time_s[1], len(time_s)
        probability = tries_probability(cluster.edge_erasure)
        tries = TRANSMISSIONS + np.arange(probability.shape[1])
        place = tries * cluster.edge_try_s[:, None] / step_s
        # What lasts longer than the grid falls off its end.
        below = np.minimum(np.floor(place), num_points).astype(int)
        share = np.clip(place - below, 0.0, 1.0)
        self._probability = np.zeros((cluster.num_edges, num_points + 2))
        rows = np.arange(cluster.num_edges)[:, None]
        np.add.at(self._probability, (rows, below), probability * (1 - share))
        np.add.at(self._probability, (rows, below + 1), probability * share)

    def passed(self, probability: np.ndarray) -> np.ndarray:
        """P(x + link <= t) from P(x <= t), (..., n, T)."""
        num_points = probability.shape[-1]
        kernel = np.broadcast_to(self._probability[:, :num_points], probability.shape)
        passed: np.ndarray = fftconvolve(probability, kernel, axes=-1)[..., :num_points]
        # Beyond these limits lies rounding.
        return np.asarray(np.clip(passed, 0.0, 1.0))


_ROUNDING = 1e-18
