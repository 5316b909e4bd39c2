"""A training run of any algorithm of Stable-Baselines3: judged, kept, and gone on with after an interruption."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from edgelearn_env.agents.configs.ppo import PPOConfig
from edgelearn_env.agents.configs.sac import SACConfig
from edgelearn_env.agents.runs.training_run import CurvePoint, Result, TrainingRun, require_tensorboard
from edgelearn_env.envs.sb3 import NativeVecEnv  # first of those that need the extra, since it says so

from edgelearn_env.agents.actor.trimmed_play import TrimmedVecEnv  # isort: skip
import torch  # isort: skip
from stable_baselines3.common.base_class import BaseAlgorithm  # isort: skip
from stable_baselines3.common.callbacks import BaseCallback  # isort: skip
from stable_baselines3.common.logger import Logger, configure  # isort: skip

# What Stable-Baselines3 keeps between rollouts, beside networks and environments.
_COUNTERS = (
    *("num_timesteps", "_n_updates", "_last_obs", "_last_episode_starts"),
    *("ep_info_buffer", "ep_success_buffer"),
)


class SB3Run(BaseCallback):
    """A run in progress; Stable-Baselines3 calls it around each rollout.

    Args:
        recipe: that trains.
        config: its choices.
        directory: of the run's files.
        algorithm: before its first step; its policy has `trained_actor()`, and plays that actor's actions on average.
        schedule: called before each rollout with the share of the run that is done.
        on_progress: called after each rollout.
    """

    # Else only those at which it is judged: what came after the last of them is then done again.
    remembers_every_rollout = True

    def __init__(
        self,
        recipe: str,
        config: PPOConfig | SACConfig,
        directory: Path,
        algorithm: BaseAlgorithm,
        on_progress: Callable[[CurvePoint], object],
        schedule: Callable[[float], object],
    ) -> None:
        super().__init__()
        self._config, self._algorithm = config, algorithm
        self._schedule, self._on_progress = schedule, on_progress
        self._kept = TrainingRun(recipe, config, directory)
        algorithm.set_logger(_logger(config, directory))

    def finish(self) -> Result:
        """Train until the last step or an interrupt."""
        remaining = self._config.total_steps - self._algorithm.num_timesteps

        def learn() -> None:
            if remaining > 0:
                self._algorithm.learn(remaining, callback=self, reset_num_timesteps=False)
                self._judge()
                self._kept.remember(self._state())

        return self._kept.result_of(learn)

    def restore(self) -> None:
        """Go on where the directory's snapshot was taken, if it has one."""
        saved = self._kept.restored()
        if saved is not None:
            self._go_on_from(saved)

    def _state(self) -> dict[str, Any]:
        """All that decides what comes next."""
        return {
            "envs": self._algorithm.env,
            "parameters": self._algorithm.get_parameters(),
            "counters": {name: getattr(self._algorithm, name) for name in _COUNTERS},
            "numpy": np.random.get_state(),  # noqa: NPY002 (Stable-Baselines3 draws its minibatches from it)
            "torch": torch.get_rng_state(),
        }

    def _go_on_from(self, saved: dict[str, Any]) -> None:
        """What `_state` told."""
        self._algorithm.set_env(saved["envs"], force_reset=False)
        self._algorithm.set_parameters(saved["parameters"])
        for name, value in saved["counters"].items():
            setattr(self._algorithm, name, value)
        np.random.set_state(saved["numpy"])  # noqa: NPY002
        torch.set_rng_state(saved["torch"])

    def _on_rollout_start(self) -> None:
        steps, curve = self._algorithm.num_timesteps, self._kept.curve
        rollouts = steps // self._config.steps_a_rollout
        due = rollouts % self._config.validate_every == 0 and not (curve and curve[-1].steps == steps)
        if due:
            self._judge()
        self._schedule(self._share())
        if due or self.remembers_every_rollout:
            self._kept.remember(self._state())
        if due:
            self._kept.write_snapshot()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._on_progress(self._kept.progress(self._share(), self._algorithm.num_timesteps, self._mean_return()))

    def _judge(self) -> None:
        policy: Any = self._algorithm.policy
        value = self._kept.judge(
            policy.trained_actor(), self._share(), self._algorithm.num_timesteps, self._mean_return()
        )
        self._algorithm.logger.record("validation/objective", value)

    def _share(self) -> float:
        return min(1.0, self._algorithm.num_timesteps / self._config.total_steps)

    def _mean_return(self) -> float:
        returns = [episode["r"] for episode in self._algorithm.ep_info_buffer or ()]
        return float(np.mean(returns)) if returns else float("nan")


def training_envs(config: PPOConfig | SACConfig) -> NativeVecEnv:
    """The environments of a run, stepped together."""
    scenario = config.loaded_scenario
    made = [lambda: gymnasium.make(scenario.environment, scenario=scenario)] * config.num_envs
    return TrimmedVecEnv(made, scenario) if config.trims else NativeVecEnv(made)


def _logger(config: PPOConfig | SACConfig, directory: Path) -> Logger:
    """Where Stable-Baselines3 writes what it measures: to TensorBoard's files, or nowhere."""
    if not config.tensorboard:
        return configure(None, [])
    require_tensorboard()
    return configure(str(directory / "tensorboard"), ["tensorboard"])
