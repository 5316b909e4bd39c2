"""What can go wrong, split by what the caller can do about it."""

import math
from typing import Any


class EdgeLearnError(Exception):
    """Any error this package raises on purpose; its message is one sentence a person can act on."""


class InvalidInputError(EdgeLearnError, ValueError):
    """A value handed in is wrong: correct the field that the message names."""


class UnexpectedArgumentError(InvalidInputError, TypeError):
    """A keyword argument that a constructor does not take; a `TypeError`, as Python raises one, for those who probe."""


class UnknownAttributeError(InvalidInputError, AttributeError):
    """An attribute or method that an object does not have; an `AttributeError`, as Python raises one."""


class SolverError(EdgeLearnError, RuntimeError):
    """A solver did not reach the accuracy that a certificate needs: report the scenario and the tape.

    Attributes:
        plan: the best plan that was had, a policy for `rollout`; None without any.
        value: what it would reach.
        bound: no policy reaches less; 0 if nothing better was proven.
    """

    def __init__(self, message: str, *, plan: Any = None, value: float = math.inf, bound: float = 0.0) -> None:
        super().__init__(message)
        self.plan, self.value, self.bound = plan, value, bound


class MissingExtraError(EdgeLearnError, ImportError):
    """An optional dependency is missing: install the extra that the message names."""
