"""Soft actor-critic (SAC) on the native vector environment, from choices to checkpoint.

The algorithm is that of Stable-Baselines3. What this recipe adds:

* an actor whose devices share one network (`actor`), starting at a static plan (`starting_point`);
* critics that start at log Psi less a constant, so that the return to expect is nearly known from the first step on;
* a while in which only the critics learn, since what they say at first would spoil the actor;
* noise that starts small, and a temperature that starts low: returns of good policies differ by hundredths;
* a judgement on validation tapes that decides which state is kept;
* runs that go on after an interruption from the last judgement, to the last bit as if there had been none.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgelearn_env.agents.configs.sac import SACConfig
from edgelearn_env.agents.runs.sb3_run import (  # first of those that need the extra, since it says so
    SB3Run,
    training_envs,
)
from edgelearn_env.agents.runs.training_run import CurvePoint, Result

from stable_baselines3 import SAC  # isort: skip

from edgelearn_env.agents.actor.sac_policy import StartedActor, StartedSACPolicy  # isort: skip
from edgelearn_env.agents.runs.torch_threads import torch_threads  # isort: skip


def train(
    config: SACConfig,
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
        sac = algorithm(config)
        actor: StartedActor = sac.actor  # type: ignore[assignment]

        def warm_up(share: float) -> None:
            actor.mu.requires_grad_(share >= config.warm_up)

        run = _Run("sac", config, Path(directory), sac, on_progress, warm_up)
        if not fresh:
            run.restore()
        return run.finish()


class _Run(SB3Run):
    """A run in progress; what SAC keeps beside: the steps it learns from, and the temperature."""

    # The steps it learns from are too many to be written down after each rollout.
    remembers_every_rollout = False

    def _state(self) -> dict[str, Any]:
        sac: Any = self._algorithm
        return super()._state() | {"buffer": sac.replay_buffer, "log_ent_coef": sac.log_ent_coef.detach()}

    def _go_on_from(self, saved: dict[str, Any]) -> None:
        super()._go_on_from(saved)
        sac: Any = self._algorithm
        sac.replay_buffer = saved["buffer"]
        sac.log_ent_coef.data.copy_(saved["log_ent_coef"])


class SlowActorSAC(SAC):
    """SAC whose actor learns at a share of the critics' rate, as two time scales want it.

    Args:
        actor_rate: that share.
        *args, **kwargs: as for `SAC`.
    """

    def __init__(self, *args: Any, actor_rate: float, **kwargs: Any) -> None:
        self._actor_rate = actor_rate
        super().__init__(*args, **kwargs)

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        for group in self.actor.optimizer.param_groups:
            group["lr"] *= self._actor_rate


def algorithm(config: SACConfig) -> SlowActorSAC:
    """The algorithm before its first step."""
    return SlowActorSAC(
        StartedSACPolicy,
        training_envs(config),
        learning_rate=lambda remaining: config.learning_rate * remaining,
        actor_rate=config.actor_rate,
        buffer_size=config.buffer_size,
        learning_starts=config.learning_starts,
        batch_size=config.minibatch_size,
        tau=config.target_rate,
        gamma=config.discount,
        train_freq=config.rollout_steps,
        gradient_steps=config.gradient_steps,
        n_steps=config.return_steps,
        ent_coef=f"auto_{config.entropy_weight}",
        policy_kwargs={
            "scenario": config.loaded_scenario,
            "hidden": config.hidden,
            "critic_hidden": config.critic_hidden,
            "log_std_init": config.log_std,
        },
        seed=config.seed,
        device="cpu",
    )
