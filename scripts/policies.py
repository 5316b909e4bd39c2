"""Policies by name: the ladder, agents that ship with the package, and checkpoint files."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.progress import Progress

from edgelearn_env.agents.runs.checkpoint import (
    RECIPES,
    Checkpoint,
    load,
    policy_of,
    shipped_checkpoints,
    shipped_runs,
    shipped_runs_on,
)
from edgelearn_env.baselines.ladder import ladder_names, ladder_of
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.evaluation.report import Kind
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.asked_policies import asked_policies
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.trajectory import Policy

# What may be asked for, whatever the system.
NAMES = (*ladder_names(), *RECIPES)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NamedPolicy:
    """A policy ready to play, once for each of its training runs.

    Attributes:
        name: of the policy.
        kind: what it knows.
        runs: what plays; one, but for several checkpoints of one recipe.
        trained: how each run was trained, in plain types; empty for what does not learn.
    """

    name: str
    kind: Kind
    runs: Sequence[Policy]
    trained: Sequence[Mapping[str, Any]] = ()


def named_policies(
    scenario: Scenario, wanted: Sequence[str] | None, progress: Progress, *, transfer: bool = False
) -> list[NamedPolicy]:
    """The policies asked for, ready to play; without a choice all, but for agents never trained on the scenario.

    Args:
        scenario: what they are to play.
        wanted: texts as `asked_policies` takes them; or None.
        progress: shows how many are ready, and says which were left out.
        transfer: whether agents may play what they were not trained on.

    Raises:
        InvalidInputError: an unknown or repeated name, an agent that was asked for and not trained on the scenario, or
            runs that differ in more than their seeds.
        MissingExtraError: what an agent that was asked for needs is not installed.
    """
    builders = dict(_builders(scenario, wanted, transfer))
    chosen = []
    for name, build in progress.track(list(builders.items()), description="preparing every policy"):
        try:
            chosen.append(build(scenario))
        except (InvalidInputError, MissingExtraError) as error:
            if wanted is not None:
                raise type(error)(f"{name}: {error}") from error
            progress.console.print(f"Left out {name}: {error}", soft_wrap=True, markup=False, highlight=False)
    return chosen


def _builders(
    scenario: Scenario, wanted: Sequence[str] | None, transfer: bool
) -> Iterator[tuple[str, Callable[[Scenario], NamedPolicy]]]:
    """What makes each policy that is asked for, or each that there is, by name."""
    ladder = ladder_of(scenario)
    names = (*ladder, *RECIPES)
    seen: set[str] = {"clairvoyant"}
    for policy in asked_policies(names if wanted is None else wanted):
        name, sources = policy
        if name in seen or not name:
            raise InvalidInputError(
                f"a policy needs a name of its own, got {str(policy)!r} besides {', '.join(sorted(seen))}"
            )
        if name.startswith("(") and name.endswith(")"):
            raise InvalidInputError(f"names in brackets are those of bounds and ablations, got the policy {name!r}")
        seen.add(name)
        if policy.is_of_files and name in ladder:
            files = "+".join(sources)
            raise InvalidInputError(f"{name!r} is a policy that does not learn: give {files!r} another name")
        if name in ladder:
            yield name, functools.partial(_untrained, name, ladder[name])
        else:
            _require_known(sources, names, scenario)
            yield name, _agent(name, sources, transfer)


def _untrained(name: str, make: Callable[[Scenario], Policy], scenario: Scenario) -> NamedPolicy:
    """A policy of the ladder."""
    return NamedPolicy(name=name, kind="online", runs=[make(scenario)])


def _agent(name: str, sources: Sequence[str], transfer: bool) -> Callable[[Scenario], NamedPolicy]:
    """A learned policy: all runs of a recipe that ship with the package, or those in checkpoint files."""

    def build(scenario: Scenario) -> NamedPolicy:
        files = [file for source in sources for file in _files(source, scenario)]
        found = [load(file) for file in files]
        runs = [policy_of(*pair, scenario, transfer=transfer) for pair in zip(found, files, strict=True)]
        trained = [_about(*pair) for pair in zip(files, found, strict=True)]
        for other in trained[1:]:
            _require_same_recipe(trained[0], other)
        if len({about["seed"] for about in trained}) < len(trained):
            raise InvalidInputError(f"two of {', '.join(files)} were trained with the same seed: they are one run")
        return NamedPolicy(name=name, kind="learned", runs=runs, trained=trained)

    return build


def _require_known(sources: Sequence[str], names: Sequence[str], scenario: Scenario) -> None:
    """Refuse what is no policy, with those of the scenario's own system to choose from."""
    for source in sources:
        if source in (*names, *shipped_checkpoints()) or shipped_runs(source) or source.endswith(".zip"):
            continue
        presets = [name for name in Scenario.presets() if isinstance(Scenario.preset(name), type(scenario))]
        agents = [name for name in shipped_checkpoints() if name.split("-", 1)[1].rpartition("-")[0] in presets]
        known = ", ".join((*names, *agents))
        raise InvalidInputError(f"unknown policy {source!r}: choose from {known}, or name a checkpoint file (.zip)")


def _files(source: str, scenario: Scenario) -> Sequence[str]:
    """A checkpoint's own name, or those of all runs of a recipe that ship with the package."""
    return shipped_runs_on(scenario, source) if source in RECIPES else shipped_runs(source) or [source]


def _about(file: str, found: Checkpoint) -> dict[str, Any]:
    """How a checkpoint was trained, once it is known to have met none of the tapes that results are reported on."""
    if not 0 <= found.seed < TUNING:
        raise InvalidInputError(
            f"checkpoint {file!r} was trained with seed {found.seed}, so it may know the tapes of tests: "
            f"training seeds are 0 to {TUNING - 1}"
        )
    names = [field.name for field in dataclasses.fields(found) if field.name not in ("actor", "scenario")]
    return {"file": file} | {name: getattr(found, name) for name in names}


def _require_same_recipe(first: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raise unless two runs differ in nothing but their seeds."""
    choices = [{"recipe": about["recipe"], **about["config"], "seed": None} for about in (first, other)]
    for name in choices[0] | choices[1]:
        values = [choice.get(name) for choice in choices]
        if values[0] != values[1]:
            raise InvalidInputError(
                f"{first['file']} and {other['file']} are no runs of one recipe: "
                f"{name} was {values[0]!r} in one and {values[1]!r} in the other"
            )
