"""`edgelearn train`: train an agent by one of the recipes."""

import contextlib
import dataclasses
import functools
import importlib
import signal
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from edgelearn_env.agents.configs.apg import APGConfig
from edgelearn_env.agents.configs.imitation import ImitationConfig
from edgelearn_env.agents.configs.ppo import PPOConfig
from edgelearn_env.agents.configs.run import RunConfig
from edgelearn_env.agents.configs.sac import SACConfig
from edgelearn_env.agents.runs.training_run import CurvePoint
from edgelearn_env.baselines.clairvoyance import clairvoyant_batch
from edgelearn_env.baselines.ladder import ladder_of
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import name_in_a_path, writable_folder
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, chosen_scenario
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import Policy


class Recipe(StrEnum):
    """How an agent is trained."""

    PPO = "ppo"
    SAC = "sac"
    APG = "apg"
    IMITATION = "imitation"


CONFIGS: dict[Recipe, type[RunConfig]] = {
    Recipe.PPO: PPOConfig,
    Recipe.SAC: SACConfig,
    Recipe.APG: APGConfig,
    Recipe.IMITATION: ImitationConfig,
}

# What shells call the end of a command by Ctrl-C.
_INTERRUPTED = 130

# The choice that an option stands for, whatever the recipe.
_CHOICES = {
    "steps": "total_steps",
    "num_envs": "num_envs",
    "updates": "total_updates",
    "begin_with": "begin_with",
    "demonstrations": "num_demonstrations",
    "iterations": "num_iterations",
    "corrections": "num_corrections",
    "learning_rate": "learning_rate",
    "trims": "trims",
}


def train(
    scenario_name: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    recipe: Annotated[
        Recipe, typer.Option(help="PPO, SAC, analytic policy gradients, or imitation of plans and MPC.")
    ] = Recipe.PPO,
    steps: Annotated[int | None, typer.Option(help="Of ppo and sac: environment steps in all.")] = None,
    num_envs: Annotated[int | None, typer.Option(help="Of ppo and sac: environments stepped together.")] = None,
    updates: Annotated[int | None, typer.Option(help="Of apg: gradient steps in all.")] = None,
    begin_with: Annotated[
        str | None,
        typer.Option(help="Of apg: a checkpoint to train further, by name or file; new networks if left out."),
    ] = None,
    demonstrations: Annotated[int | None, typer.Option(help="Of imitation: tapes that plans are made for.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Of imitation: times that play is corrected.")] = None,
    corrections: Annotated[int | None, typer.Option(help="Of imitation: tapes played and corrected each time.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam at the start.")] = None,
    trims: Annotated[
        bool | None, typer.Option("--trims", help="Of ppo: rounds are trimmed by the model before they are played.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of networks, exploration and tapes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; runs/<recipe>-<scenario> if left out.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Go on with a run in that folder.")] = True,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write logs for TensorBoard too.")] = False,
) -> None:
    """Train an agent; Ctrl-C saves, and the same command goes on. What is left out is the recipe's own choice."""
    chosen = chosen_scenario(scenario_name, changes, objective)
    options: dict[str, int | float | str | None] = {
        "steps": steps,
        "num_envs": num_envs,
        "updates": updates,
        "begin_with": begin_with,
        "demonstrations": demonstrations,
        "iterations": iterations,
        "corrections": corrections,
        "learning_rate": learning_rate,
        "trims": trims,
    }
    choices = _choices(recipe, {name: value for name, value in options.items() if value is not None})
    config = CONFIGS[recipe](scenario=chosen, seed=seed, tensorboard=tensorboard, **choices)
    scenario = config.loaded_scenario
    folder = writable_folder(out or Path("runs") / name_in_a_path(f"{recipe}-{scenario.name}"))
    # torch loads only once all choices are known to be right
    module = importlib.import_module(f"edgelearn_env.agents.{recipe}")
    run = functools.partial(module.train, config, folder, fresh=not resume)
    if recipe is Recipe.IMITATION:
        run = functools.partial(
            run, teachers=module.Teachers(plans=_plans, expert=ladder_of(scenario)["mpc"](scenario))
        )
    with _shown() as show, _asked_to_stop() as stop:

        def go_on(progress: CurvePoint) -> None:
            show(progress)
            if stop():
                raise KeyboardInterrupt

        try:
            result = run(on_progress=go_on)
        except KeyboardInterrupt:
            typer.echo("Stopped before there was a state to keep; the same command begins anew.")
            raise typer.Exit(_INTERRUPTED) from None
    if result.interrupted:
        typer.echo("Stopped before the end; the same command goes on.")
    typer.echo(f"Wrote {result.checkpoint}, {result.checkpoint.with_name('progress.csv')}")
    typer.echo(f"Geometric mean of Phi on {config.validation_tapes} validation tapes: {result.best_objective:.4f}")
    if result.interrupted:
        raise typer.Exit(_INTERRUPTED)


def _choices(recipe: Recipe, options: dict[str, int | float | str]) -> dict[str, Any]:
    """What a recipe calls the options that were given.

    Raises:
        InvalidInputError: it has no such choice.
    """
    fields = {field.name for field in dataclasses.fields(CONFIGS[recipe])}
    for name, value in options.items():
        if _CHOICES[name] not in fields:
            known = ", ".join(
                f"--{option.replace('_', '-')}" for option, choice in _CHOICES.items() if choice in fields
            )
            raise InvalidInputError(f"recipe {recipe} has no --{name.replace('_', '-')}, got {value}: it has {known}")
    return {_CHOICES[name]: value for name, value in options.items()}


def _plans(scenario: Scenario, tapes: Tape) -> Iterator[Policy]:
    """The clairvoyant plan of each tape in whole batches."""
    return (optimum.whole_plan for optimum in clairvoyant_batch(scenario, tapes))


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether there was a Ctrl-C; a second one interrupts at once.

    As an exception it may be raised where Python has to ignore it, in the midst of a destructor, and be lost.
    """
    before = signal.getsignal(signal.SIGINT)
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _shown() -> Iterator[Callable[[CurvePoint], None]]:
    """A progress bar, and the function that moves it."""
    text = "{task.fields[rate]:,.0f} steps/s  return {task.fields[mean_return]:.3f}  validation {task.fields[best]:.4f}"
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn(text))
    with Progress(*columns) as bar:
        # Before the first progress, and where there is none to be made, it has nothing to say.
        task = bar.add_task("", total=1.0, visible=False, rate=0.0, mean_return=float("nan"), best=float("nan"))

        def show(progress: CurvePoint) -> None:
            bar.update(
                task,
                completed=progress.share,
                rate=progress.steps / progress.seconds,
                mean_return=progress.mean_return,
                best=progress.best_objective,
                visible=True,
            )

        yield show
