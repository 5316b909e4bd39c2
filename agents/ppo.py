"""Proximal policy optimisation (PPO) on the native vector environment, from choices to checkpoint.

The algorithm is that of Stable-Baselines3. What this recipe adds:

* an actor whose devices share one network (`actor`), starting at a static plan (`starting_point`);
* a critic that starts at log Psi less a constant, so that the return to expect is nearly known from the first step on;
* exploration that narrows by a schedule, and a judgement on validation tapes that decides which state is kept;
* runs that go on after an interruption, to the last bit as if there had been none.
"""

from collections.abc import Callable
from pathlib import Path

from edgelearn_env.agents.configs.ppo import PPOConfig
from edgelearn_env.agents.runs.sb3_run import (  # first of those that need the extra, since it says so
    SB3Run,
    training_envs,
)
from edgelearn_env.agents.runs.training_run import CurvePoint, Result

from stable_baselines3 import PPO  # isort: skip

from edgelearn_env.agents.actor.ppo_policy import StartedPolicy  # isort: skip
from edgelearn_env.agents.runs.torch_threads import torch_threads  # isort: skip


def train(
    config: PPOConfig,
    directory: str | Path,
    *,
    fresh: bool = False,
    on_progress: Callable[[CurvePoint], object] = lambda progress: None,
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
    with torch_threads(config.num_threads):
        ppo = algorithm(config)
        policy: StartedPolicy = ppo.policy  # type: ignore[assignment]
        first, last = config.log_std, config.final_log_std

        def explore(share: float) -> None:
            policy.explore(first + (last - first) * share)

        run = SB3Run("ppo", config, Path(directory), ppo, on_progress, explore)
        if not fresh:
            run.restore()
        return run.finish()


def algorithm(config: PPOConfig) -> PPO:
    """The algorithm before its first step."""
    return PPO(
        StartedPolicy,
        training_envs(config),
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
            "scenario": config.loaded_scenario,
            "hidden": config.hidden,
            "critic_hidden": config.critic_hidden,
            "log_std_init": config.log_std,
        },
        seed=config.seed,
        device="cpu",
    )
