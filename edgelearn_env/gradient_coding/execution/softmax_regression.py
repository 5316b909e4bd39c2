"""A small real model: softmax regression on generated data, cut into parts that any device can draw for itself."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SoftmaxRegression:
    """Softmax regression; samples of a part are a function of seed and part, so all holders of it have the same.

    Attributes:
        num_features: inputs of the model.
        num_classes: its outputs.
        samples_a_part: in each part.
        seed: of the data.
    """

    num_features: int = 32
    num_classes: int = 10
    samples_a_part: int = 200
    seed: int = 0

    def weights(self) -> np.ndarray:
        """Weights to take gradients at, (features, classes)."""
        return 0.1 * self._rng(_WEIGHTS).standard_normal((self.num_features, self.num_classes))

    def part(self, part: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (samples, features) and classes (samples,) of a part."""
        rng = self._rng(_PARTS + part)
        inputs = rng.standard_normal((self.samples_a_part, self.num_features))
        # The largest of scores with Gumbel noise is drawn by the softmax of the scores.
        truth = self._rng(_TRUTH).standard_normal((self.num_features, self.num_classes))
        return inputs, np.argmax(inputs @ truth + rng.gumbel(size=(len(inputs), self.num_classes)), axis=1)

    def gradient(self, weights: np.ndarray, part: int) -> np.ndarray:
        """Gradient of a part's summed cross-entropy, X^T (softmax(X W) - Y), (features, classes)."""
        inputs, classes = self.part(part)
        scores = inputs @ weights
        odds = np.exp(scores - np.max(scores, axis=1, keepdims=True))
        residual = odds / np.sum(odds, axis=1, keepdims=True)
        residual[np.arange(len(classes)), classes] -= 1.0
        return np.asarray(inputs.T @ residual)

    def full_gradient(self, weights: np.ndarray, num_parts: int) -> np.ndarray:
        """The sum of the gradients of parts 0, ..., P - 1, (features, classes)."""
        return np.asarray(np.sum([self.gradient(weights, part) for part in range(num_parts)], axis=0))

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])


# Streams of random numbers: of the weights, of the law of the classes, and of each part from here on.
_WEIGHTS, _TRUTH, _PARTS = range(3)
