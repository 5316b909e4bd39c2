"""A trained actor in plain arrays: acts without torch, and is what a checkpoint holds."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.dynamics import Allocation
from edgelearn_env.encoding import Codec
from edgelearn_env.scenario import Scenario
from edgelearn_env.trajectory import Observed, Policy

# An observation begins with entries that concern all devices; then follow three for each device, as in an action.
NUM_SHARED = 5
TIME_LEFT, LOG_BOUND = 2, 4
PER_DEVICE = 3
NUM_SERVER_ACTIONS = 3
NUM_CONTEXT = NUM_SHARED + 2 * PER_DEVICE

# Standardised observations are cut here, so that one never met in training cannot saturate the network.
LARGEST_INPUT = 10.0


class Network(NamedTuple):
    """y = W_3 [h_2, x] + c_3 with h_1 = tanh(W_1 x + c_1) and h_2 = tanh(W_2 h_1 + c_2); all arrays float32."""

    weight_1: np.ndarray
    bias_1: np.ndarray
    weight_2: np.ndarray
    bias_2: np.ndarray
    weight_3: np.ndarray
    bias_3: np.ndarray

    def output(self, inputs: np.ndarray) -> np.ndarray:
        """y of inputs x, along the last axis."""
        hidden = np.tanh(inputs @ self.weight_1.T + self.bias_1)
        hidden = np.tanh(hidden @ self.weight_2.T + self.bias_2)
        return np.concatenate([hidden, inputs], axis=-1) @ self.weight_3.T + self.bias_3


class Actor(NamedTuple):
    """One network for the server and one that all devices share, fed with standardised observations.

    Device k sees what concerns all devices, mean and minimum over the devices of what each observes of itself, what it
    observes of itself, o_k, and a vector of its own, e_k; its action is that network's output plus A_k o_k + c_k.

    Attributes:
        input_mean, input_std: of the observations, (5 + 3 K,).
        server: (11,) to the first three entries of an action.
        device: (14 + E,) to clock frequency, power and batch size.
        embedding: e_k, (K, E).
        own_weight, own_bias: A_k, (K, 3, 3), and c_k, (K, 3).
    """

    input_mean: np.ndarray
    input_std: np.ndarray
    server: Network
    device: Network
    embedding: np.ndarray
    own_weight: np.ndarray
    own_bias: np.ndarray

    def action(self, observation: np.ndarray) -> np.ndarray:
        """The action, (B, 3 + 3 K), for observations, (B, 5 + 3 K)."""
        inputs = np.clip((observation - self.input_mean) / self.input_std, -LARGEST_INPUT, LARGEST_INPUT)
        size, num_devices = len(inputs), len(self.embedding)
        own = inputs[:, NUM_SHARED:].reshape(size, PER_DEVICE, num_devices).transpose(0, 2, 1)
        context = np.concatenate([inputs[:, :NUM_SHARED], own.mean(axis=1), own.min(axis=1)], axis=1)
        seen = [
            np.broadcast_to(context[:, None], (size, num_devices, NUM_CONTEXT)),
            own,
            np.broadcast_to(self.embedding, (size, *self.embedding.shape)),
        ]
        device = self.device.output(np.concatenate(seen, axis=2))
        device = device + np.einsum("kij,bkj->bki", self.own_weight, own) + self.own_bias
        return np.concatenate([self.server.output(context), device.transpose(0, 2, 1).reshape(size, -1)], axis=1)

    def policy(self, scenario: Scenario) -> Policy:
        """The policy that plays these actions in a scenario with as many devices."""
        codec = Codec.of(scenario)

        def played(observed: Observed) -> Allocation:
            return codec.decode(self.action(codec.encode(*observed)))

        return played
