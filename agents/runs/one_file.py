"""What the recipes of one file each share: their choices, what they report, and a command line around them."""

import dataclasses
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edgelearn_env.agents.runs.checkpoint import installed_versions
from edgelearn_env.envs.arguments import ScenarioSource
from edgelearn_env.errors import EdgeLearnError, MissingExtraError
from edgelearn_env.files import writable_folder, written_atomically
from edgelearn_env.printing.letters import never_failing_output
from edgelearn_env.scenarios.quantities import Quantities, quantity
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.two_stage.scenario import TwoStageScenario

REPORT = "run.json"

# How many of the latest training episodes a mean is over.
_WINDOW = 100

ScenarioName = Annotated[str, typer.Option("--scenario", "-s", help="A preset's name or a .toml file.")]
Steps = Annotated[int, typer.Option(help="Environment steps in all, rounded up to whole rollouts.")]
Seed = Annotated[int, typer.Option(help="Of networks, exploration and tapes.")]
NumEnvs = Annotated[int, typer.Option(help="Environments stepped together.")]
Out = Annotated[Path, typer.Option(help="Folder to write to.")]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Choices(Quantities):
    """What decides a run of a recipe, beside what its file fixes.

    Attributes:
        scenario: anything `Scenario.load` takes.
    """

    scenario: ScenarioSource = "default"
    total_steps: int = quantity("environment steps", "n", "step", at_least=1, integer=True, default=200_000)
    seed: int = quantity("of networks, exploration and tapes", "seed", at_least=0, integer=True, default=0)
    num_envs: int = quantity("environments stepped together", "B", at_least=1, integer=True, default=32)

    def __post_init__(self) -> None:
        Quantities.__post_init__(self)
        most = TUNING - self.num_envs
        self.require(self.seed <= most, "seed", f"must be at most {most}, so that training meets no other tapes")
        TwoStageScenario.load(self.scenario)  # an unknown one is refused before anything is begun

    @classmethod
    def name_of(cls, field: str) -> str:
        """The name users see: the field's own."""
        return field

    @property
    def loaded_scenario(self) -> TwoStageScenario:
        """The scenario that `scenario` names."""
        return TwoStageScenario.load(self.scenario)


class CurvePoint(NamedTuple):
    """How far a run is.

    Attributes:
        steps: environment steps so far.
        num_episodes: training episodes that have ended so far.
        mean_return: of the last hundred of them, exploration included; NaN before the first has ended.
        mean_objective: their mean Phi.
    """

    steps: int
    num_episodes: int
    mean_return: float
    mean_objective: float


class Result(NamedTuple):
    """What a run came to.

    Attributes:
        weights: file or folder of the trained networks, in the framework's own form.
        curve: one point a rollout.
    """

    weights: Path
    curve: tuple[CurvePoint, ...]


OnProgress = Callable[[CurvePoint], object]
Train = Callable[[Choices, Path, OnProgress], Result]


class EpisodeLog:
    """Counts training episodes and remembers the latest."""

    def __init__(self) -> None:
        self._count = 0
        self._returns: deque[float] = deque(maxlen=_WINDOW)
        self._objectives: deque[float] = deque(maxlen=_WINDOW)

    def add(self, returns: Iterable[float], objectives: Iterable[float]) -> None:
        """Take in episodes that have ended: return and Phi of each."""
        for value, objective in zip(returns, objectives, strict=True):
            self._count += 1
            self._returns.append(float(value))
            self._objectives.append(float(objective))

    def progress(self, steps: int) -> CurvePoint:
        """Where the run is after that many steps."""
        means = [float(np.mean(kept)) if kept else float("nan") for kept in (self._returns, self._objectives)]
        return CurvePoint(steps, self._count, *means)


def missing(importer: str, library: str, extra: str) -> BaseException:
    """What to raise if a library cannot be imported: an error, or for the module that runs as a command its end.

    Args:
        importer: `__name__` of the module that needs it.
        library: as people call it.
        extra: of this package, that brings it.
    """
    sentence = f"{library} is not installed: pip install 'edgelearn-env[{extra}]'"
    if importer != "__main__":
        return MissingExtraError(sentence)
    print(sentence, file=sys.stderr)
    return SystemExit(2)


def write_report(folder: Path, choices: Choices, curve: Iterable[CurvePoint], *libraries: str) -> None:
    """Write what decided a run and how it went beside its weights, as `run.json`."""
    report = {
        "choices": {name: getattr(choices, name) for name in ("total_steps", "seed", "num_envs")},
        "scenario": choices.loaded_scenario.to_dict(),
        "versions": installed_versions() | {name: metadata.version(name) for name in libraries},
        "curve": [point._asdict() for point in curve],
    }
    with written_atomically(folder / REPORT) as path:
        path.write_text(json.dumps(report, indent=1))


def run(train: Train, choices: Choices, folder: Path) -> None:
    """Train with a progress bar, and say what came of it."""
    writable_folder(folder)
    text = "{task.fields[episodes]:,} episodes  return {task.fields[mean]:.3f}  bound {task.fields[bound]:.4f}"
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn(text)) as bar:
        task = bar.add_task("", total=choices.total_steps, episodes=0, mean=float("nan"), bound=float("nan"))

        def show(now: CurvePoint) -> None:
            bar.update(
                task,
                completed=min(now.steps, choices.total_steps),
                episodes=now.num_episodes,
                mean=now.mean_return,
                bound=now.mean_objective,
            )

        result = train(choices, folder, show)
    last = result.curve[-1]
    typer.echo(f"Wrote {result.weights}, {folder / REPORT}")
    typer.echo(
        f"Last training episodes: mean return {last.mean_return:.3f}, mean learning bound {last.mean_objective:.4f}"
    )


def command(main: Callable[..., None], summary: str) -> None:
    """Run a recipe's command; what is wrong with its input is said in one sentence, with exit status 2.

    Args:
        main: of the recipe.
        summary: for its help, since Python leaves out docstrings under `-OO`.
    """
    never_failing_output()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(help=summary)(main)
    try:
        app()
    except (EdgeLearnError, OSError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
