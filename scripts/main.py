"""The console command `edgelearn`."""

import sys

from edgelearn_env.errors import EdgeLearnError
from edgelearn_env.printing.letters import never_failing_output
from edgelearn_env.scripts.commands import COMMANDS
from edgelearn_env.scripts.lazy_app import lazy_app

app = lazy_app(
    "edgelearn", "Resource control in two-stage edge learning: environment, proven optimum, agents.", COMMANDS
)


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
