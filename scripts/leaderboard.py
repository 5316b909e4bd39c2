"""`edgelearn leaderboard`: what several benchmarks on the same tapes found, as one table."""

from pathlib import Path
from typing import Annotated

import typer

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.leaderboard import Leaderboard
from edgelearn_env.evaluation.report import Report
from edgelearn_env.scripts.sections import rewrite_section

BEGIN, END = "<!-- leaderboard: made by `edgelearn leaderboard --write` -->", "<!-- end of leaderboard -->"


def leaderboard(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="What `benchmark` wrote; every benchmark.json within results/ if left out."),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="A file in Markdown whose leaderboard to replace, such as README.md.")
    ] = None,
) -> None:
    """Print what benchmarks on the same tapes found as one table in Markdown, best policy first."""
    chosen = files or sorted(Path("results").rglob("benchmark.json"))
    if not chosen:
        raise InvalidInputError("there is no benchmark.json within results/: run `edgelearn benchmark`, or name files")
    table = Leaderboard.of({path.as_posix(): Report.load(path) for path in chosen}).markdown()
    if write is None:
        typer.echo(table)
        return
    rewrite_section(write, BEGIN, END, table)
    typer.echo(f"Wrote {write}")
