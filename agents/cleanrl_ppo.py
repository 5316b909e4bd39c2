"""PPO in one file, on the native vector environment and with torch alone.

    python -m edgelearn_env.agents.cleanrl_ppo --scenario tiny --steps 100000

Written to be read from top to bottom and changed: nothing here is used by other recipes, and nothing of the learning
comes from elsewhere. Episodes end by themselves and never by a time limit, so no value is bootstrapped at an end.
Within 100,000 steps on the tests' scenario of three devices, the mean learning bound falls to less than a third.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode

from edgelearn_env.agents.runs.one_file import (
    Choices,
    CurvePoint,
    EpisodeLog,
    NumEnvs,
    OnProgress,
    Out,
    Result,
    ScenarioName,
    Seed,
    Steps,
    command,
    missing,
    run,
    write_report,
)
from edgelearn_env.files import written_atomically
from edgelearn_env.two_stage.env import TwoStageVectorEnv

try:
    import torch
    from torch import nn
except ImportError as error:
    raise missing(__name__, "torch", "agents") from error

ROLLOUT_STEPS, EPOCHS, MINIBATCHES = 64, 4, 8
LEARNING_RATE, MAX_GRADIENT_NORM = 3e-3, 0.5
DISCOUNT, GAE_LAMBDA = 1.0, 0.95  # the return of a finite episode needs no discount
CLIP_RANGE, VALUE_WEIGHT = 0.2, 0.5
HIDDEN = 64
# Actions reach from -1 to 1. With the usual 0 most of them would be cut off there, and waste the energy budget.
LOG_STD = -1.0


class Agent(nn.Module):
    """A Gaussian policy and a value, each a network of two hidden layers."""

    def __init__(self, num_observations: int, num_actions: int) -> None:
        super().__init__()
        self.actor = _network(num_observations, num_actions, gain=0.01)
        self.critic = _network(num_observations, 1, gain=1.0)
        self.log_std = nn.Parameter(torch.full((num_actions,), LOG_STD))

    def policy(self, observation: torch.Tensor) -> torch.distributions.Independent:
        """Distribution of actions."""
        mean = self.actor(_centred(observation))
        return torch.distributions.Independent(torch.distributions.Normal(mean, self.log_std.exp()), 1)

    def value(self, observation: torch.Tensor) -> torch.Tensor:
        """Return to expect."""
        value: torch.Tensor = self.critic(_centred(observation))
        return value.squeeze(-1)


class Rollout(NamedTuple):
    """Steps that an update learns from, (T, B, ...)."""

    observation: torch.Tensor
    action: torch.Tensor
    log_probability: torch.Tensor
    value: torch.Tensor
    reward: torch.Tensor
    ended: torch.Tensor


def train(choices: Choices, folder: Path, on_progress: OnProgress = lambda progress: None) -> Result:
    """Train, and write the weights and a report to `folder`. Seeds the global generator of torch."""
    torch.manual_seed(choices.seed)
    envs = TwoStageVectorEnv(choices.num_envs, choices.loaded_scenario, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = Agent(envs.codec.observation_size, envs.codec.action_size)
    curve = []
    for progress in _learning(agent, envs, choices):
        curve.append(progress)
        on_progress(progress)
    with written_atomically(folder / "agent.pt") as path:
        torch.save(agent.state_dict(), path)
    write_report(folder, choices, curve)
    return Result(folder / "agent.pt", tuple(curve))


def _learning(agent: Agent, envs: TwoStageVectorEnv, choices: Choices) -> Iterator[CurvePoint]:
    """Collect, update, and so on; yields after each update."""
    optimizer = torch.optim.Adam(agent.parameters(), lr=LEARNING_RATE, eps=1e-5)
    collector, episodes = _Collector(envs, choices.seed), EpisodeLog()
    steps = ROLLOUT_STEPS * envs.num_envs
    num_updates = -(-choices.total_steps // steps)
    for update in range(num_updates):
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1.0 - update / num_updates)
        rollout, last_value = collector.rollout(agent, episodes)
        _update(agent, optimizer, rollout, _advantages(rollout, last_value))
        yield episodes.progress((update + 1) * steps)


class _Collector:
    """Plays the environments and keeps where they are between rollouts."""

    def __init__(self, envs: TwoStageVectorEnv, seed: int) -> None:
        self._envs = envs
        self._observation = torch.as_tensor(envs.reset(seed=seed)[0])
        self._return = np.zeros(envs.num_envs)

    @torch.no_grad()
    def rollout(self, agent: Agent, episodes: EpisodeLog) -> tuple[Rollout, torch.Tensor]:
        """The next steps of all environments, and the value of where they lead."""
        steps = [self._step(agent, episodes) for _ in range(ROLLOUT_STEPS)]
        return Rollout(*(torch.stack(parts) for parts in zip(*steps, strict=True))), agent.value(self._observation)

    def _step(self, agent: Agent, episodes: EpisodeLog) -> Rollout:
        observation, policy = self._observation, agent.policy(self._observation)
        action = policy.sample()
        following, reward, ended, _, info = self._envs.step(action.numpy())
        self._return += reward
        if ended.any():
            episodes.add(self._return[ended], info["final_info"]["objective"][ended])
            self._return[ended] = 0.0
        self._observation = torch.as_tensor(following)
        gained, over = torch.as_tensor(reward, dtype=torch.float32), torch.as_tensor(ended)
        return Rollout(observation, action, policy.log_prob(action), agent.value(observation), gained, over)


def _advantages(rollout: Rollout, last_value: torch.Tensor) -> torch.Tensor:
    """Generalised advantage estimates, (T, B): A_t = d_t + gamma lambda A_t+1 with d_t = r_t + gamma V_t+1 - V_t."""
    advantages = torch.zeros_like(rollout.reward)
    following, advantage = last_value, torch.zeros_like(last_value)
    for step in reversed(range(len(advantages))):
        goes_on = (~rollout.ended[step]).float()
        surprise = rollout.reward[step] + DISCOUNT * goes_on * following - rollout.value[step]
        advantage = surprise + DISCOUNT * GAE_LAMBDA * goes_on * advantage
        advantages[step], following = advantage, rollout.value[step]
    return advantages


def _update(agent: Agent, optimizer: torch.optim.Optimizer, rollout: Rollout, advantages: torch.Tensor) -> None:
    """A few passes over a rollout, in minibatches."""
    flat = Rollout(*(part.flatten(0, 1) for part in rollout))
    advantage, target = advantages.flatten(), advantages.flatten() + flat.value
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(target)).chunk(MINIBATCHES):
            loss = _loss(agent, Rollout(*(part[rows] for part in flat)), advantage[rows], target[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()


def _loss(agent: Agent, batch: Rollout, advantage: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The clipped objective, and the value's error."""
    ratio = (agent.policy(batch.observation).log_prob(batch.action) - batch.log_probability).exp()
    advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
    clipped = ratio.clamp(1.0 - CLIP_RANGE, 1.0 + CLIP_RANGE)
    gain = torch.minimum(ratio * advantage, clipped * advantage).mean()
    return VALUE_WEIGHT * 0.5 * (agent.value(batch.observation) - target).square().mean() - gain


def _network(inputs: int, outputs: int, gain: float) -> nn.Sequential:
    layers = [nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, outputs)]
    for layer, scale in zip(layers, (2**0.5, 2**0.5, gain), strict=True):
        nn.init.orthogonal_(layer.weight, scale)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])


def _centred(observation: torch.Tensor) -> torch.Tensor:
    """Observations from 0 to 1, as networks like them."""
    return 2.0 * observation - 1.0


def main(
    scenario: ScenarioName = "default",
    steps: Steps = 200_000,
    seed: Seed = 0,
    num_envs: NumEnvs = 32,
    out: Out = Path("runs/cleanrl-ppo"),
) -> None:
    """Train an agent with PPO in one file, on the native vector environment."""
    run(train, Choices(scenario=scenario, total_steps=steps, seed=seed, num_envs=num_envs), out)


if __name__ == "__main__":
    command(main, "Train an agent with PPO in one file, on the native vector environment.")
