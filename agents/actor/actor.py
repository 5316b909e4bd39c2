"""A trained actor in plain arrays: acts without torch, and is what a checkpoint holds."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.agents.actor.trimming import trimmed
from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.model import Observed
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.encoding import DECIDED_BY_SERVER, OBSERVED_OF_DEVICE, OBSERVED_OF_EPISODE, Codec
from edgelearn_env.stages.records import Allocation
from edgelearn_env.trajectory import Policy
from edgelearn_env.two_stage.scenario import TwoStageScenario

# An observation begins with entries that concern all devices; then follow as many for each device as an action has.
_NUM_SHARED, PER_DEVICE = len(OBSERVED_OF_EPISODE), len(OBSERVED_OF_DEVICE)
TIME_LEFT, _ENERGY_LEFT, LOG_BOUND = map(OBSERVED_OF_EPISODE.index, ("time left", "energy left", "log bound"))
NUM_SERVER_ACTIONS = len(DECIDED_BY_SERVER)

# What the networks see beside: logarithms of time and energy left, and of each battery. Actions are logarithms too, and
# what is shared out evenly is proportional to what is left.
NUM_SHARED_FEATURES, NUM_OWN_FEATURES = _NUM_SHARED + 2, PER_DEVICE + 1
NUM_CONTEXT = NUM_SHARED_FEATURES + 2 * NUM_OWN_FEATURES
NUM_TRAITS = 8
_LEAST_SHARE = 0.01

# Standardised features are cut here, so that one never met in training cannot saturate the network.
_LARGEST_FEATURE = 10.0


class Features(NamedTuple):
    """What the networks see of an observation: what concerns all devices, (B, 7), and each device, (B, K, 4)."""

    shared: Array
    own: Array


def features(observation: Array) -> Features:
    """Entries of observations, (B, 5 + 3 K), as they are, and the logarithms of what is left.

    Beside the five shared ones stand the logarithms of time and energy left; beside battery, gain and harvest of each
    device the logarithm of its battery.
    """
    xp = namespace_of(observation)
    left = observation[:, TIME_LEFT : _ENERGY_LEFT + 1]
    shared = xp.concat([observation[:, :_NUM_SHARED], xp.log(xp.maximum(left, _LEAST_SHARE))], axis=1)
    own = observation[:, _NUM_SHARED:].reshape((len(observation), PER_DEVICE, -1))
    own = xp.concat([own, xp.log(xp.maximum(own[:, :1], _LEAST_SHARE))], axis=1)
    return Features(shared, own.swapaxes(1, 2))


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
        outputs: np.ndarray = np.concatenate([hidden, inputs], axis=-1) @ self.weight_3.T + self.bias_3
        return outputs


class Start(NamedTuple):
    """What an actor does before any training, linear in observations, and what tells devices apart.

    All float32, of numpy or as tensors of torch. It follows from the scenario (`starting_point`); nothing is trained.

    Attributes:
        mean, std: by which features are standardised first.
        server_weight, server_bias: first three entries of the action from the shared features, (3, 7) and (3,).
        own_weight, own_bias: of each device's action, A_k and c_k, (K, 3, 4) and (K, 3).
        traits: e_k, logarithms of what a device has, beside the geometric mean of all, (K, E).
        log_bound: mean log Phi that it ends with, ().
    """

    mean: Features
    std: Features
    server_weight: Array
    server_bias: Array
    own_weight: Array
    own_bias: Array
    traits: Array
    log_bound: Array

    def standardised(self, observation: Array) -> Features:
        """Features of observations, of zero mean and unit variance where the start plays."""
        xp, seen = namespace_of(observation), features(observation)
        parts = ((part - mean) / std for part, mean, std in zip(seen, self.mean, self.std, strict=True))
        return Features(*(xp.clip(part, -_LARGEST_FEATURE, _LARGEST_FEATURE) for part in parts))


class Actor(NamedTuple):
    """One network for the server and one that all devices share, fed with standardised features, beside a start.

    Device k sees what concerns all devices, mean and minimum over the devices of what each observes of itself, what it
    observes of itself, o_k, and its traits, e_k; its action is that network's output plus A_k o_k + c_k. No parameter
    belongs to a device, so that the networks play in a scenario with any number of them.

    Attributes:
        start: of the scenario that is played.
        server: (15,) to the first three entries of an action.
        device: (19 + E,) to clock frequency, power and batch size.
    """

    start: Start
    server: Network
    device: Network

    def action(self, observation: np.ndarray) -> np.ndarray:
        """The action, (B, 3 + 3 K), for observations, (B, 5 + 3 K)."""
        start, (shared, own) = self.start, self.start.standardised(observation)
        size, num_devices = len(shared), len(start.traits)
        context = np.concatenate([shared, own.mean(axis=1), own.min(axis=1)], axis=1)
        server = self.server.output(context) + shared @ start.server_weight.T + start.server_bias
        seen = [
            np.broadcast_to(context[:, None], (size, num_devices, NUM_CONTEXT)),
            own,
            np.broadcast_to(start.traits, (size, *start.traits.shape)),
        ]
        device = self.device.output(np.concatenate(seen, axis=2))
        device = device + np.einsum("kij,bkj->bki", start.own_weight, own) + start.own_bias
        return np.concatenate([server, device.transpose(0, 2, 1).reshape(size, -1)], axis=1)

    def policy(self, scenario: TwoStageScenario, *, trims: bool) -> Policy:
        """The policy that plays these actions in the scenario of its start.

        Args:
            scenario: that is played.
            trims: whether its rounds are `trimmed` first.
        """
        codec, constants = Codec.of(scenario), constants_of(scenario)

        def played(observed: Observed) -> Allocation:
            allocation = codec.decode(self.action(codec.encode(*observed)))
            return trimmed(constants, scenario.budgets, observed, allocation) if trims else allocation

        return played
