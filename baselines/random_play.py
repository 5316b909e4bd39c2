"""Random play: actions drawn uniformly from the action space."""

import numpy as np

from edgelearn_env.model import Allocation, Observed, model_of
from edgelearn_env.scenarios.scenario import Scenario


class RandomPlay:
    """Uniform actions in [-1, 1], as a Gymnasium action space would sample them."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._codec = model_of(scenario).codec
        self._rng = np.random.default_rng(seed)

    def __call__(self, observed: Observed) -> Allocation:
        """A fresh action for every episode."""
        return self._codec.decode(self._rng.uniform(-1, 1, (len(observed.state.ended), self._codec.action_size)))
