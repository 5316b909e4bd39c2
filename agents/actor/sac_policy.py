"""The policy that SAC trains: an `Actor` with noise, and critics that see all devices."""

from typing import Any

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.sac.policies import SACPolicy
from torch import nn

from edgelearn_env.agents.actor.actor import (
    LOG_BOUND,
    Actor,
    Features,
    Start,
    decided_in,
)
from edgelearn_env.agents.actor.module import ActorModule
from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.stages.encoding import Codec
from edgelearn_env.stages.scenario import StagedScenario


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
        self.mu: ActorModule = ActorModule(start, hidden)
        self.action_dist: Any = DiagGaussianDistribution(self.action_space.shape[0])
        log_std: Any = self.log_std
        nn.init.zeros_(log_std.weight)
        nn.init.constant_(log_std.bias, log_std_init)

    def forward(self, obs: Any, deterministic: bool = False) -> torch.Tensor:
        """Actions, (B, action_size)."""
        return super().forward(obs, deterministic).clamp(-1.0, 1.0)

    def action_log_prob(self, obs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions, and the log of their density before they are cut."""
        actions, log_prob = super().action_log_prob(obs)
        return actions.clamp(-1.0, 1.0), log_prob


class SharedCritic(nn.Module):
    """One network for each device with its action, shared by all; mean and maximum over the devices; a network for all.

    A round adds up over devices (energy, gradient noise) and waits for the last of them (time). Hidden units are
    normalised, so that a critic cannot promise much for actions that were never tried.

    Args:
        start: of the scenario that is played.
        hidden: units a layer.
    """

    def __init__(self, start: Start, hidden: int) -> None:
        super().__init__()
        self._sizes = sizes = start.sizes
        own = sizes.of_device + sizes.decided_for_device
        self.device = nn.Sequential(*_layer(own, hidden), *_layer(hidden, hidden))
        self.all = nn.Sequential(
            *_layer(sizes.context + sizes.decided_for_all + 2 * hidden, hidden),
            *_layer(hidden, hidden),
            nn.Linear(hidden, 1),
        )
        last: Any = self.all[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.traits: Any
        self.register_buffer("traits", torch.tensor(start.traits))

    def forward(self, seen: Features, actions: torch.Tensor) -> torch.Tensor:
        """What is added to the start's expectation, (B, 1)."""
        size, num_devices = len(actions), len(self.traits)
        context = torch.cat([seen.shared, seen.own.mean(dim=1), seen.own.amin(dim=1)], dim=1)
        for_all, decided = decided_in(actions, num_devices, self._sizes.decided_for_all)
        parts = [context[:, None].expand(-1, num_devices, -1), seen.own, self.traits.expand(size, -1, -1), decided]
        devices = self.device(torch.cat(parts, dim=2))
        pooled = [context, for_all, devices.mean(dim=1), devices.amax(dim=1)]
        added: torch.Tensor = self.all(torch.cat(pooled, dim=1))
        return added


class StartedCritic(ContinuousCritic):
    """Critics that start at log Psi, as it is observed, less the log Phi that the start ends with.

    Args:
        start: of the scenario that is played.
        log_bound_range: log Psi where its observation is 0 and where it is 1.
        hidden: units a layer.
        **kwargs: as for the critic of Stable-Baselines3.
    """

    def __init__(self, *, start: Start, log_bound_range: tuple[float, float], hidden: int, **kwargs: Any) -> None:
        super().__init__(**(kwargs | {"net_arch": [1]}))
        self._seen = ActorModule(start, 1).requires_grad_(False)
        low, high = log_bound_range
        self._slope, self._offset = high - low, low - float(start.log_bound)
        self.q_networks: Any = [SharedCritic(start, hidden) for _ in self.q_networks]
        for index, network in enumerate(self.q_networks):
            self.add_module(f"qf{index}", network)

    def forward(self, obs: Any, actions: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The return to expect from each critic, (B, 1)."""
        seen = self._seen.start.standardised(obs)
        started = self._slope * obs[:, LOG_BOUND : LOG_BOUND + 1] + self._offset
        return tuple(started + network(seen, actions) for network in self.q_networks)


def _layer(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.ReLU()


class StartedSACPolicy(SACPolicy):
    """A policy whose mean action, before any training, plays the scenario's starting point.

    Args:
        scenario: the system.
        hidden, critic_hidden: units a layer.
        **kwargs: as for `SACPolicy`.
    """

    actor: StartedActor

    def __init__(self, *args: Any, scenario: StagedScenario, hidden: int, critic_hidden: int, **kwargs: Any) -> None:
        self._start, self._log_bound_range = starting_point(scenario), Codec.of(scenario).log_bound_range
        self._hidden, self._critic_hidden = hidden, critic_hidden
        super().__init__(*args, **kwargs)

    def trained_actor(self) -> Actor:
        """The actor in plain arrays."""
        return self.actor.mu.actor()

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> StartedActor:
        """The actor, at the starting point."""
        kwargs = self._update_features_extractor(self.actor_kwargs, features_extractor)
        return StartedActor(start=self._start, hidden=self._hidden, **kwargs).to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> StartedCritic:
        """The critics, at the starting point."""
        kwargs = self._update_features_extractor(self.critic_kwargs, features_extractor)
        kwargs |= {"start": self._start, "log_bound_range": self._log_bound_range, "hidden": self._critic_hidden}
        return StartedCritic(**kwargs).to(self.device)
