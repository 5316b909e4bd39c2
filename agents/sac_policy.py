"""The policy that SAC trains: an `Actor` with noise, and critics that see all devices at once."""

from typing import Any

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.sac.policies import SACPolicy
from torch import nn

from edgelearn_env.agents.actor import LOG_BOUND, Actor, Start
from edgelearn_env.agents.actor_module import ActorModule
from edgelearn_env.agents.starting_point import starting_point
from edgelearn_env.encoding import Codec
from edgelearn_env.scenario import Scenario


class StartedActor(SACActor):
    """Normal around the actions of an `Actor`, cut to the action space.

    The usual tanh would have to be undone where a checkpoint acts without torch.

    Args:
        start: of the scenario that is played.
        hidden: units a layer of the actor.
        log_std_init: log of the standard deviation before any training.
        **kwargs: as for the actor of Stable-Baselines3.
    """

    def __init__(self, *, start: Start, hidden: int, log_std_init: float, **kwargs: Any) -> None:
        super().__init__(**(kwargs | {"net_arch": [], "log_std_init": log_std_init}))
        self.mu: nn.Module = ActorModule(start, hidden)
        self.action_dist: Any = DiagGaussianDistribution(self.action_space.shape[0])
        log_std: Any = self.log_std
        nn.init.zeros_(log_std.weight)
        nn.init.constant_(log_std.bias, log_std_init)

    def forward(self, obs: Any, deterministic: bool = False) -> torch.Tensor:
        """Actions, (B, 3 + 3 K)."""
        return super().forward(obs, deterministic).clamp(-1.0, 1.0)

    def action_log_prob(self, obs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions, and the log of their density before they are cut."""
        actions, log_prob = super().action_log_prob(obs)
        return actions.clamp(-1.0, 1.0), log_prob


class StartedCritic(ContinuousCritic):
    """Critics that start at log Psi, as it is observed, less the log Phi that the start ends with.

    Args:
        start: of the scenario that is played.
        log_bound_range: log Psi where its observation is 0 and where it is 1.
        **kwargs: as for the critic of Stable-Baselines3.
    """

    def __init__(self, *, start: Start, log_bound_range: tuple[float, float], **kwargs: Any) -> None:
        super().__init__(**(kwargs | {"features_dim": sum(part.size for part in start.mean)}))
        self._seen = ActorModule(start, 1).requires_grad_(False)
        low, high = log_bound_range
        self._slope, self._offset = high - low, low - float(start.log_bound)
        self.q_networks: Any = [_calm(network) for network in self.q_networks]
        for index, network in enumerate(self.q_networks):
            self.add_module(f"qf{index}", network)

    def forward(self, obs: Any, actions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The return to expect from each critic, (B, 1)."""
        shared, own = self._seen.start.standardised(obs)
        inputs = torch.cat([shared, own.flatten(1), actions], dim=1)
        started = self._slope * obs[:, LOG_BOUND : LOG_BOUND + 1] + self._offset
        return tuple(started + network(inputs) for network in self.q_networks)


def _calm(network: Any) -> nn.Sequential:
    """The same with its hidden units normalised, so that it cannot promise much for actions never tried; 0 at first."""
    layers: list[nn.Module] = []
    for layer in network:
        layers.append(layer)
        if isinstance(layer, nn.Linear) and layer is not network[-1]:
            layers.append(nn.LayerNorm(layer.out_features))
    last: Any = layers[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers)


class StartedSACPolicy(SACPolicy):
    """A policy whose mean action, before any training, plays the scenario's starting point.

    Args:
        scenario: the system.
        hidden, critic_hidden: units a layer.
        **kwargs: as for `SACPolicy`.
    """

    def __init__(self, *args: Any, scenario: Scenario, hidden: int, critic_hidden: int, **kwargs: Any) -> None:
        self._start, self._log_bound_range = starting_point(scenario), Codec.of(scenario).log_bound_range
        self._hidden = hidden
        super().__init__(*args, **(kwargs | {"net_arch": [critic_hidden, critic_hidden]}))

    def trained_actor(self) -> Actor:
        """The actor in plain arrays."""
        module: Any = self.actor.mu
        return module.actor()

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> StartedActor:
        """The actor, at the starting point."""
        kwargs = self._update_features_extractor(self.actor_kwargs, features_extractor)
        return StartedActor(start=self._start, hidden=self._hidden, **kwargs).to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> StartedCritic:
        """The critics, at the starting point."""
        kwargs = self._update_features_extractor(self.critic_kwargs, features_extractor)
        return StartedCritic(start=self._start, log_bound_range=self._log_bound_range, **kwargs).to(self.device)
