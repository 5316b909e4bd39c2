"""`edgelearn federate`: its commands as a group; torch and data load with the one that runs."""

import typer

from edgelearn_env.scripts.federate.calibrate import calibrate
from edgelearn_env.scripts.federate.run import run
from edgelearn_env.scripts.federate.study import study
from edgelearn_env.scripts.federate.truth import truth

federate = typer.Typer(
    name="federate",
    help="Train small transformers for real, as a policy's schedule says; study, calibrate, and test the bound.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _command in (run, study, calibrate, truth):
    federate.command()(_command)
