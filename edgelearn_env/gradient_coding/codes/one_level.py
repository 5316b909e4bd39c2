"""Codes of one level: coefficients of parts in the messages of nodes, of which some may be late.

Each gives B, (nodes, parts), such that any nodes but s of them can be combined into a B = 1, each part counted once.
"""

from collections.abc import Sequence

import numpy as np

from edgelearn_env.gradient_coding.codes.drawn import best_drawn


def circle_code(arcs: Sequence[int], num_parts: int, num_late: int, rng: np.random.Generator) -> np.ndarray:
    """Any numbers of parts a node: parts stand on a circle, each node has an arc, each part s + 1 distinct holders.

    C is Gaussian with s + 1 rows, scaled so that its first is all ones, and B[H_k, k] = C[:, H_k]^-1 1 for the holders
    H_k of part k. So C B = 1, and a = l^T C decodes for any l with sum l = 1 that is at right angles to the columns of
    C of those who are late.

    Args:
        arcs: parts of each node, at most all, (s + 1) P in sum, (nodes,).
        num_parts: P.
        num_late: s, nodes that may be late.
        rng: what C is drawn from.

    Returns:
        B, (nodes, P).
    """
    held = _arcs_on_a_circle(arcs, num_parts)
    holders = np.nonzero(held.T)[1].reshape(num_parts, num_late + 1)

    def draw(rng: np.random.Generator) -> np.ndarray:
        c = np.concatenate([np.ones((1, len(arcs))), rng.standard_normal((num_late, len(arcs)))])
        coefficients = np.zeros(held.shape)
        systems = np.moveaxis(c[:, holders], 0, 1)
        solved = np.linalg.solve(systems, np.ones((num_parts, num_late + 1, 1)))
        np.put_along_axis(coefficients, holders.T, solved[..., 0].T, axis=0)
        return coefficients

    return best_drawn(draw, num_late, rng)


def cyclic_code(num_nodes: int, num_late: int, rng: np.random.Generator) -> np.ndarray:
    """Tandon's cyclic code: node i computes parts i, ..., i + s, counted in a circle; as many parts as nodes.

    H is Gaussian with s rows, each of sum zero, and row i of B is at right angles to all of them, with B[i, i] = 1. So
    the rows of B, of which any n - s are independent, span the null space of H, and that holds 1.

    Args:
        num_nodes: n.
        num_late: s, nodes that may be late.
        rng: what H is drawn from.

    Returns:
        B, (n, n).
    """
    windows = cyclic_windows(num_nodes, num_late + 1)

    def draw(rng: np.random.Generator) -> np.ndarray:
        h = rng.standard_normal((num_late, num_nodes))
        h[:, -1] = -np.sum(h[:, :-1], axis=1)
        columns = np.moveaxis(h[:, windows], 0, 1)
        rest = np.linalg.solve(columns[:, :, 1:], -columns[:, :, :1])
        coefficients = np.eye(num_nodes)
        np.put_along_axis(coefficients, windows[:, 1:], rest[..., 0], axis=1)
        return coefficients

    return best_drawn(draw, num_late, rng)


def repetition_code(num_nodes: int, num_late: int) -> np.ndarray:
    """Fractional repetition, all coefficients 0 or 1: blocks of s + 1 nodes that compute the same s + 1 parts.

    One answer of each block is enough. It needs (s + 1) | n, and is not nested: with another s, nodes hold other parts.

    Args:
        num_nodes: n.
        num_late: s, nodes that may be late.

    Returns:
        B, (n, n).
    """
    block = np.arange(num_nodes) // (num_late + 1)
    return np.where(block[:, None] == block, 1.0, 0.0)


def cyclic_windows(num_nodes: int, length: int) -> np.ndarray:
    """i, ..., i + length - 1, counted in a circle, for each node i, (nodes, length)."""
    return (np.arange(num_nodes)[:, None] + np.arange(length)) % num_nodes


def _arcs_on_a_circle(arcs: Sequence[int], num_parts: int) -> np.ndarray:
    """Whether a node holds a part, when each arc begins where the one before it ends, (nodes, parts)."""
    starts = np.cumsum(arcs) - arcs
    behind_start = (np.arange(num_parts) - starts[:, None]) % num_parts
    held: np.ndarray = behind_start < np.array(arcs)[:, None]
    return held
