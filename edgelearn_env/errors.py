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
    """A solver did not reach the accuracy that was asked for.

    Attributes:
        found: the best optimum that was had, with its certificate; None without any.
        plan: its plan, a policy for `rollout`; None without any.
        value: what it reaches.
        bound: no policy reaches less; 0 if nothing better was proven.
    """

    def __init__(self, message: str, found: Any = None) -> None:
        super().__init__(message)
        self.found = found
        self.plan = None if found is None else found.plan
        self.value: float = math.inf if found is None else found.value
        self.bound: float = 0.0 if found is None else found.bound


class MissingExtraError(EdgeLearnError, ImportError):
    """An optional dependency cannot be had: do what the message says, such as install an extra or unset a variable."""


class CompilerError(EdgeLearnError, RuntimeError):
    """Torch could not compile a function on this machine."""
