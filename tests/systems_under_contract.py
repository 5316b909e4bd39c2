"""The systems that the contract is checked on: all that are registered, each by its smallest preset."""

from importlib import resources

import gymnasium
import numpy as np

from edgelearn_env import Scenario
from edgelearn_env.scenarios.systems import SYSTEMS

SYSTEM_NAMES = tuple(SYSTEMS)


def small_scenario(name: str) -> Scenario:
    """The preset of a system with the least rounds and devices."""
    files = [file.name for file in resources.files(SYSTEMS[name].presets).iterdir() if file.name.endswith(".toml")]
    presets = [Scenario.preset(file.removesuffix(".toml")) for file in files]
    return min(presets, key=lambda scenario: scenario.budgets.max_rounds * scenario.num_devices)


def smallest_preset(environment: str) -> str:
    """Name of the smallest preset that an environment plays, by its id."""
    names = {SYSTEMS[name].environment: small_scenario(name).name for name in SYSTEM_NAMES}
    return names.get(environment, "tiny")


def random_actions(envs: gymnasium.vector.VectorEnv, num_steps: int) -> np.ndarray:
    """Actions of many environments, float32, (T, B, action_size); some of each kind of stage."""
    rng = np.random.default_rng(5)
    actions = rng.uniform(-1.1, 0.6, (num_steps, *envs.action_space.shape)).astype(np.float32)
    actions[:, :, 0] = rng.uniform(-1.0, 0.1, actions.shape[:2])
    return actions
