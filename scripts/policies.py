"""Policies by name: the ladder, agents that ship with the package, and checkpoint files."""

from collections.abc import Callable

from rich.progress import Progress

from edgelearn_env.baselines.ladder import LADDER
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.scenario import Scenario
from edgelearn_env.trajectory import Policy

LEARNED = ("ppo",)
NAMES = (*LADDER, *LEARNED)


def named_policies(scenario: Scenario, names: str | None, progress: Progress) -> dict[str, Policy]:
    """The policies asked for, ready to play; without a choice all, but for agents never trained on the scenario.

    Args:
        scenario: what they are to play.
        names: comma-separated, or None.
        progress: shows how many are ready, and says which were left out.

    Raises:
        InvalidInputError: an unknown name, or an agent that was asked for and not trained on the scenario.
        MissingExtraError: what an agent that was asked for needs is not installed.
    """
    builders: dict[str, Callable[[Scenario], Policy]] = {**LADDER, **{name: _agent(name) for name in LEARNED}}
    if names is not None:
        wanted = [name.strip() for name in names.split(",") if name.strip()]
        builders = {name: builders.get(name) or _agent(name) for name in wanted}
    chosen = {}
    for name, build in progress.track(list(builders.items()), description="preparing every policy"):
        try:
            chosen[name] = build(scenario)
        except (InvalidInputError, MissingExtraError) as error:
            if names is not None:
                raise
            progress.console.print(f"Left out {name}: {error}", highlight=False, soft_wrap=True)
    return chosen


def _agent(name: str) -> Callable[[Scenario], Policy]:
    """A learned policy: one that ships with the package, or a checkpoint file."""
    if name not in LEARNED and not name.endswith(".zip"):
        raise InvalidInputError(
            f"unknown policy {name!r}: choose from {', '.join(NAMES)}, or name a checkpoint file (.zip)"
        )

    def load(scenario: Scenario) -> Policy:
        from edgelearn_env.agents.checkpoint import load_policy

        return load_policy(name, scenario)

    return load
