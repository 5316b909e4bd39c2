"""The policy that PPO trains: an `Actor`, and a critic that sees all devices at once."""

from typing import Any

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from edgelearn_env.agents.actor.actor import LOG_BOUND, Actor, Start
from edgelearn_env.agents.actor.module import ActorModule
from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.stages.encoding import Codec
from edgelearn_env.stages.scenario import StagedScenario


class Bodies(nn.Module):
    """What Stable-Baselines3 calls an MLP extractor: all of the actor, and the critic but for its last layer."""

    def __init__(self, start: Start, hidden: int, critic_hidden: int) -> None:
        super().__init__()
        self.actor = ActorModule(start, hidden)
        self.critic = nn.Sequential(
            *(nn.Linear(sum(part.size for part in start.mean), critic_hidden), nn.Tanh()),
            *(nn.Linear(critic_hidden, critic_hidden), nn.Tanh()),
        )
        self.latent_dim_pi = start.sizes.decided_for_all + start.sizes.decided_for_device * len(start.traits)
        self.latent_dim_vf = critic_hidden + 1

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean action, and what the value is linear in."""
        return self.forward_actor(observation), self.forward_critic(observation)

    def forward_actor(self, observation: torch.Tensor) -> torch.Tensor:
        """`Actor.action`."""
        action: torch.Tensor = self.actor(observation)
        return action

    def forward_critic(self, observation: torch.Tensor) -> torch.Tensor:
        """Hidden units of the critic, and the log of the bound as it stands."""
        shared, own = self.actor.start.standardised(observation)
        hidden = self.critic(torch.cat([shared, own.flatten(1)], dim=1))
        return torch.cat([hidden, observation[:, LOG_BOUND : LOG_BOUND + 1]], dim=1)


class StartedPolicy(ActorCriticPolicy):
    """A policy whose mean action, before any training, plays the scenario's starting point.

    Args:
        scenario: the system.
        hidden, critic_hidden: units a layer.
        **kwargs: as for `ActorCriticPolicy`.
    """

    def __init__(self, *args: Any, scenario: StagedScenario, hidden: int, critic_hidden: int, **kwargs: Any) -> None:
        self._sizes = (hidden, critic_hidden)
        self._start, self._log_bound_range = starting_point(scenario), Codec.of(scenario).log_bound_range
        super().__init__(*args, **(kwargs | {"ortho_init": False}))

    def trained_actor(self) -> Actor:
        """The actor in plain arrays."""
        bodies: Any = self.mlp_extractor
        actor: Actor = bodies.actor.actor()
        return actor

    def explore(self, log_std: float) -> None:
        """Let actions vary by that much around their mean from now on; it is a schedule's choice, not learnt."""
        self.log_std.requires_grad_(False).fill_(log_std)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = Bodies(self._start, *self._sizes)  # type: ignore[assignment]

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()
        with torch.no_grad():
            nn.init.zeros_(self.value_net.weight)
            # What is still to be gained: log Psi, as it is observed, less the log Phi that the start ends with.
            low, high = self._log_bound_range
            self.value_net.weight[0, -1] = high - low
            self.value_net.bias[0] = low - float(self._start.log_bound)
        options = {"lr": lr_schedule(1), **self.optimizer_kwargs}
        self.optimizer = self.optimizer_class(self.parameters(), **options)
