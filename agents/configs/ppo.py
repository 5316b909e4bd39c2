"""The choices of the PPO recipe; they load without torch."""

import dataclasses
from typing import ClassVar

from edgelearn_env.agents.configs.run import RunConfig
from edgelearn_env.scenarios.quantities import Quantities, quantity


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PPOConfig(RunConfig):
    """What decides a training run.

    With `trims`, rounds are trimmed before they are played, in training and ever after.
    """

    free_choices: ClassVar[tuple[str, ...]] = ("total_steps", *RunConfig.free_choices)

    trims: bool = False
    total_steps: int = quantity("environment steps", "n", "step", at_least=1, integer=True, default=18_000_000)
    num_envs: int = quantity("environments stepped together", "B", at_least=1, integer=True, default=1024)
    rollout_steps: int = quantity("steps of each between updates", "n", at_least=2, integer=True, default=128)
    num_minibatches: int = quantity("updates in a pass over a rollout", "n", at_least=1, integer=True, default=16)
    epochs: int = quantity("passes over a rollout", "n", at_least=1, integer=True, default=4)
    learning_rate: float = quantity("of Adam at the start; falls linearly to 0", "alpha", above=0, default=1e-3)
    discount: float = quantity("the return of a finite episode needs none", "gamma", above=0, at_most=1, default=1.0)
    gae_lambda: float = quantity("of the advantage estimate", "lambda", at_least=0, at_most=1, default=0.97)
    clip_range: float = quantity("how far a probability ratio counts", "epsilon", above=0, default=0.2)
    target_kl: float = quantity("divergence that ends the passes over a rollout", "d", above=0, default=0.04)
    log_std: float = quantity("of exploration at the start", "log sigma", at_least=-10, at_most=2, default=-1.5)
    final_log_std: float = quantity("at the end; linear", "log sigma", at_least=-10, at_most=2, default=-2.8)
    hidden: int = quantity("units a layer of the actor", "H", at_least=1, integer=True, default=32)
    critic_hidden: int = quantity("units a layer of the critic", "H_v", at_least=1, integer=True, default=128)
    validate_every: int = quantity("rollouts between judgements", "n", at_least=1, integer=True, default=5)

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        self.require_training_seeds(self.num_envs)
        steps = self.steps_a_rollout
        fits = steps % self.num_minibatches == 0 and steps >= 2 * self.num_minibatches
        sentence = f"must split {steps} steps (num_envs * rollout_steps) into equal parts of at least 2"
        self.require(fits, "num_minibatches", sentence)

    @property
    def steps_a_rollout(self) -> int:
        """Of all environments together."""
        return self.num_envs * self.rollout_steps

    @property
    def minibatch_size(self) -> int:
        """Steps that a gradient is averaged over."""
        return self.steps_a_rollout // self.num_minibatches
