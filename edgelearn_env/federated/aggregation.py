"""How a server puts updates together: pure, and summed by site in double precision, whatever order they came in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgelearn_env.federated.local_update import Update
from edgelearn_env.federated.networks import Weights
from edgelearn_env.federated.parts import Index

Aggregation = Callable[[Weights, Sequence[Update]], dict[str, np.ndarray]]


def damped(weights: Weights, updates: Sequence[Update]) -> dict[str, np.ndarray]:
    """w + sum_k omega_k (w_k - w): what a device has not trained, or not come with, counts as unchanged.

    With one local step this is w - eta sum_k omega_k g_k, the step that the learning bounds speak of.
    """
    moved, _ = _sums(weights, updates)
    return {name: _single(array + moved[name]) if name in moved else array for name, array in weights.items()}


def masked(weights: Weights, updates: Sequence[Update]) -> dict[str, np.ndarray]:
    """The mean of each number over the devices that have trained it, weighted by omega_k; unchanged if nobody has."""
    moved, share = _sums(weights, updates)

    def mean(name: str, array: np.ndarray) -> np.ndarray:
        trained = share[name] > 0
        return np.where(trained, array + moved[name] / np.where(trained, share[name], 1.0), array)

    return {name: _single(mean(name, array)) if name in moved else array for name, array in weights.items()}


def padded(weights: Weights, updates: Sequence[Update]) -> dict[str, np.ndarray]:
    """HetLoRA's: pairs of lower rank count as zero beyond it; a device weighs as much as its pairs change the net.

    p_k = ||B_k A_k||_F over all matrices, divided by the sum over devices; all else as `masked`. If no pair changes
    anything yet, all devices weigh the same.
    """
    ordered = sorted(updates, key=lambda update: update.site)
    changes = np.array([_change(update) for update in ordered])
    odds = changes / np.sum(changes) if np.any(changes) else np.full(len(ordered), 1 / max(1, len(ordered)))
    found = masked(weights, [_without_pairs(update) for update in ordered])
    for name in {name for update in ordered for name in update.arrays if _is_of_pair(name)}:
        total = np.zeros(weights[name].shape)
        for update, odd in zip(ordered, odds, strict=True):
            total[_place(update.narrowed, name)] += odd * update.arrays[name]
        found[name] = _single(total)
    return found


# By name, for options.
AGGREGATIONS: Mapping[str, Aggregation] = {"damped": damped, "masked": masked, "padded": padded}


def _sums(weights: Weights, updates: Sequence[Update]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """sum_k omega_k (w_k - w) and sum_k omega_k over those who trained a number, for each array that anyone trained."""
    moved: dict[str, np.ndarray] = {}
    share: dict[str, np.ndarray] = {}
    for update in sorted(updates, key=lambda update: update.site):
        for name, array in update.arrays.items():
            place = _place(update.narrowed, name)
            if name not in moved:
                moved[name], share[name] = np.zeros(weights[name].shape), np.zeros(weights[name].shape)
            moved[name][place] += update.weight * (array.astype(np.float64) - weights[name][place])
            share[name][place] += update.weight
    return moved, share


def _place(narrowed: Mapping[str, Index], name: str) -> Any:
    return np.ix_(*narrowed[name]) if name in narrowed else (...,)


def _is_of_pair(name: str) -> bool:
    return name.endswith((".lora_a", ".lora_b"))


def _change(update: Update) -> float:
    """||B A||_F over all matrices."""
    names = [name.removesuffix("a") for name in update.arrays if name.endswith(".lora_a")]
    products = [update.arrays[f"{name}b"].astype(np.float64) @ update.arrays[f"{name}a"] for name in names]
    return float(np.sqrt(sum(np.sum(product**2) for product in products)))


def _without_pairs(update: Update) -> Update:
    return update._replace(arrays={name: array for name, array in update.arrays.items() if not _is_of_pair(name)})


def _single(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)
