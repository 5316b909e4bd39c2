"""Codes for equal groups in which device (i, j) owns part (i, j): a code over edges times one over devices."""

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.codes.hierarchical_code import HierarchicalCode
from edgelearn_env.gradient_coding.codes.layout import CodeLayout
from edgelearn_env.gradient_coding.codes.one_level import cyclic_code, cyclic_windows, repetition_code


def product_code(layout: CodeLayout, seed: int = 0) -> HierarchicalCode:
    """The product of two cyclic codes, which meets the load bound and is nested: a choice of each round.

    Device (i, j) computes parts {i, ..., i + s_e} x {j, ..., j + s_w}, cyclically, with coefficients B1[i, b] B2[j, q],
    those of `cyclic_code`. What it computes with (s_e, s_w) is among what it computes with any larger (S_e, S_w), so
    data that are stored for those serve every smaller code. Part (b, q) is b m + q.

    Args:
        layout: equal groups, and how many may be late.
        seed: of the coefficients.

    Raises:
        InvalidInputError: groups of unequal sizes.
    """
    size, rng = _equal_size(layout), np.random.default_rng(seed)
    across = cyclic_code(layout.num_edges, layout.edge_stragglers, rng)
    return _product(layout, across, cyclic_code(size, layout.device_stragglers, rng))


def repetition_product_code(layout: CodeLayout) -> HierarchicalCode:
    """The product of two fractional repetition codes: all coefficients are 0 or 1, and so are weights, but for shares.

    It meets the load bound and magnifies no rounding, but it is not nested: with other (s_e, s_w) devices need other
    data.

    Args:
        layout: equal groups, and how many may be late: (s_e + 1) | n and (s_w + 1) | m.

    Raises:
        InvalidInputError: groups of unequal sizes, or numbers that do not divide.
    """
    size = _equal_size(layout)
    for name, late, nodes in (
        ("edge_stragglers", layout.edge_stragglers, layout.num_edges),
        ("device_stragglers", layout.device_stragglers, size),
    ):
        if nodes % (late + 1):
            raise InvalidInputError(f"{name} + 1 must divide {nodes} for a repetition code, got {late} + 1")
    across = repetition_code(layout.num_edges, layout.edge_stragglers)
    return _product(layout, across, repetition_code(size, layout.device_stragglers))


def stored_parts(num_edges: int, group_size: int, edge_stragglers: int, device_stragglers: int) -> np.ndarray:
    """The parts that each device computes in `product_code`, (K, (s_e + 1)(s_w + 1)), its own first."""
    across = cyclic_windows(num_edges, edge_stragglers + 1)
    within = cyclic_windows(group_size, device_stragglers + 1)
    parts = across[:, None, :, None] * group_size + within[None, :, None, :]
    return np.reshape(parts, (num_edges * group_size, -1))


def _product(layout: CodeLayout, across: np.ndarray, within: np.ndarray) -> HierarchicalCode:
    size = len(within)
    return HierarchicalCode(
        layout=layout,
        edge_coefficients=np.repeat(across, size, axis=1),
        coefficients=np.kron(across, within),
    )


def _equal_size(layout: CodeLayout) -> int:
    if len(set(layout.group_sizes)) > 1:
        raise InvalidInputError(f"group_sizes must be equal for a product code, got {layout.group_sizes}")
    return layout.group_sizes[0]
