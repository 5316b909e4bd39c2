"""Names of what a round can be computed by; which of them a system has is its own matter."""

from edgelearn_env.errors import InvalidInputError, MissingExtraError

KERNELS = ("auto", "compiled", "numpy")


def checked_kernel(kernel: str) -> str:
    """`kernel`, once it is known to be one.

    Raises:
        InvalidInputError: it is not.
    """
    if kernel not in KERNELS:
        raise InvalidInputError(f"kernel must be one of {', '.join(KERNELS)}, got {kernel!r}")
    return kernel


def require_arrays(kernel: str) -> None:
    """Refuse a kernel that a system without compiled loops does not have.

    Raises:
        InvalidInputError: it is none.
        MissingExtraError: it is the compiled one.
    """
    if checked_kernel(kernel) == "compiled":
        raise MissingExtraError("kernel 'compiled' is only there for system two-stage: choose 'numpy'")
