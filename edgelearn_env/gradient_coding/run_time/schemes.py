"""Gradient codes as far as time is concerned: what a device computes, whom the server waits for."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.run_time.counting import at_most_probability, count_probabilities
from edgelearn_env.gradient_coding.run_time.laws import EdgeLinks
from edgelearn_env.gradient_coding.run_time.times import Times


@runtime_checkable
class Job(Protocol):
    """What a code is made for: a `Cluster`, the `MeanTimes` of one, or a `JobSize` alone."""

    @property
    def num_parts(self) -> float:
        """K."""

    @property
    def num_edges(self) -> int:
        """n."""

    @property
    def devices_per_edge(self) -> int:
        """m."""


class JobSize(NamedTuple):
    """K parts for n edge nodes with m devices each."""

    num_parts: float
    num_edges: int
    devices_per_edge: int


@runtime_checkable
class Scheme(Protocol):
    """What the run time of an iteration needs to know of a code."""

    @property
    def in_words(self) -> str:
        """The code as a table names it."""

    def load_parts(self, job: Job) -> float:
        """D, parts that each device computes.

        Raises:
            InvalidInputError: the code does not fit the job.
        """

    def iteration_s(self, times: Times) -> np.ndarray:
        """When the server can decode, from what each node takes, s, (B,)."""

    def decodable_probability(self, device_done: np.ndarray, links: EdgeLinks) -> np.ndarray:
        """P(the server can decode by t), (T,), from P(a device is done by t), (n, m, T), and the edge nodes' links."""


class HierarchicalScheme(NamedTuple):
    """A code that tolerates s_e edge nodes that are late, and s_w late devices under each of the others.

    D = K (s_e + 1) (s_w + 1) / (n m). An edge node is done a link after its (m - s_w)-th fastest device, the iteration
    with the (n - s_e)-th fastest edge node. (0, 0) is uncoded, (0, s_w) conventional coding at the devices, (s_e, 0) at
    the edge nodes.

    Attributes:
        late_edges: s_e, from 0 to n - 1.
        late_devices: s_w, from 0 to m - 1.
    """

    late_edges: int
    late_devices: int

    @property
    def in_words(self) -> str:
        """The code as a table names it."""
        return f"({self.late_edges}, {self.late_devices})"

    def load_parts(self, job: Job) -> float:
        """D = K (s_e + 1) (s_w + 1) / (n m)."""
        _require_fewer("late_edges", self.late_edges, job.num_edges)
        _require_fewer("late_devices", self.late_devices, job.devices_per_edge)
        return _load_parts(job, (self.late_edges + 1) * (self.late_devices + 1))

    def iteration_s(self, times: Times) -> np.ndarray:
        """The (n - s_e)-th fastest edge node, s, (B,)."""
        edge_s = _last_but(times.device_s, self.late_devices) + times.edge_link_s
        return _last_but(edge_s, self.late_edges)

    def decodable_probability(self, device_done: np.ndarray, links: EdgeLinks) -> np.ndarray:
        """P(at most s_e edge nodes are late by t), each ready for its link once at most s_w devices are late, (T,)."""
        ready = at_most_probability(1 - np.moveaxis(device_done, 1, 0), self.late_devices)
        return at_most_probability(1 - links.passed(ready), self.late_edges)


class FlatScheme(NamedTuple):
    """A code over all devices alike, which tolerates any s of them; edge nodes hand on what comes, as it comes.

    D = K (s + 1) / (n m). What comes through an edge node is a link later than its device was; all of its devices share
    that link's delay.

    Attributes:
        late_devices: s, from 0 to n m - 1.
    """

    late_devices: int

    @property
    def in_words(self) -> str:
        """The code as a table names it."""
        return f"flat, s = {self.late_devices}"

    def load_parts(self, job: Job) -> float:
        """D = K (s + 1) / (n m)."""
        _require_fewer("late_devices", self.late_devices, job.num_edges * job.devices_per_edge)
        return _load_parts(job, self.late_devices + 1)

    def iteration_s(self, times: Times) -> np.ndarray:
        """The (n m - s)-th fastest device, links included, s, (B,)."""
        arrival_s = times.device_s + times.edge_link_s[..., None]
        return _last_but(arrival_s.reshape(len(arrival_s), -1), self.late_devices)

    def decodable_probability(self, device_done: np.ndarray, links: EdgeLinks) -> np.ndarray:
        """P(at most s devices are late by t): the late ones counted under each edge node, then added up, (T,)."""
        num_devices = device_done.shape[1]
        done = count_probabilities(np.moveaxis(device_done, 1, 0), num_devices)
        arrived = links.passed(done[1:])
        # By the number that is late: those under one edge node arrive together with its link, or not at all.
        late = np.concatenate([arrived[::-1], 1 - arrived.sum(axis=0, keepdims=True)])
        total = np.zeros((self.late_devices + 1, device_done.shape[-1]))
        total[0] = 1.0
        for edge in range(late.shape[1]):
            total = _count_of_both(total, late[:, edge])
        return np.asarray(total.sum(axis=0))


def every_hierarchical_scheme(num_edges: int, devices_per_edge: int) -> list[HierarchicalScheme]:
    """All (s_e, s_w), s_e slowest."""
    return [HierarchicalScheme(edges, devices) for edges in range(num_edges) for devices in range(devices_per_edge)]


def _load_parts(job: Job, copies: int) -> float:
    """Parts a device, when each part is computed so many times and all devices compute equally many."""
    return job.num_parts * copies / (job.num_edges * job.devices_per_edge)


def _require_fewer(field: str, count: int, limit: int) -> None:
    if not 0 <= count < limit:
        raise InvalidInputError(f"{field} must be from 0 to {limit - 1}, got {count}")


def _last_but(times_s: np.ndarray, late: int) -> np.ndarray:
    """The slowest along the last axis when so many are not waited for."""
    place = times_s.shape[-1] - 1 - late
    return np.asarray(np.partition(times_s, place, axis=-1)[..., place])


def _count_of_both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Law of the sum of two independent counts, (counts, T), of as many counts as `first` has."""
    both = np.zeros_like(first)
    for count, probability in enumerate(second[: len(first)]):
        both[count:] += probability * first[: len(first) - count]
    return both
