"""Options that several commands share."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario

ScenarioName = Annotated[str, typer.Option("--scenario", "-s", help="A preset's name or a .toml file.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PART.FIELD=VALUE", help="Change a field, such as budgets.delay_s=100; repeatable."),
]
Objective = Annotated[str | None, typer.Option(help="Learning bound: finetune or two-stage.")]

Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that work; all cores that this one may use if left out.")
]


def chosen_scenario(name: str, changes: Sequence[str] | None, objective: str | None = None) -> Scenario:
    """The scenario that the shared options name.

    Raises:
        InvalidInputError: an unknown preset or field, a file that cannot be read, or a value out of its limits.
    """
    fields: dict[str, dict[str, object]] = {} if objective is None else {"learning": {"objective": objective}}
    for change in changes or ():
        field, equals, value = change.partition("=")
        part, dot, name_of_field = field.partition(".")
        if not (equals and dot):
            raise InvalidInputError(f"--set takes PART.FIELD=VALUE, such as budgets.delay_s=100, got {change!r}")
        fields.setdefault(part, {})[name_of_field] = _value(value)
    return Scenario.load(name, **fields)


def _value(text: str) -> object:
    """A number or a list of numbers if the text is one, else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
