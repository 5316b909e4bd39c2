"""The choices of the PPO recipe; they load without torch."""

import dataclasses
from typing import Any

from edgelearn_env.envs.arguments import ScenarioSource, configured_scenario
from edgelearn_env.quantities import Quantities, quantity
from edgelearn_env.scenario import Scenario
from edgelearn_env.seeds import TUNING


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PPOConfig(Quantities):
    """What decides a training run.

    Attributes:
        scenario: anything `Scenario.load` takes.
        objective: replaces `learning.objective`, unless None.
        tensorboard: whether to write logs for TensorBoard too.
    """

    scenario: ScenarioSource = "default"
    objective: str | None = None
    tensorboard: bool = False
    seed: int = quantity("of networks, exploration and tapes", "seed", at_least=0, integer=True, default=0)
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
    validation_tapes: int = quantity("tapes a state is judged on", "n", at_least=1, integer=True, default=100)
    validate_every: int = quantity("rollouts between judgements", "n", at_least=1, integer=True, default=5)
    num_threads: int = quantity("threads of torch", "n", at_least=1, integer=True, default=1)

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        least = TUNING - self.num_envs
        self.require(self.seed <= least, "seed", f"must be at most {least}, so that training meets no other tapes")
        steps = self.num_envs * self.rollout_steps
        fits = steps % self.num_minibatches == 0 and steps >= 2 * self.num_minibatches
        sentence = f"must split {steps} steps (num_envs * rollout_steps) into equal parts of at least 2"
        self.require(fits, "num_minibatches", sentence)

    @classmethod
    def name_of(cls, field: str) -> str:
        """The name users see: the field's own."""
        return field

    @property
    def minibatch_size(self) -> int:
        """Steps that a gradient is averaged over."""
        return self.num_envs * self.rollout_steps // self.num_minibatches

    @property
    def system(self) -> Scenario:
        """The scenario that `scenario` and `objective` name."""
        return configured_scenario(self.scenario, self.objective, {})

    @property
    def choices(self) -> dict[str, Any]:
        """All fields but the scenario's, as plain values."""
        names = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in names if name not in ("scenario", "objective")}

    @property
    def free_choices(self) -> tuple[str, ...]:
        """Names of those that may change between two sittings of a run."""
        return ("total_steps", "num_threads", "tensorboard")
