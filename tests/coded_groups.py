"""Groups of devices, and every code for them, that tests of gradient coding share."""

import functools
import itertools
from collections.abc import Callable

import numpy as np

from edgelearn_env.gradient_coding import (
    CodeLayout,
    HierarchicalCode,
    answer_patterns,
    grouped_code,
    product_code,
    repetition_product_code,
)

EQUAL = ((3,) * 3, (5,) * 4, (4,) * 5, (6,) * 2)
GROUPS = (*EQUAL, (2, 3, 4), (1, 5), (2, 2, 7, 3))
CONSTRUCTIONS: dict[str, Callable[[CodeLayout], HierarchicalCode]] = {
    "grouped": grouped_code,
    "product": product_code,
    "repetition": repetition_product_code,
}


def layouts(sizes: tuple[int, ...]) -> list[CodeLayout]:
    """Every number of late edges and devices that a code for these groups can bear."""
    numbers = itertools.product(range(len(sizes)), range(min(sizes)))
    return [
        CodeLayout(group_sizes=sizes, edge_stragglers=edges, device_stragglers=devices) for edges, devices in numbers
    ]


def fits(construction: str, layout: CodeLayout) -> bool:
    """Whether a construction serves these groups and stragglers."""
    sizes = layout.group_sizes
    if construction == "grouped":
        return True
    if len(set(sizes)) > 1:
        return False
    divides = len(sizes) % (layout.edge_stragglers + 1) == sizes[0] % (layout.device_stragglers + 1) == 0
    return construction == "product" or divides


@functools.cache
def code_of(construction: str, layout: CodeLayout) -> HierarchicalCode:
    return CONSTRUCTIONS[construction](layout)


def codes_for(sizes: tuple[int, ...], constructions: tuple[str, ...] = tuple(CONSTRUCTIONS)) -> list[HierarchicalCode]:
    """Every code of those constructions for these groups, for every number of late edges and devices."""
    pairs = itertools.product(constructions, layouts(sizes))
    return [code_of(construction, layout) for construction, layout in pairs if fits(construction, layout)]


def whole_patterns(layout: CodeLayout) -> np.ndarray:
    """Every set of exactly n - s_e edges with exactly m_i - s_w devices each, (patterns, K)."""
    sizes, late = layout.group_sizes, layout.device_stragglers
    found = []
    for edges in answer_patterns(len(sizes), layout.edge_stragglers):
        each = [
            answer_patterns(size, late) if there else np.zeros((1, size), bool)
            for size, there in zip(sizes, edges, strict=True)
        ]
        grids = np.meshgrid(*(np.arange(len(patterns)) for patterns in each), indexing="ij")
        found.append(np.concatenate([p[grid.ravel()] for p, grid in zip(each, grids, strict=True)], axis=1))
    return np.concatenate(found)


def every_subset(num_nodes: int) -> np.ndarray:
    """All 2^n sets, (sets, n)."""
    return (np.arange(2**num_nodes)[:, None] >> np.arange(num_nodes)) % 2 == 1
