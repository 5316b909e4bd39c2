"""What the choices of every recipe that keeps its runs have in common; loads without torch."""

import dataclasses
from typing import Any, ClassVar

from edgelearn_env.agents.actor.trimmer import trimmer
from edgelearn_env.envs.arguments import ScenarioSource, configured_scenario
from edgelearn_env.scenarios.quantities import Quantities, quantity
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.seeds import TUNING


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RunConfig(Quantities):
    """What decides a training run, whatever the recipe.

    Attributes:
        scenario: anything `Scenario.load` takes.
        objective: replaces `learning.objective`, unless None.
        tensorboard: whether to write logs for TensorBoard too.
    """

    # Names of the choices that may change between two sittings of a run.
    free_choices: ClassVar[tuple[str, ...]] = ("num_threads", "tensorboard")

    scenario: ScenarioSource = "default"
    objective: str | None = None
    tensorboard: bool = False
    seed: int = quantity("of networks, exploration and tapes", "seed", at_least=0, integer=True, default=0)
    validation_tapes: int = quantity("tapes a state is judged on", "n", at_least=1, integer=True, default=100)
    num_threads: int = quantity("threads of torch", "n", at_least=1, integer=True, default=1)

    @property
    def trims(self) -> bool:
        """Whether rounds are `trimmed` before they are played, in training and ever after."""
        return False

    @classmethod
    def name_of(cls, field: str) -> str:
        """The name users see: the field's own."""
        return field

    @property
    def loaded_scenario(self) -> StagedScenario:
        """The scenario that `scenario` and `objective` name.

        Raises:
            InvalidInputError: its rounds are to be `trimmed`, but are not in its system.
        """
        scenario = configured_scenario(StagedScenario, self.scenario, self.objective, {})
        if self.trims:
            trimmer(scenario)
        return scenario

    @property
    def choices(self) -> dict[str, Any]:
        """All fields but the scenario's, as plain values."""
        names = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in names if name not in ("scenario", "objective")}

    def require_training_seeds(self, count: int) -> None:
        """Refuse a seed from which so many, one after the other, would leave those of training."""
        most = TUNING - count
        self.require(self.seed <= most, "seed", f"must be at most {most}, so that training meets no other tapes")
