"""The small model whose gradients real rounds compute."""

import numpy as np
import pytest

from edgelearn_env.gradient_coding.execution.softmax_regression import SoftmaxRegression

PROBLEM = SoftmaxRegression(num_features=4, num_classes=3, samples_a_part=30, seed=2)


def loss(weights: np.ndarray, part: int) -> float:
    inputs, classes = PROBLEM.part(part)
    scores = inputs @ weights
    return float(np.sum(np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(classes)), classes]))


def test_the_gradient_is_that_of_the_cross_entropy(rng):
    weights, direction = PROBLEM.weights(), rng.standard_normal((4, 3))
    slope = (loss(weights + 1e-6 * direction, 1) - loss(weights - 1e-6 * direction, 1)) / 2e-6
    assert np.sum(PROBLEM.gradient(weights, 1) * direction) == pytest.approx(slope, rel=1e-6)


def test_the_full_gradient_is_that_of_all_parts():
    weights = PROBLEM.weights()
    both = PROBLEM.gradient(weights, 0) + PROBLEM.gradient(weights, 1)
    np.testing.assert_allclose(PROBLEM.full_gradient(weights, 2), both)


def test_all_holders_of_a_part_draw_the_same_samples_and_parts_differ():
    twin = SoftmaxRegression(num_features=4, num_classes=3, samples_a_part=30, seed=2)
    for mine, theirs, other in zip(PROBLEM.part(5), twin.part(5), PROBLEM.part(6), strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert np.any(mine != other)
