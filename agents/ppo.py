"""Proximal policy optimisation (PPO) on the native vector environment, from choices to checkpoint.

The algorithm is that of Stable-Baselines3. What this recipe adds:

* an actor whose devices share one network (`actor`), starting at a static plan (`starting_point`);
* a critic that starts at log Psi less a constant, so that the return to expect is nearly known from the first step on;
* exploration that narrows by a schedule, and a judgement on validation tapes that decides which state is kept;
* runs that go on after an interruption, to the last bit as if there had been none.
"""

from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np

from edgelearn_env.agents.actor import Actor
from edgelearn_env.agents.ppo_config import PPOConfig
from edgelearn_env.agents.training_run import Progress, Result, TrainingRun, require_tensorboard
from edgelearn_env.envs.sb3 import NativeVecEnv  # first of those that need the extra, since it says so
from edgelearn_env.scenario import Scenario

import torch  # isort: skip
from stable_baselines3 import PPO  # isort: skip
from stable_baselines3.common.callbacks import BaseCallback  # isort: skip
from stable_baselines3.common.logger import Logger, configure  # isort: skip

from edgelearn_env.agents.actor_critic import StartedPolicy  # isort: skip

# What Stable-Baselines3 keeps between rollouts, beside networks and environments.
_COUNTERS = (
    *("num_timesteps", "_n_updates", "_last_obs", "_last_episode_starts"),
    *("ep_info_buffer", "ep_success_buffer"),
)


def train(
    config: PPOConfig,
    directory: str | Path,
    *,
    fresh: bool = False,
    on_progress: Callable[[Progress], object] = lambda progress: None,
) -> Result:
    """Train, or go on with the run in `directory`; an interrupt (Ctrl-C) saves and returns.

    Seeds the global generators of numpy and torch.

    Args:
        config: choices; to go on, all but `total_steps` and `num_threads` must be those the run was begun with.
        directory: of the run's files.
        fresh: begin anew, whatever the directory holds.
        on_progress: called after each rollout.

    Raises:
        InvalidInputError: the directory holds a run with other choices, or a damaged one.
    """
    directory = Path(directory)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.num_threads)
    try:
        run = _Run(config, directory, on_progress)
        if not fresh:
            run.restore()
        return run.finish()
    finally:
        torch.set_num_threads(threads)


class _Run(BaseCallback):
    """A run in progress; Stable-Baselines3 calls it around each rollout."""

    def __init__(self, config: PPOConfig, directory: Path, on_progress: Callable[[Progress], object]) -> None:
        super().__init__()
        self._config, self._on_progress = config, on_progress
        self._kept = TrainingRun("ppo", config, directory)
        self._ppo = algorithm(config, config.system, directory)

    def finish(self) -> Result:
        """Train until the last step or an interrupt."""
        remaining, interrupted = self._config.total_steps - self._ppo.num_timesteps, False
        try:
            if remaining > 0:
                self._ppo.learn(remaining, callback=self, reset_num_timesteps=False)
                self._judge()
                self._remember()
        except KeyboardInterrupt:
            if not self._kept.curve:
                raise
            interrupted = True
        self._kept.write_snapshot()
        return self._kept.result(interrupted=interrupted)

    def restore(self) -> None:
        """Go on where the directory's snapshot was taken, if it has one."""
        saved = self._kept.restored()
        if saved is None:
            return
        self._ppo.set_env(saved["envs"], force_reset=False)
        self._ppo.policy.load_state_dict(saved["policy"])
        self._ppo.policy.optimizer.load_state_dict(saved["optimizer"])
        for name, value in saved["counters"].items():
            setattr(self._ppo, name, value)
        np.random.set_state(saved["numpy"])  # noqa: NPY002 (Stable-Baselines3 draws its minibatches from it)
        torch.set_rng_state(saved["torch"])

    def _on_rollout_start(self) -> None:
        steps, curve = self._ppo.num_timesteps, self._kept.curve
        rollouts = steps // (self._config.num_envs * self._config.rollout_steps)
        due = rollouts % self._config.validate_every == 0 and not (curve and curve[-1].steps == steps)
        if due:
            self._judge()
        first, last = self._config.log_std, self._config.final_log_std
        self._ppo.policy.explore(first + (last - first) * self._share())  # type: ignore[operator]
        self._remember()
        if due:
            self._kept.write_snapshot()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._on_progress(self._kept.progress(self._share(), self._ppo.num_timesteps, self._mean_return()))

    def _judge(self) -> None:
        actor: Actor = self._ppo.policy.actor()  # type: ignore[operator]
        value = self._kept.judge(actor, self._share(), self._ppo.num_timesteps, self._mean_return())
        self._ppo.logger.record("validation/objective", value)

    def _share(self) -> float:
        return min(1.0, self._ppo.num_timesteps / self._config.total_steps)

    def _mean_return(self) -> float:
        returns = [episode["r"] for episode in self._ppo.ep_info_buffer or ()]
        return float(np.mean(returns)) if returns else float("nan")

    def _remember(self) -> None:
        self._kept.remember(
            {
                "envs": self._ppo.env,
                "policy": self._ppo.policy.state_dict(),
                "optimizer": self._ppo.policy.optimizer.state_dict(),
                "counters": {name: getattr(self._ppo, name) for name in _COUNTERS},
                "numpy": np.random.get_state(),  # noqa: NPY002
                "torch": torch.get_rng_state(),
            }
        )


def algorithm(config: PPOConfig, scenario: Scenario, directory: Path) -> PPO:
    """The algorithm before its first step."""
    envs = NativeVecEnv([lambda: gymnasium.make("EdgeLearn/TwoStage-v0", scenario=scenario)] * config.num_envs)
    ppo = PPO(
        StartedPolicy,
        envs,
        learning_rate=lambda remaining: config.learning_rate * remaining,
        n_steps=config.rollout_steps,
        batch_size=config.minibatch_size,
        n_epochs=config.epochs,
        gamma=config.discount,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        target_kl=config.target_kl,
        ent_coef=0.0,
        policy_kwargs={
            "scenario": scenario,
            "hidden": config.hidden,
            "critic_hidden": config.critic_hidden,
            "log_std_init": config.log_std,
        },
        seed=config.seed,
        device="cpu",
    )
    ppo.set_logger(_logger(config, directory))
    return ppo


def _logger(config: PPOConfig, directory: Path) -> Logger:
    """Where Stable-Baselines3 writes what it measures: to TensorBoard's files, or nowhere."""
    if not config.tensorboard:
        return configure(None, [])
    require_tensorboard()
    return configure(str(directory / "tensorboard"), ["tensorboard"])
