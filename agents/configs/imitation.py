"""The choices of the imitation recipe; they load without torch."""

import dataclasses

from edgelearn_env.agents.configs.run import RunConfig
from edgelearn_env.scenarios.quantities import Quantities, quantity


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImitationConfig(RunConfig):
    """What decides a training run."""

    num_demonstrations: int = quantity("tapes that plans are made for", "n", at_least=1, integer=True, default=64)
    num_corrections: int = quantity("tapes played each time and corrected", "n", at_least=1, integer=True, default=8)
    num_iterations: int = quantity("times that play is corrected", "n", at_least=0, integer=True, default=3)
    updates_each: int = quantity(
        "gradient steps before and after each time", "n", at_least=1, integer=True, default=3000
    )
    minibatch_size: int = quantity(
        "rounds that a gradient is averaged over", "n", at_least=1, integer=True, default=512
    )
    learning_rate: float = quantity("of Adam; falls linearly to 0 each time", "alpha", above=0, default=2e-3)
    hidden: int = quantity("units a layer of the actor", "H", at_least=1, integer=True, default=64)
    validation_tapes: int = quantity("tapes a state is judged on", "n", at_least=1, integer=True, default=300)
    validate_every: int = quantity("updates between judgements", "n", at_least=1, integer=True, default=1000)

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        self.require_training_seeds(1)

    @property
    def trims(self) -> bool:
        """Its rounds are."""
        return True

    @property
    def num_updates(self) -> int:
        """All gradient steps."""
        return (1 + self.num_iterations) * self.updates_each

    @property
    def num_tapes(self) -> int:
        """All that are learnt from."""
        return self.num_demonstrations + self.num_iterations * self.num_corrections
