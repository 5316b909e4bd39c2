"""What share of PPO's time the environment takes, in the configuration of our own recipe."""

import time
from typing import cast

import numpy as np
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.agents.configs.ppo import PPOConfig
from edgelearn_env.agents.ppo import algorithm  # first of those that need the extra, since it says so
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scripts.speed.timing import percent, seconds_of

import torch  # isort: skip
from stable_baselines3.common.callbacks import BaseCallback  # isort: skip
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper  # isort: skip
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn  # isort: skip


class _Clocked(VecEnvWrapper):
    """Environments that add up how long their steps take, s."""

    step_s = 0.0

    def reset(self) -> VecEnvObs:
        """Begin anew, unclocked."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Do the step."""
        elapsed_s, result = seconds_of(self.venv.step_wait)
        self.step_s += elapsed_s
        return result


class _Clock(BaseCallback):
    """Notes of each rollout, and of each iteration up to the next one, its time and that in the environments, s."""

    def __init__(self, envs: _Clocked, progress: Progress, num_rollouts: int) -> None:
        super().__init__()
        self.rollouts: list[tuple[float, float]] = []
        self.iterations: list[tuple[float, float]] = []
        self._envs, self._progress = envs, progress
        self._task = progress.add_task("training", total=num_rollouts)

    def _on_rollout_start(self) -> None:
        if self.rollouts:
            self.iterations.append(self._elapsed())
        self._start_s, self._envs.step_s = time.perf_counter(), 0.0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.rollouts.append(self._elapsed())
        self._progress.advance(self._task)

    def _on_training_end(self) -> None:
        self.iterations.append(self._elapsed())

    def _elapsed(self) -> tuple[float, float]:
        return time.perf_counter() - self._start_s, self._envs.step_s


def timed_rollout(config: PPOConfig, progress: Progress, *, num_rollouts: int = 6) -> Table:
    """Time inside `env.step` over the time of a rollout, and of a rollout with the updates on it: median and range.

    A rollout is Stable-Baselines3's `collect_rollouts`. The first, which still compiles and allocates, is left out.

    Args:
        config: of the recipe.
        progress: where to show how far it is.
        num_rollouts: how many, at least 2.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(config.num_threads)
    try:
        ppo = algorithm(config)
        envs = _Clocked(cast(VecEnv, ppo.env))
        ppo.set_env(envs)
        clock = _Clock(envs, progress, num_rollouts)
        ppo.learn(num_rollouts * config.num_envs * config.rollout_steps, callback=clock)
    finally:
        torch.set_num_threads(threads)
    subject = f"PPO, {config.num_envs} environments, {config.rollout_steps} steps"
    table = table_of(subject, "median, s", "in the environment, s", "its share", "range")
    for label, each in (("rollout", clock.rollouts), ("rollout and updates", clock.iterations)):
        whole_s, step_s = np.array(each[1:]).T
        share = step_s / whole_s
        spread = f"{percent(share.min())} to {percent(share.max())}"
        table.add_row(
            label, f"{np.median(whole_s):.2f}", f"{np.median(step_s):.3f}", percent(float(np.median(share))), spread
        )
    return table
