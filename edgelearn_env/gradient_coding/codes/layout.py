"""Groups of devices under edge nodes, how many of them may be late, and what that costs in computing at the least."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np

from edgelearn_env.errors import InvalidInputError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CodeLayout:
    """A master, n edge nodes, m_i devices under edge node i, and the stragglers that a code is to bear.

    Each of P parts of the data has to be computed by s_w + 1 devices in each of s_e + 1 edges: else s_e late edges, and
    s_w late devices in each of the others, could keep a part from the master.

    Attributes:
        group_sizes: m_i, devices of each edge node, (n,).
        edge_stragglers: s_e, edge nodes that may be late, 0 to n - 1.
        device_stragglers: s_w, devices that may be late in each of the other edges, 0 to min m_i - 1.

    Raises:
        InvalidInputError: a number out of these limits.
    """

    group_sizes: tuple[int, ...]
    edge_stragglers: int
    device_stragglers: int

    def __post_init__(self) -> None:
        if not self.group_sizes or not all(_is_whole(size) and size >= 1 for size in self.group_sizes):
            raise InvalidInputError(f"group_sizes must be whole numbers of at least 1, got {self.group_sizes!r}")
        _require_within("edge_stragglers", self.edge_stragglers, len(self.group_sizes))
        _require_within("device_stragglers", self.device_stragglers, min(self.group_sizes))

    @property
    def num_edges(self) -> int:
        """Edge nodes, n."""
        return len(self.group_sizes)

    @property
    def num_devices(self) -> int:
        """Devices of all edge nodes together, K."""
        return sum(self.group_sizes)

    @property
    def load_bound(self) -> float:
        """(s_e + 1)(s_w + 1) / K: no code has each device compute a smaller share D / P of the parts."""
        return (self.edge_stragglers + 1) * (self.device_stragglers + 1) / self.num_devices

    @property
    def attains_load_bound(self) -> bool:
        """Whether some code meets `load_bound`, all devices equally loaded: m_i (s_e + 1) <= K for every edge."""
        return max(self.group_sizes) * (self.edge_stragglers + 1) <= self.num_devices

    @property
    def least_load(self) -> float:
        """The smallest share of the parts that the busiest device can have: `load_bound` where that is attained.

        An edge holds at most all parts, so the share x_i of edge i is min(1, l m_i), l such that sum x_i = s_e + 1, and
        a device's share is at least l (s_w + 1).
        """
        return float(self._share_a_device * (self.device_stragglers + 1))

    @property
    def num_parts(self) -> int:
        """P, the smallest number of parts that can be dealt out at `least_load`."""
        share = self._share_a_device
        unfilled = [size for size in self.group_sizes if share * size <= 1]
        return share.denominator // math.gcd(share.denominator, self.device_stragglers + 1, *unfilled)

    @property
    def parts_of_edges(self) -> tuple[int, ...]:
        """How many of `num_parts` parts each edge holds at `least_load`, (n,)."""
        return tuple(int(min(Fraction(1), self._share_a_device * size) * self.num_parts) for size in self.group_sizes)

    @property
    def _share_a_device(self) -> Fraction:
        """The smallest l at which sum_i min(1, l m_i) reaches s_e + 1; the largest groups are full first."""
        sizes = sorted(self.group_sizes, reverse=True)
        shares = (Fraction(self.edge_stragglers + 1 - full, sum(sizes[full:])) for full in range(self.num_edges))
        return next(share for full, share in enumerate(shares) if share * sizes[full] <= 1)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _require_within(name: str, value: Any, end: int) -> None:
    if not (_is_whole(value) and 0 <= value < end):
        raise InvalidInputError(f"{name} must be a whole number from 0 to {end - 1}, got {value!r}")
