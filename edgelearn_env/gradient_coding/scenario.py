"""Scenarios of hierarchical gradient coding: devices in groups under edge nodes, data stored for codes, stragglers."""

import dataclasses
from typing import ClassVar

from edgelearn_env.scenarios.parts import PerDevice, part
from edgelearn_env.scenarios.quantities import Quantities, quantity
from edgelearn_env.scenarios.scenario import size_and_budgets
from edgelearn_env.stages.scenario import StagedScenario


@part
class Coding(Quantities):
    """The edge nodes, and the codes for which the devices hold data.

    With what is stored for (S_e, S_w) stragglers, every round may use a code for any (s_e, s_w) up to them: each part
    of the data lies at (S_e + 1)(S_w + 1) devices.
    """

    num_edges: int = quantity("edge nodes, each with as many devices", "n", at_least=1, integer=True)
    stored_edge_stragglers: int = quantity(
        "late edge nodes that what is stored can make up for", "S_e", at_least=0, integer=True
    )
    stored_device_stragglers: int = quantity(
        "late devices under each other edge node that it can", "S_w", at_least=0, integer=True
    )
    start_s: PerDevice = quantity(
        "start-up time of a device's round", "c_0", "s", at_least=0, per_device=True, default=0.0
    )
    edge_s: float = quantity(
        "time of one try to send from an edge node to the server", "tau", "s", at_least=0, default=0.0
    )

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        fits = self.stored_edge_stragglers < self.num_edges
        self.require(fits, "stored_edge_stragglers", f"must be below coding.num_edges = {self.num_edges}")


@part
class Stragglers(Quantities):
    """What makes devices late, hidden until the round is over; nothing by default."""

    slow_factor: PerDevice = quantity(
        "how many times as long a slowed device computes", "x", at_least=1, per_device=True, default=1.0
    )
    slow_begin: PerDevice = quantity(
        "chance that a device is slowed from a round on", "p_01", at_least=0, at_most=1, per_device=True, default=0.0
    )
    slow_end: PerDevice = quantity(
        "chance that a slowed device recovers with a round", "p_10", at_least=0, at_most=1, per_device=True, default=1.0
    )
    stall_s: PerDevice = quantity(
        "mean of the exponential stall for each sample", "y", "s", at_least=0, per_device=True, default=0.0
    )
    erasure: PerDevice = quantity(
        "chance that an upload fails and is sent again", "p", at_least=0, below=1, per_device=True, default=0.0
    )
    edge_erasure: float = quantity(
        "the same on the way from an edge node to the server", "p_e", at_least=0, below=1, default=0.0
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GradientCodingScenario(StagedScenario):
    """One system whose fine-tuning may be coded; per-device fields are read-only arrays of shape (K,).

    Devices 0 to m - 1 are under the first edge node, m to 2 m - 1 under the second, and so on; m = K / n.

    Raises:
        InvalidInputError: a value is out of its limits, an array has the wrong length, the devices cannot be shared
            among the edge nodes, or a budget cannot pay for a single fine-tuning round.
    """

    system: ClassVar[str] = "gradient-coding"

    coding: Coding
    stragglers: Stragglers

    def __post_init__(self) -> None:
        StagedScenario.__post_init__(self)
        num_edges, num_devices, stored = self.coding.num_edges, self.num_devices, self.coding.stored_device_stragglers
        fits = num_devices % num_edges == 0
        self.coding.require(fits, "num_edges", f"must divide devices.num_devices = {num_devices}")
        sentence = f"must be below the number of devices under an edge node, {self.devices_per_edge}"
        self.coding.require(stored < self.devices_per_edge, "stored_device_stragglers", sentence)

    @property
    def in_words(self) -> str:
        """Its size, budgets and codes, for a title."""
        most = f"({self.coding.stored_edge_stragglers}, {self.coding.stored_device_stragglers})"
        staged = f"{size_and_budgets(self)}, {self.learning.objective} bound"
        return f"{staged}, {self.coding.num_edges} edge nodes, codes up to {most}"

    @property
    def devices_per_edge(self) -> int:
        """m."""
        return self.num_devices // self.coding.num_edges

    @property
    def copies(self) -> int:
        """(S_e + 1)(S_w + 1): how many devices hold each part of the data."""
        return (self.coding.stored_edge_stragglers + 1) * (self.coding.stored_device_stragglers + 1)

    @property
    def codes(self) -> tuple[tuple[int, int], ...]:
        """All (s_e, s_w) that a round may use; (0, 0), no code, comes first."""
        edges, devices = self.coding.stored_edge_stragglers, self.coding.stored_device_stragglers
        return tuple((s_e, s_w) for s_e in range(edges + 1) for s_w in range(devices + 1))
