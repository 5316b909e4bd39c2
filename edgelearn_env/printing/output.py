"""Standard output of a command, and the bar that shows how far it is.

Nothing that a user names is read as markup. Off a terminal lines have no end, unless COLUMNS says where it is.
"""

import os
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from edgelearn_env.printing.letters import spelled
from edgelearn_env.printing.tables import fitted

_NO_END = 1_000_000


class Output(Console):
    """Standard output of a command."""

    def __init__(self, width: int | None = None) -> None:
        """Lines end where the terminal does, or at `width`."""
        out = sys.stdout
        if width is None and not (out is not None and out.isatty()) and not os.environ.get("COLUMNS", "").isdigit():
            width = _NO_END
        super().__init__(file=out, width=width, markup=False, highlight=False, emoji=False)

    def render_str(self, text: str, **choices: Any) -> Text:
        """Text in the letters that the output has, so that it is measured as it will be printed."""
        return super().render_str(spelled(text, self.encoding), **choices)

    def table(self, table: Table) -> None:
        """Print a table without breaking a word or a number, whatever the width."""
        self.print(fitted(table, self.width, self.encoding))

    def say(self, text: str) -> None:
        """Print one line, which only the terminal breaks, so that a path can be copied."""
        self.print(text, soft_wrap=True)


def progress_on(output: Console, *, transient: bool = False) -> Progress:
    """A bar that counts what is done and says how long the rest will take; it is wiped out at the end if transient."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=output, transient=transient)
