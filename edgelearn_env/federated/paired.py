"""Differences of results that share their seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student


class PairedMean(NamedTuple):
    """The mean of differences between results of the same seeds; Student's 95 % interval, infinite for one seed."""

    value: float
    low: float
    high: float


def paired_mean(differences: Sequence[float] | np.ndarray) -> PairedMean:
    """Of the differences of each seed, at least one."""
    mean, count = float(np.mean(differences)), len(differences)
    if count < 2:
        return PairedMean(mean, -math.inf, math.inf)
    half = float(student.ppf(0.975, count - 1) * np.std(differences, ddof=1) / math.sqrt(count))
    return PairedMean(mean, mean - half, mean + half)
