"""An application of commands that are known by name and help alone until one of them runs."""

from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from edgelearn_env.scripts.commands import Command


def lazy_app(name: str, about: str, commands: Mapping[str, Command]) -> typer.Typer:
    """An application that imports a command when it runs; a command may be such an application itself.

    Args:
        name: of the application.
        about: its help.
        commands: by name.
    """

    class Group(TyperGroup):
        def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
            """The command that the arguments name, imported, and the arguments left for it."""
            name, _, rest = super().resolve_command(ctx, args)
            return name, _imported(str(name), commands[str(name)]), rest

    app = typer.Typer(
        name=name, help=about, cls=Group, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
    )
    for command_name, command in commands.items():
        app.command(command_name, help=command.help)(lambda: None)
    return app


def _imported(name: str, command: Command) -> Any:
    """The command with its options, or the application with its commands."""
    found = command.function()
    if isinstance(found, typer.Typer):
        return get_command(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name, help=command.help)(found)
    return get_command(alone)
