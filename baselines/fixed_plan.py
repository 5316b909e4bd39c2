"""The fixed policy: the static design, played open loop whatever happens."""

from edgelearn_env.baselines.plan import Plan
from edgelearn_env.baselines.static_design import static_design
from edgelearn_env.baselines.static_rounds import average_tape
from edgelearn_env.scenario import Scenario

__all__ = ["average_tape", "fixed_plan"]


def fixed_plan(scenario: Scenario) -> Plan:
    """The static design in whole batches: best if the channel stayed at its mean and batteries never ran short."""
    return static_design(scenario).plan
