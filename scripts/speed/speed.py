"""`edgelearn speed`: how fast things are on this machine, measured in one run and put in proportion."""

import importlib.util
import platform
from enum import StrEnum
from typing import Annotated

import typer
from joblib import cpu_count

from edgelearn_env.agents.configs.ppo import PPOConfig
from edgelearn_env.printing.output import Output, progress_on
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, chosen_scenario
from edgelearn_env.scripts.speed.timed_decisions import timed_decisions
from edgelearn_env.scripts.speed.timed_designs import timed_designs
from edgelearn_env.scripts.speed.timed_environments import timed_environments
from edgelearn_env.scripts.speed.timed_growth import timed_growth
from edgelearn_env.scripts.speed.timed_optimum import timed_optimum
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.two_stage.scenario import TwoStageScenario


class Part(StrEnum):
    """What can be timed by itself."""

    ENVIRONMENTS = "environments"
    ROLLOUTS = "rollouts"
    DECISIONS = "decisions"
    DESIGNS = "designs"
    OPTIMUM = "optimum"
    GROWTH = "growth"


def speed(
    scenario_name: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    only: Annotated[Part | None, typer.Option(help="Time one part; all if left out.")] = None,
    tapes: Annotated[int, typer.Option(min=1, help="Tapes whose optimum is timed.")] = 20,
) -> None:
    """Time environments, rollouts of PPO, policies, designs, the proven optimum, and how all that grows.

    Each stands beside what it is compared with.
    """
    scenario = chosen_scenario(scenario_name, changes, objective)
    output = Output()
    cores = f"{cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    output.say(f"{scenario.name}: {scenario.num_devices} devices; {cores}")
    with progress_on(output, transient=True) as progress:
        for part in _possible(scenario) if only is None else [only]:
            if part is Part.ENVIRONMENTS:
                table = timed_environments(scenario, progress)
            elif part is Part.ROLLOUTS:
                from edgelearn_env.scripts.speed.timed_rollout import timed_rollout  # which needs an extra

                table = timed_rollout(PPOConfig(scenario=scenario), progress)
            elif part is Part.DECISIONS:
                table = timed_decisions(scenario, progress)
            elif part is Part.DESIGNS:
                table = timed_designs(TwoStageScenario.load(scenario), progress)
            elif part is Part.GROWTH:
                table = timed_growth(StagedScenario.load(scenario), progress)
            else:
                table = timed_optimum(TwoStageScenario.load(scenario), tapes, progress)
            output.table(table)
            output.say("")


def _possible(scenario: Scenario) -> list[Part]:
    """All parts, but for those that need what is not installed, or another system."""
    lacking = set() if isinstance(scenario, TwoStageScenario) else {Part.DESIGNS, Part.OPTIMUM}
    if importlib.util.find_spec("stable_baselines3") is None:
        lacking.add(Part.ROLLOUTS)
    return [part for part in Part if part not in lacking]
