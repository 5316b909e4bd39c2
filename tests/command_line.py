"""`edgelearn` as a user meets it, but within this process: importing all that commands need takes seconds each time."""

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from edgelearn_env.scripts.main import main


class Ended(NamedTuple):
    """What a command came to."""

    status: int
    printed: str
    complaint: str


def edgelearn(*words: str, folder: Path, width: int = 100) -> Ended:
    """Run the console command in a folder, on a terminal of that width."""
    printed, complaint, status = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        mock.patch.object(sys, "argv", ["edgelearn", *words]),
        mock.patch.dict(os.environ, {"COLUMNS": str(width)}),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(complaint),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return Ended(status, printed.getvalue(), complaint.getvalue())
