"""The choices of the recipe of analytic policy gradients; they load without torch."""

import dataclasses
from typing import Any

from edgelearn_env.envs.arguments import ScenarioSource, configured_scenario
from edgelearn_env.quantities import Quantities, quantity
from edgelearn_env.scenario import Scenario
from edgelearn_env.seeds import TUNING


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class APGConfig(Quantities):
    """What decides a training run.

    Attributes:
        scenario: anything `Scenario.load` takes.
        objective: replaces `learning.objective`, unless None.
        tensorboard: whether to write logs for TensorBoard too.
    """

    scenario: ScenarioSource = "default"
    objective: str | None = None
    tensorboard: bool = False
    seed: int = quantity("of networks and tapes", "seed", at_least=0, integer=True, default=0)
    total_updates: int = quantity("gradient steps", "n", at_least=1, integer=True, default=800)
    num_tapes: int = quantity("tapes an update", "n", at_least=1, integer=True, default=128)
    learning_rate: float = quantity("of Adam at the start; falls linearly to 0", "alpha", above=0, default=2e-3)
    averaging: float = quantity("decay of the running average of weights", "beta", at_least=0, below=1, default=0.98)
    hidden: int = quantity("units a layer of the actor", "H", at_least=1, integer=True, default=64)
    validation_tapes: int = quantity("tapes a state is judged on", "n", at_least=1, integer=True, default=300)
    validate_every: int = quantity("updates between judgements", "n", at_least=1, integer=True, default=20)
    num_threads: int = quantity("threads of torch", "n", at_least=1, integer=True, default=1)

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        least = TUNING - self.num_tapes
        self.require(self.seed <= least, "seed", f"must be at most {least}, so that training meets no other tapes")

    @classmethod
    def name_of(cls, field: str) -> str:
        """The name users see: the field's own."""
        return field

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
        return ("num_threads", "tensorboard")
