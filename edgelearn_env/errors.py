"""What can go wrong, split by what the caller can do about it."""


class EdgeLearnError(Exception):
    """Any error this package raises on purpose; its message is one sentence a person can act on."""


class InvalidInputError(EdgeLearnError, ValueError):
    """A value handed in is wrong: correct the field that the message names."""


class UnexpectedArgumentError(InvalidInputError, TypeError):
    """A keyword argument that a constructor does not take; a `TypeError`, as Python raises one, for those who probe."""


class UnknownAttributeError(InvalidInputError, AttributeError):
    """An attribute or method that an object does not have; an `AttributeError`, as Python raises one."""


class SolverError(EdgeLearnError, RuntimeError):
    """A solver did not reach the accuracy that a certificate needs: report the scenario and the tape."""


class MissingExtraError(EdgeLearnError, ImportError):
    """An optional dependency is missing: install the extra that the message names."""
