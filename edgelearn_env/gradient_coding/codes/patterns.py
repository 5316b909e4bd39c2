"""Who answers in time: patterns of stragglers."""

import itertools
import math

import numpy as np


def answer_patterns(num_nodes: int, num_late: int) -> np.ndarray:
    """Every way in which `num_late` of `num_nodes` answer too late, (patterns, nodes); True where one answers."""
    late = list(itertools.combinations(range(num_nodes), num_late))
    answered = np.ones((len(late), num_nodes), dtype=bool)
    np.put_along_axis(answered, np.array(late, dtype=int).reshape(len(late), num_late), False, axis=1)
    return answered


def some_answer_patterns(num_nodes: int, num_late: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """All patterns, as `answer_patterns` has them, if there are no more than `most`; else that many, drawn."""
    if math.comb(num_nodes, num_late) <= most:
        return answer_patterns(num_nodes, num_late)
    return rng.permuted(np.tile(np.arange(num_nodes), (most, 1)), axis=1) >= num_late
