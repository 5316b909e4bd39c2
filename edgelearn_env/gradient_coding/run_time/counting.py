"""How many of several independent events happen, when each has a probability of its own (the Poisson-binomial law)."""

import numpy as np


def count_probabilities(probability: np.ndarray, most: int) -> np.ndarray:
    """P(exactly j of N events happen) for j = 0..most, (most + 1, ...), one event added after the other.

    Args:
        probability: of each event, (N, ...).
        most: the largest count that is asked for; larger ones are left out.
    """
    exactly = np.zeros((most + 1, *probability.shape[1:]))
    exactly[0] = 1.0
    for happens in probability:
        exactly[1:] = exactly[1:] * (1 - happens) + exactly[:-1] * happens
        exactly[0] *= 1 - happens
    return exactly


def at_most_probability(probability: np.ndarray, most: int) -> np.ndarray:
    """P(at most `most` of N events happen), (...).

    Args:
        probability: of each event, (N, ...).
        most: from 0 to N; counted are the fewer of those that happen and those that do not.
    """
    others = len(probability) - most - 1
    if others < 0:
        return np.ones(probability.shape[1:])
    if others < most:
        at_most: np.ndarray = 1 - count_probabilities(1 - probability, others).sum(axis=0)
        return at_most
    return np.asarray(count_probabilities(probability, most).sum(axis=0))
