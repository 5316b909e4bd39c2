"""The choices of the SAC recipe; they load without torch."""

import dataclasses
from typing import ClassVar

from edgelearn_env.agents.configs.run import RunConfig
from edgelearn_env.scenarios.quantities import Quantities, quantity


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SACConfig(RunConfig):
    """What decides a training run."""

    free_choices: ClassVar[tuple[str, ...]] = ("total_steps", *RunConfig.free_choices)

    total_steps: int = quantity("environment steps", "n", "step", at_least=1, integer=True, default=400_000)
    num_envs: int = quantity("environments stepped together", "B", at_least=1, integer=True, default=64)
    rollout_steps: int = quantity("steps of each between updates", "n", at_least=1, integer=True, default=1)
    gradient_steps: int = quantity("updates after each rollout", "n", at_least=1, integer=True, default=1)
    minibatch_size: int = quantity("steps that a gradient is averaged over", "n", at_least=2, integer=True, default=256)
    buffer_size: int = quantity("steps that are remembered", "n", "step", at_least=2, integer=True, default=300_000)
    learning_starts: int = quantity(
        "steps before the first update", "n", "step", at_least=0, integer=True, default=10_000
    )
    learning_rate: float = quantity("of Adam at the start; falls linearly to 0", "alpha", above=0, default=1e-3)
    actor_rate: float = quantity("of the actor beside the critics", "c", above=0, default=0.03)
    discount: float = quantity("the return of a finite episode needs none", "gamma", above=0, at_most=1, default=1.0)
    return_steps: int = quantity("rewards before a critic goes on", "n", at_least=1, integer=True, default=3)
    target_rate: float = quantity("at which target networks follow", "tau", above=0, at_most=1, default=0.05)
    log_std: float = quantity("of exploration at the start", "log sigma", at_least=-10, at_most=2, default=-1.5)
    warm_up: float = quantity("share of the run in which only critics learn", "w", at_least=0, at_most=1, default=0.5)
    entropy_weight: float = quantity("temperature at the start", "alpha", above=0, default=1e-4)
    hidden: int = quantity("units a layer of the actor", "H", at_least=1, integer=True, default=32)
    critic_hidden: int = quantity("units a layer of the critics", "H_v", at_least=1, integer=True, default=64)
    validate_every: int = quantity("rollouts between judgements", "n", at_least=1, integer=True, default=100)

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        self.require_training_seeds(self.num_envs)

    @property
    def steps_a_rollout(self) -> int:
        """Of all environments together."""
        return self.num_envs * self.rollout_steps
