"""The code for groups of any sizes: one fixed code across edges, one within each edge."""

import numpy as np

from edgelearn_env.gradient_coding.codes.hierarchical_code import HierarchicalCode
from edgelearn_env.gradient_coding.codes.layout import CodeLayout
from edgelearn_env.gradient_coding.codes.one_level import circle_code


def grouped_code(layout: CodeLayout, seed: int = 0) -> HierarchicalCode:
    """A code for any groups, at the least load that they allow: `CodeLayout.least_load`.

    Parts are dealt out on a circle across edges, so that each has s_e + 1 of them, and the parts of each edge on a
    circle within it, so that each has s_w + 1 of its devices; coefficients are Gaussian solutions, `circle_code`.
    Storage depends on (s_e, s_w): a code for other stragglers needs other copies of the data.

    Args:
        layout: groups, and how many may be late.
        seed: of the coefficients.
    """
    rng = np.random.default_rng(seed)
    edges = circle_code(layout.parts_of_edges, layout.num_parts, layout.edge_stragglers, rng)
    within = [_within(layout, size, row != 0, rng) for size, row in zip(layout.group_sizes, edges, strict=True)]
    return HierarchicalCode.of_levels(layout, edges, within)


def _within(layout: CodeLayout, size: int, held: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weights of parts in the messages of an edge's devices, beside those in its own, (m_i, P)."""
    num_held, copies = int(np.sum(held)), layout.device_stragglers + 1
    # As equal as whole numbers are.
    arcs = np.diff(np.arange(size + 1) * num_held * copies // size).tolist()
    weights = np.zeros((size, len(held)))
    weights[:, held] = circle_code(arcs, num_held, layout.device_stragglers, rng)
    return weights
