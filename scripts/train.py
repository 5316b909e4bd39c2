"""`edgelearn train`: train an agent with PPO."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edgelearn_env.agents.ppo_config import PPOConfig
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scripts.options import Changes, Objective, ScenarioName, chosen_scenario

if TYPE_CHECKING:
    from edgelearn_env.agents import ppo


def train(
    scenario: ScenarioName = "default",
    changes: Changes = None,
    objective: Objective = None,
    steps: Annotated[int | None, typer.Option(help="Environment steps in all; the recipe's own if left out.")] = None,
    seed: Annotated[int, typer.Option(help="Of networks, exploration and tapes.")] = 0,
    num_envs: Annotated[int | None, typer.Option(help="Environments stepped together.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; runs/ppo-<scenario> if left out.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Go on with a run in that folder.")] = True,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write logs for TensorBoard too.")] = False,
) -> None:
    """Train an agent with PPO; Ctrl-C saves, and the same command goes on."""
    system = chosen_scenario(scenario, changes, objective)
    given = {"total_steps": steps, "num_envs": num_envs}
    chosen = {name: value for name, value in given.items() if value is not None}
    config = PPOConfig(scenario=system, seed=seed, tensorboard=tensorboard, **chosen)
    folder = out or Path("runs") / f"ppo-{system.name}"
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"--out must name a folder, got the file {str(folder)!r}")
    from edgelearn_env.agents import ppo  # torch loads only once all choices are known to be right

    with _shown(config.total_steps) as show:
        result = ppo.train(config, folder, fresh=not resume, on_progress=show)
    if result.interrupted:
        typer.echo(f"Stopped before {config.total_steps:,} steps; the same command goes on.")
    typer.echo(f"Wrote {result.checkpoint}, {folder / ppo.CURVE}")
    typer.echo(f"Geometric mean of Phi on {config.validation_tapes} validation tapes: {result.best_objective:.4f}")


@contextlib.contextmanager
def _shown(total_steps: int) -> Iterator[Callable[["ppo.Progress"], None]]:
    """A progress bar, and the function that moves it."""
    text = "{task.fields[rate]:,.0f} steps/s  return {task.fields[mean_return]:.3f}  validation {task.fields[best]:.4f}"
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn(text))
    with Progress(*columns) as bar:
        task = bar.add_task("", total=total_steps, rate=0.0, mean_return=float("nan"), best=float("nan"))

        def show(progress: "ppo.Progress") -> None:
            bar.update(
                task,
                completed=progress.steps,
                rate=progress.steps / progress.seconds,
                mean_return=progress.mean_return,
                best=progress.best_objective,
            )

        yield show
