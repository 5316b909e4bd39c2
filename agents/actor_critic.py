"""The torch network that PPO trains: an `Actor`, and a critic that sees all devices at once."""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from edgelearn_env.agents.actor import (
    LARGEST_INPUT,
    LOG_BOUND,
    NUM_CONTEXT,
    NUM_SERVER_ACTIONS,
    NUM_SHARED,
    PER_DEVICE,
    Actor,
    Network,
)
from edgelearn_env.agents.starting_point import Start, starting_point
from edgelearn_env.scenario import Scenario

_EMBEDDING = 4


class SkippedMLP(nn.Module):
    """`Network` in torch; its output layer starts at almost nothing."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layer_1, self.layer_2 = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.layer_3 = nn.Linear(hidden + inputs, outputs)
        for layer, gain in ((self.layer_1, 2**0.5), (self.layer_2, 2**0.5), (self.layer_3, 0.01)):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """y of inputs x, along the last axis."""
        hidden = torch.tanh(self.layer_2(torch.tanh(self.layer_1(inputs))))
        return self.layer_3(torch.cat([hidden, inputs], dim=-1))

    def arrays(self) -> Network:
        """The same in plain arrays."""
        layers = (self.layer_1, self.layer_2, self.layer_3)
        return Network(*(_array(part) for layer in layers for part in (layer.weight, layer.bias)))


class Bodies(nn.Module):
    """What Stable-Baselines3 calls an MLP extractor: all of the actor, and the critic but for its last layer."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, start: Start, hidden: int, critic_hidden: int) -> None:
        super().__init__()
        size, num_devices = len(start.input_mean), len(start.own_bias)
        self.register_buffer("mean", torch.tensor(start.input_mean))
        self.register_buffer("std", torch.tensor(start.input_std))
        self.server = SkippedMLP(NUM_CONTEXT, hidden, NUM_SERVER_ACTIONS)
        self.device = SkippedMLP(NUM_CONTEXT + PER_DEVICE + _EMBEDDING, hidden, PER_DEVICE)
        self.embedding = nn.Parameter(torch.randn(num_devices, _EMBEDDING))
        self.own_weight = nn.Parameter(torch.tensor(start.own_weight))
        self.own_bias = nn.Parameter(torch.tensor(start.own_bias))
        with torch.no_grad():
            self.server.layer_3.weight[:, hidden : hidden + NUM_SHARED].add_(torch.tensor(start.server_weight))
            self.server.layer_3.bias.add_(torch.tensor(start.server_bias))
        self.critic = nn.Sequential(
            *(nn.Linear(size, critic_hidden), nn.Tanh()), *(nn.Linear(critic_hidden, critic_hidden), nn.Tanh())
        )
        self.latent_dim_pi, self.latent_dim_vf = NUM_SERVER_ACTIONS + PER_DEVICE * num_devices, critic_hidden + 1

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean action, and what the value is linear in."""
        return self.forward_actor(observation), self.forward_critic(observation)

    def forward_actor(self, observation: torch.Tensor) -> torch.Tensor:
        """`Actor.action`."""
        inputs = self._standardised(observation)
        size, num_devices = len(inputs), len(self.embedding)
        own = inputs[:, NUM_SHARED:].reshape(size, PER_DEVICE, num_devices).transpose(1, 2)
        context = torch.cat([inputs[:, :NUM_SHARED], own.mean(dim=1), own.amin(dim=1)], dim=1)
        seen = [context[:, None].expand(-1, num_devices, -1), own, self.embedding.expand(size, -1, -1)]
        device = self.device(torch.cat(seen, dim=2))
        device = device + torch.einsum("kij,bkj->bki", self.own_weight, own) + self.own_bias
        return torch.cat([self.server(context), device.transpose(1, 2).reshape(size, -1)], dim=1)

    def forward_critic(self, observation: torch.Tensor) -> torch.Tensor:
        """Hidden units of the critic, and the log of the bound as it stands."""
        hidden = self.critic(self._standardised(observation))
        return torch.cat([hidden, observation[:, LOG_BOUND : LOG_BOUND + 1]], dim=1)

    def actor(self) -> Actor:
        """The actor in plain arrays."""
        own = (self.embedding, self.own_weight, self.own_bias)
        networks = (self.server.arrays(), self.device.arrays())
        return Actor(_array(self.mean), _array(self.std), *networks, *(_array(part) for part in own))

    def _standardised(self, observation: torch.Tensor) -> torch.Tensor:
        return torch.clamp((observation - self.mean) / self.std, -LARGEST_INPUT, LARGEST_INPUT)


class StartedPolicy(ActorCriticPolicy):
    """A policy whose mean action, before any training, plays the scenario's starting point.

    Args:
        scenario: the system.
        hidden, critic_hidden: units a layer.
        **kwargs: as for `ActorCriticPolicy`.
    """

    def __init__(self, *args: Any, scenario: Scenario, hidden: int, critic_hidden: int, **kwargs: Any) -> None:
        self._sizes = (hidden, critic_hidden)
        self._start = starting_point(scenario)
        super().__init__(*args, **(kwargs | {"ortho_init": False}))

    def actor(self) -> Actor:
        """The actor in plain arrays."""
        bodies: Any = self.mlp_extractor
        return bodies.actor()

    def explore(self, log_std: float) -> None:
        """Let actions vary by that much around their mean from now on; it is a schedule's choice, not learnt."""
        self.log_std.requires_grad_(False).fill_(log_std)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = Bodies(self._start, *self._sizes)  # type: ignore[assignment]

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()  # type: ignore[assignment]
        with torch.no_grad():
            nn.init.zeros_(self.value_net.weight)
            self.value_net.weight[0, -1] = float(self._start.value_slope)
            self.value_net.bias[0] = float(self._start.value_bias)
        options = {"lr": lr_schedule(1), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **options)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()
