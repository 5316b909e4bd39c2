"""What the objective of each system is called where results are told."""

from edgelearn_env.model import Column
from edgelearn_env.scenarios.scenario import Scenario

_PHI = Column("objective", "Φ", "bound on the mean squared gradient norm when the episode ends")
_OF_SYSTEM = {"layer-tuning": Column("objective", "J", "bound on the task loss above the least of all nets at the end")}


def objective_of(scenario: Scenario) -> Column:
    """Its symbol and meaning: Φ, a bound on a gradient norm, unless the system has another."""
    return _OF_SYSTEM.get(scenario.system, _PHI)
