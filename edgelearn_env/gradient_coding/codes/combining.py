"""What combines coded messages: weights by least squares, what they leave, and how much they magnify rounding."""

from typing import Any

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.errors import InvalidInputError


def combining_weights(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The shortest w among those that minimise ||w B - c||: what to combine messages with.

    Exact wherever c is in the span of the rows. A row of zeros, that of a message that is missing, gets weight zero, to
    rounding.

    Args:
        rows: B, weight of each part's gradient in each message, (..., n, P).
        target: c, the weight that each part is to have, (P,).

    Returns:
        w, (..., n).
    """
    weights: np.ndarray = target @ np.linalg.pinv(rows, rcond=_NO_DIRECTION)
    return weights


# A direction of rows that is this small beside the largest is rounding: a code's own are above 1e-6.
_NO_DIRECTION = 1e-11


def squared_error(part_weights: np.ndarray) -> np.ndarray:
    """(1/P) sum_k (c_k - 1)^2: 0 if every part counts once, 1 if none counts.

    It is the mean squared error of the sum, beside that of sending nothing, if parts' gradients are uncorrelated and
    equally long; in any case ||decoded - sum||^2 <= P sum_k ||g_k||^2 times it.

    Args:
        part_weights: c, the weight of each part's gradient in what was decoded, (..., P).
    """
    return np.asarray(np.mean((part_weights - 1.0) ** 2, axis=-1))


def magnification(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """max_k sum_j |w_j B_jk|: how many times the rounding of parts' gradients grows at most; 1 where nothing cancels.

    Args:
        weights: w, what messages are combined with, (..., n).
        rows: B, weight of each part's gradient in each message, (n, P).
    """
    return np.asarray(np.max(np.abs(weights) @ np.abs(rows), axis=-1))


def combined(weights: np.ndarray, arrays: Array) -> Array:
    """sum_i w_i x_i, in the arrays' library, precision and memory.

    Args:
        weights: w, (..., n).
        arrays: x, floating point of any library, (n, *shape).

    Returns:
        (..., *shape).

    Raises:
        InvalidInputError: not as many arrays as weights, or not of floating point.
    """
    xp = namespace_of(arrays)
    if not xp.isdtype(arrays.dtype, "real floating"):
        raise InvalidInputError(f"arrays to combine must be of floating point, got {arrays.dtype}")
    if arrays.shape[:1] != weights.shape[-1:]:
        raise InvalidInputError(f"there must be {weights.shape[-1]} arrays to combine, got shape {tuple(arrays.shape)}")
    return xp.tensordot(_beside(weights, arrays, xp), arrays, axes=1)


def _beside(weights: np.ndarray, arrays: Array, xp: Any) -> Array:
    # A copy: torch warns of memory that cannot be written to.
    return xp.asarray(np.array(weights), dtype=arrays.dtype, device=arrays.device)
