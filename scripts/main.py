"""The console command `edgelearn`."""

import sys

import typer

from edgelearn_env.errors import EdgeLearnError
from edgelearn_env.scripts.benchmark import benchmark
from edgelearn_env.scripts.curves import curves
from edgelearn_env.scripts.dataset import dataset
from edgelearn_env.scripts.figures import figures
from edgelearn_env.scripts.leaderboard import leaderboard
from edgelearn_env.scripts.scenarios import scenarios
from edgelearn_env.scripts.solve import solve
from edgelearn_env.scripts.speed.speed import speed
from edgelearn_env.scripts.train import train

app = typer.Typer(
    name="edgelearn",
    help="Resource control in two-stage edge learning: environment, proven optimum, agents.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(scenarios)
app.command()(solve)
app.command()(benchmark)
app.command()(leaderboard)
app.command()(dataset)
app.command()(figures)
app.command()(train)
app.command()(curves)
app.command()(speed)


def main() -> None:
    """Run a command; what is wrong with its input is said in one sentence, with exit status 2."""
    try:
        app()
    except (EdgeLearnError, OSError) as error:
        print(f"edgelearn: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
