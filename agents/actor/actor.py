"""A trained actor in plain arrays: acts without torch, and is what a checkpoint holds."""

from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.agents.actor.trimmer import trimmer
from edgelearn_env.arrays.namespaces import Array, namespace_of
from edgelearn_env.model import Allocation, Observed, model_of
from edgelearn_env.stages.encoding import OBSERVED_OF_EPISODE, STAGED_LAYOUT, Layout
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.trajectory import Policy

TIME_LEFT, _ENERGY_LEFT, LOG_BOUND = map(OBSERVED_OF_EPISODE.index, ("time left", "energy left", "log bound"))

# What the networks see beside what is observed: logarithms of time and energy left, and of each battery. Actions are
# logarithms too, and what is shared out evenly is proportional to what is left.
_LOGS_OF_ALL, _LOGS_OF_DEVICE = 2, 1
NUM_TRAITS = 8
_LEAST_SHARE = 0.01

# Standardised features are cut here, so that one never met in training cannot saturate the network.
_LARGEST_FEATURE = 10.0


class Sizes(NamedTuple):
    """How much the networks of a system see and decide.

    Attributes:
        shared, own: features that concern all devices, and of each device.
        decided_for_all, decided_for_device: entries of an action.
    """

    shared: int
    own: int
    decided_for_all: int
    decided_for_device: int

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """Those of a system whose observations and actions are laid out so."""
        return cls(
            shared=layout.observed_of_all + _LOGS_OF_ALL,
            own=layout.observed_of_device + _LOGS_OF_DEVICE,
            decided_for_all=layout.decided_for_all,
            decided_for_device=layout.decided_for_device,
        )

    @property
    def context(self) -> int:
        """What every network sees: what concerns all devices, mean and minimum of what each observes of itself."""
        return self.shared + 2 * self.own

    @property
    def of_device(self) -> int:
        """What the devices' network sees."""
        return self.context + self.own + NUM_TRAITS


def codec_of(scenario: StagedScenario) -> Any:
    """Between records and what an agent sees, of the scenario's system: a codec that says its `layout`."""
    return model_of(scenario, "numpy").codec


class Features(NamedTuple):
    """What the networks see of an observation: what concerns all devices, (B, S), and each device, (B, K, O)."""

    shared: Array
    own: Array


def features(observation: Array, num_devices: int, num_shared: int) -> Features:
    """Entries of observations as they are, and the logarithms of what is left.

    Beside the five shared ones of all systems stand the logarithms of time and energy left, beside battery, gain and
    harvest of each device the logarithm of its battery; then comes what a system adds.

    Args:
        observation: (B, observation_size).
        num_devices: K.
        num_shared: S, how many features concern all devices.
    """
    xp = namespace_of(observation)
    of_all, of_device = STAGED_LAYOUT.observed_of_all, STAGED_LAYOUT.observed_of_device
    added = of_all + of_device * num_devices
    added_own = added + num_shared - of_all - _LOGS_OF_ALL
    left = observation[:, TIME_LEFT : _ENERGY_LEFT + 1]
    logs = xp.log(xp.maximum(left, _LEAST_SHARE))
    shared = xp.concat([observation[:, :of_all], logs, observation[:, added:added_own]], axis=1)
    own = observation[:, of_all:added].reshape((len(observation), of_device, -1))
    logs = xp.log(xp.maximum(own[:, :1], _LEAST_SHARE))
    beside = observation[:, added_own:].reshape((len(observation), -1, num_devices))
    return Features(shared, xp.concat([own, logs, beside], axis=1).swapaxes(1, 2))


def action_of(decided_for_all: Array, decided_for_device: Array) -> Array:
    """The action, (B, action_size), of what is decided for all, (B, A), and for each device, (B, K, D)."""
    xp, size = namespace_of(decided_for_all), len(decided_for_all)
    of_all, of_device = STAGED_LAYOUT.decided_for_all, STAGED_LAYOUT.decided_for_device
    devices = decided_for_device.swapaxes(1, 2)
    parts = [decided_for_all[:, :of_all], devices[:, :of_device].reshape((size, -1))]
    parts += [decided_for_all[:, of_all:], devices[:, of_device:].reshape((size, -1))]
    return xp.concat(parts, axis=1)


