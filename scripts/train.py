"""`edgelearn train`: train an agent by one of the recipes."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from edgelearn_env.agents.apg_config import APGConfig
from edgelearn_env.agents.ppo_config import PPOConfig
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, chosen_scenario

if TYPE_CHECKING:
    from edgelearn_env.agents.training_run import Progress as RunProgress


class Recipe(StrEnum):
    """How an agent is trained."""

    PPO = "ppo"
    APG = "apg"


def train(
    scenario: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    recipe: Annotated[Recipe, typer.Option(help="PPO, or analytic policy gradients.")] = Recipe.PPO,
    steps: Annotated[int | None, typer.Option(help="Of ppo: environment steps in all; its own if left out.")] = None,
    num_envs: Annotated[int | None, typer.Option(help="Of ppo: environments stepped together.")] = None,
    updates: Annotated[int | None, typer.Option(help="Of apg: gradient steps in all; its own if left out.")] = None,
    seed: Annotated[int, typer.Option(help="Of networks, exploration and tapes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; runs/<recipe>-<scenario> if left out.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Go on with a run in that folder.")] = True,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write logs for TensorBoard too.")] = False,
) -> None:
    """Train an agent; Ctrl-C saves, and the same command goes on."""
    system = chosen_scenario(scenario, changes, objective)
    config: PPOConfig | APGConfig
    if recipe is Recipe.PPO:
        config = PPOConfig(
            scenario=system, seed=seed, tensorboard=tensorboard, **_given(total_steps=steps, num_envs=num_envs)
        )
    else:
        config = APGConfig(scenario=system, seed=seed, tensorboard=tensorboard, **_given(total_updates=updates))
    folder = out or Path("runs") / f"{recipe}-{system.name}"
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"--out must name a folder, got the file {str(folder)!r}")
    # torch loads only once all choices are known to be right
    module = importlib.import_module(f"edgelearn_env.agents.{recipe}")
    with _shown() as show:
        result = module.train(config, folder, fresh=not resume, on_progress=show)
    if result.interrupted:
        typer.echo("Stopped before the end; the same command goes on.")
    typer.echo(f"Wrote {result.checkpoint}, {result.checkpoint.with_name('progress.csv')}")
    typer.echo(f"Geometric mean of Phi on {config.validation_tapes} validation tapes: {result.best_objective:.4f}")


def _given(**choices: int | None) -> dict[str, Any]:
    """Those that were made."""
    return {name: value for name, value in choices.items() if value is not None}


@contextlib.contextmanager
def _shown() -> Iterator[Callable[["RunProgress"], None]]:
    """A progress bar, and the function that moves it."""
    text = "{task.fields[rate]:,.0f} steps/s  return {task.fields[mean_return]:.3f}  validation {task.fields[best]:.4f}"
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn(text))
    with Progress(*columns) as bar:
        task = bar.add_task("", total=1.0, rate=0.0, mean_return=float("nan"), best=float("nan"))

        def show(progress: "RunProgress") -> None:
            bar.update(
                task,
                completed=progress.share,
                rate=progress.steps / progress.seconds,
                mean_return=progress.mean_return,
                best=progress.best_objective,
            )

        yield show
