"""The fixed policy: the static design, played open loop whatever happens."""

from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.stages.static.rounds import average_tape
from edgelearn_env.baselines.two_stage.static.design import static_design
from edgelearn_env.two_stage.scenario import TwoStageScenario

__all__ = ["average_tape", "fixed_plan"]


def fixed_plan(scenario: TwoStageScenario) -> Plan:
    """The static design in whole batches: best if the channel stayed at its mean and batteries never ran short."""
    return static_design(scenario).plan