def decided_in(action: Array, num_devices: int, num_for_all: int) -> tuple[Array, Array]:
    """What an action decides for all, (B, A), and for each device, (B, K, D): `action_of` undone."""
    xp, size = namespace_of(action), len(action)
    of_all, of_device = STAGED_LAYOUT.decided_for_all, STAGED_LAYOUT.decided_for_device
    added = of_all + of_device * num_devices
    added_own = added + num_for_all - of_all
    for_all = xp.concat([action[:, :of_all], action[:, added:added_own]], axis=1)
    blocks = [action[:, of_all:added], action[:, added_own:]]
    devices = xp.concat([block.reshape((size, -1, num_devices)) for block in blocks], axis=1)
    return for_all, devices.swapaxes(1, 2)


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
        server_weight, server_bias: of what is decided for all, from the S shared features, (A, S) and (A,).
        own_weight, own_bias: of what is decided for each device, A_k and c_k, (K, D, O) and (K, D).
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

    @property
    def sizes(self) -> Sizes:
        """How much it sees and decides."""
        (num_for_all, num_shared), (_, num_for_device, num_own) = self.server_weight.shape, self.own_weight.shape
        return Sizes(num_shared, num_own, num_for_all, num_for_device)

    def standardised(self, observation: Array) -> Features:
        """Features of observations, of zero mean and unit variance where the start plays."""
        xp, seen = namespace_of(observation), features(observation, len(self.traits), self.server_weight.shape[1])
        parts = ((part - mean) / std for part, mean, std in zip(seen, self.mean, self.std, strict=True))
        return Features(*(xp.clip(part, -_LARGEST_FEATURE, _LARGEST_FEATURE) for part in parts))


class Actor(NamedTuple):
    """One network for the server and one that all devices share, fed with standardised features, beside a start.

    Device k sees what concerns all devices, mean and minimum over the devices of what each observes of itself, what it
    observes of itself, o_k, and its traits, e_k; its action is that network's output plus A_k o_k + c_k. No parameter
    belongs to a device, so that the networks play in a scenario with any number of them.

    Attributes:
        start: of the scenario that is played.
        server: (S + 2 O,) to what is decided for all.
        device: (S + 3 O + E,) to what is decided for a device.
    """

    start: Start
    server: Network
    device: Network

    def action(self, observation: np.ndarray) -> np.ndarray:
        """The action, (B, action_size), for observations, (B, observation_size)."""
        start, (shared, own) = self.start, self.start.standardised(observation)
        size, num_devices = len(shared), len(start.traits)
        context = np.concatenate([shared, own.mean(axis=1), own.min(axis=1)], axis=1)
        server = self.server.output(context) + shared @ start.server_weight.T + start.server_bias
        seen = [
            np.broadcast_to(context[:, None], (size, num_devices, context.shape[1])),
            own,
            np.broadcast_to(start.traits, (size, *start.traits.shape)),
        ]
        device = self.device.output(np.concatenate(seen, axis=2))
        device = device + np.einsum("kij,bkj->bki", start.own_weight, own) + start.own_bias
        action: np.ndarray = action_of(server, device)
        return action

    def policy(self, scenario: StagedScenario, *, trims: bool) -> Policy:
        """The policy that plays these actions in the scenario of its start.

        Args:
            scenario: that is played.
            trims: whether its rounds are `trimmed` first.

        Raises:
            InvalidInputError: they are to be, and rounds of that system are not.
        """
        codec = codec_of(scenario)

        def decided(observed: Observed) -> Allocation:
            return codec.decode(self.action(codec.encode(*observed)))

        if not trims:
            return decided
        trim = trimmer(scenario)
        return lambda observed: trim(observed, decided(observed))
