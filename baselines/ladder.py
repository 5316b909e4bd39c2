"""The ladder of any system: its policies that need no learning, by name, from the simplest up."""

from collections.abc import Callable, Mapping

from edgelearn_env.scenarios.scenario import Scenario, system_of
from edgelearn_env.scenarios.systems import SYSTEMS, located
from edgelearn_env.trajectory import Policy

Ladder = Mapping[str, Callable[[Scenario], Policy]]


def ladder_names() -> tuple[str, ...]:
    """Names of the policies of all systems."""
    ladders: list[Ladder] = [located(system.ladder) for system in SYSTEMS.values() if system.ladder]
    return tuple(dict.fromkeys(name for ladder in ladders for name in ladder))


def ladder_of(scenario: Scenario) -> Ladder:
    """What makes each policy for a scenario; none are made yet, since some are tuned then."""
    policies: Ladder = located(system_of(scenario).ladder)
    return policies
