"""The commands of `edgelearn` as a table: where each is, and its help; a command is imported when it runs."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

import typer

_SCRIPTS = "edgelearn_env.scripts"


class Command(NamedTuple):
    """Where a command is, and what it does.

    Attributes:
        module: below `edgelearn_env.scripts`; its function is named like the last part of it.
        help: the same text as the function's docstring, which Python leaves out under `-OO`.
    """

    module: str
    help: str

    def function(self) -> Callable[..., None] | typer.Typer:
        """What the command does, or the group of its commands; imports all that it needs."""
        module = importlib.import_module(f"{_SCRIPTS}.{self.module}")
        function: Callable[..., None] | typer.Typer = getattr(module, self.module.rpartition(".")[2])
        return function


COMMANDS = {
    "scenarios": Command("scenarios", "List the presets, or print one scenario as a TOML file to start from."),
    "solve": Command("solve", "Solve one tape to proven optimality over all numbers of rounds."),
    "benchmark": Command(
        "benchmark", "Compare policies with the proven optimum on test tapes; print tables, write JSON and pictures."
    ),
    "prove": Command(
        "prove", "Prove the optimum of every test tape, for benchmarks to start from; goes on where it stopped."
    ),
    "leaderboard": Command(
        "leaderboard", "Print what benchmarks on the same tapes found as one table in Markdown, best policy first."
    ),
    "dataset": Command(
        "dataset", "Write episodes of a policy, on training tapes, as a dataset that `minari.load_dataset` reads."
    ),
    "figures": Command(
        "figures",
        "Draw what budgets, data and devices are worth to the static joint design, beside each of its ablations.\n\n"
        "An interrupted run goes on where it stopped: points in study.csv that belong to the same system are kept.\n"
        "`--study run-time` draws what gradient codes are worth in a cluster of its own, whatever the scenario.",
    ),
    "train": Command(
        "train",
        "Train an agent; Ctrl-C saves, and the same command goes on. What is left out is the recipe's own choice.",
    ),
    "curves": Command(
        "curves",
        "Draw the training curve of each recipe over its seeds, with a 95 % interval; print what each came to.",
    ),
    "coded-round": Command(
        "coded_round",
        "Play one gradient round on real workers, with injected delays: with a code, and without one, waiting for all.",
    ),
    "federate": Command(
        "federate.federate",
        "Train small transformers for real, as a policy's schedule says; study, calibrate, and test the bound.",
    ),
    "speed": Command(
        "speed.speed",
        "Time environments, rollouts of PPO, policies, designs, the proven optimum, and how all that grows.\n\n"
        "Each stands beside what it is compared with.",
    ),
}
