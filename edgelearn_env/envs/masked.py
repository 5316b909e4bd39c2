"""Gymnasium's vector form of `info`."""

import numpy as np


def masked(items: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    """Gymnasium's vector form of `info`: beside each key `_key`, which of B episodes it speaks of; zeros elsewhere.

    Args:
        items: of the episodes that `mask` names, in their order.
        mask: (B,).
    """
    result, rows = {}, np.flatnonzero(mask)
    for name, item in items.items():
        result[name] = item if len(item) == len(mask) else _spread(item, rows, len(mask))
        result[f"_{name}"] = mask.copy()
    return result


def _spread(item: np.ndarray, rows: np.ndarray, length: int) -> np.ndarray:
    """An array of that length that holds `item` in some rows, and zeros."""
    result = np.zeros((length, *item.shape[1:]), dtype=item.dtype)
    result[rows] = item
    return result
