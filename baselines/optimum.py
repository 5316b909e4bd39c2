"""What every system's solver returns for a known tape: a plan, and a bound that no policy can pass."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edgelearn_env.model import Allocation, Observed


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """Why the bound of an optimum can be trusted, and how near its plan is to it.

    Attributes:
        value: the plan's learning bound, from its batch sizes.
        bound: no plan with any numbers of rounds has a smaller one; the least of the dual functions' values, which our
            own code evaluates from multipliers, whatever a solver says of itself.
        residual: how far the plan, replayed by the dynamics, exceeds a budget or overdraws a battery, relative; and how
            far the bound it then reaches is from `value`.
        num_pairs: pairs (M, N) on the tape, each with its own lower bound.
        num_solved: pairs for which the conic program was solved.
        label: `relaxation` if batch sizes were fractional, else `exact`.
    """

    value: float
    bound: float
    residual: float
    num_pairs: int
    num_solved: int
    label: str

    @property
    def gap(self) -> float:
        """value / bound - 1."""
        return self.value / self.bound - 1


@runtime_checkable
class Plan(Protocol):
    """Open-loop decisions for a whole episode: a policy for `rollout` that knows the tape."""

    def __call__(self, observed: Observed) -> Allocation:
        """What to do in the round that each episode is in."""


@runtime_checkable
class Optimum(Protocol):
    """The clairvoyant optimum of one tape, of any system."""

    @property
    def plan(self) -> Plan:
        """With real-valued batches; replayed, it reaches `value`."""

    @property
    def whole_plan(self) -> Plan:
        """With whole batches, as the environment plays them; replayed, it reaches `achieved`."""

    @property
    def value(self) -> float:
        """What `plan` reaches."""

    @property
    def achieved(self) -> float:
        """What `whole_plan` reaches."""

    @property
    def bound(self) -> float:
        """No policy reaches less on this tape: proven, by the certificate."""

    @property
    def gap(self) -> float:
        """value / bound - 1."""

    @property
    def certificate(self) -> Certificate:
        """Why."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays by name, for a file."""

    def to_dict(self) -> dict[str, Any]:
        """What a reader wants of it, in plain types."""
