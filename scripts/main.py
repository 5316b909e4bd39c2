"""The console command `edgelearn`."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from edgelearn_env.errors import EdgeLearnError
from edgelearn_env.printing.letters import never_failing_output
from edgelearn_env.scripts.commands import COMMANDS, Command


class _Group(TyperGroup):
    """Commands that are known by name and help alone until one of them runs."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the arguments name, imported, and the arguments left for it."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, _imported(str(name), COMMANDS[str(name)]), rest


app = typer.Typer(
    name="edgelearn",
    help="Resource control in two-stage edge learning: environment, proven optimum, agents.",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.help)(lambda: None)


def _imported(name: str, command: Command) -> Any:
    """The command with its options; or, where it is a group, with those of its own."""
    found = command.function()
    if isinstance(found, typer.Typer):
        return get_command(found)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name, help=command.help)(found)
    return get_command(alone)


def main() -> None:
    """Run a command; what is wrong with its input is said in one sentence, with exit status 2."""
    never_failing_output()
    try:
        app()
    except (EdgeLearnError, OSError) as error:
        print(f"edgelearn: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
