"""Random play in any form of environment: what `edgelearn speed` clocks."""

import functools
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.vector.utils import batch_space

from edgelearn_env.scenarios.scenario import Scenario

NUM_ACTIONS = 16

# Steps each environment as often as there are prepared actions, and returns how many steps that were, all together.
Play = Callable[[], int]


def play_single(env: gymnasium.Env[Any, Any]) -> Play:
    """Of one environment, reset by hand."""
    actions = _actions(env.action_space)
    env.reset(seed=0)

    def play() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return play


def play_vector(envs: gymnasium.vector.VectorEnv[Any, Any, Any]) -> Play:
    """Of a Gymnasium vector environment."""
    envs.reset(seed=0)
    return functools.partial(_stepped, envs.step, _actions(envs.action_space), envs.num_envs)


def play_sb3(scenario: Scenario, num_envs: int) -> Play:
    """Of ours through Stable-Baselines3's interface, which has to be installed."""
    from edgelearn_env.envs.sb3 import NativeVecEnv

    envs = NativeVecEnv([lambda: gymnasium.make(scenario.environment, scenario=scenario)] * num_envs)
    envs.reset()
    return functools.partial(_stepped, envs.step, _actions(batch_space(envs.action_space, num_envs)), num_envs)


def play_tensors(scenario: Scenario, num_envs: int, device: str, *, compiled: bool = False) -> Play:
    """Of ours as tensors on a device, actions included; torch has to be installed. Ends once the device is done."""
    import torch

    from edgelearn_env.envs.tensors import TensorEnv

    envs = TensorEnv(num_envs, scenario, device=device, compiled=compiled)
    envs.reset(seed=0)
    generator = torch.Generator(device).manual_seed(0)
    shape = (NUM_ACTIONS, num_envs, envs.codec.action_size)
    actions = torch.rand(shape, generator=generator, device=device) * 2 - 1

    def play() -> int:
        steps = _stepped(envs.step, actions, num_envs)
        if envs.device.type == "cuda":
            torch.cuda.synchronize(envs.device)
        return steps

    return play


def _stepped(step: Callable[[Any], object], actions: Any, num_envs: int) -> int:
    for action in actions:
        step(action)
    return len(actions) * num_envs


def _actions(space: gymnasium.Space[Any]) -> list[Any]:
    """Random actions, drawn beforehand."""
    space.seed(0)
    return [space.sample() for _ in range(NUM_ACTIONS)]
