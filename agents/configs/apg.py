"""The choices of the recipe of analytic policy gradients; they load without torch."""

import dataclasses

from edgelearn_env.agents.configs.run import RunConfig
from edgelearn_env.envs.arguments import configured_scenario
from edgelearn_env.scenarios.quantities import Quantities, quantity
from edgelearn_env.two_stage.scenario import TwoStageScenario


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class APGConfig(RunConfig):
    """What decides a training run.

    Attributes:
        begin_with: checkpoint whose networks are trained further, by name or path; or a recipe, for its run of the same
            seed that comes with the package. New networks if None.
    """

    begin_with: str | None = None
    total_updates: int = quantity("gradient steps", "n", at_least=1, integer=True, default=250)
    num_tapes: int = quantity("tapes an update", "n", at_least=1, integer=True, default=64)
    learning_rate: float = quantity("of Adam at the start; falls linearly to 0", "alpha", above=0, default=1e-3)
    averaging: float = quantity("decay of the running average of weights", "beta", at_least=0, below=1, default=0.98)
    hidden: int = quantity("units a layer of the actor", "H", at_least=1, integer=True, default=64)
    validation_tapes: int = quantity("tapes a state is judged on", "n", at_least=1, integer=True, default=1000)
    validate_every: int = quantity("updates between judgements", "n", at_least=1, integer=True, default=25)

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        self.require_training_seeds(1)

    @property
    def loaded_scenario(self) -> TwoStageScenario:
        """The scenario that `scenario` and `objective` name.

        Raises:
            InvalidInputError: it is of another system: codes and blocks are steps, without a derivative.
        """
        return configured_scenario(TwoStageScenario, self.scenario, self.objective, {})

    @property
    def trims(self) -> bool:
        """Its rounds are."""
        return True
