"""`edgelearn curves`: a picture of the training curve of each recipe, over its seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from edgelearn_env.agents.runs.checkpoint import Checkpoint, load
from edgelearn_env.baselines.ladder import ladder_of
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import existing_file, name_in_a_path, writable_folder, written_atomically
from edgelearn_env.scenarios.scenario import first_difference
from edgelearn_env.tapes.seeds import validation_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

# Drawn as lines to compare with, where a system has them: quick to play, and not far from what agents reach.
_BESIDE = ("lyapunov", "markov")


class _Run(NamedTuple):
    folder: Path
    checkpoint: Checkpoint
    steps: np.ndarray
    objective: np.ndarray


def curves(
    folders: Annotated[list[Path], typer.Argument(help="Folders that `train` wrote; all of them on one scenario.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("results"),
) -> None:
    """Draw the training curve of each recipe over its seeds, with a 95 % interval; print what each came to."""
    from edgelearn_env.drawing.curve_figure import Curve, curve_figure, mean_and_half_width

    writable_folder(out)
    lines: list[str] = []
    by_recipe: dict[str, list[_Run]] = {}
    for folder in folders:
        run = _run(folder)
        by_recipe.setdefault(run.checkpoint.recipe, []).append(run)
    for recipe, runs in by_recipe.items():
        _require_one_recipe(runs)
        about = runs[0].checkpoint
        drawn = [Curve(run.checkpoint.seed, run.steps, run.objective) for run in runs]
        title = f"{recipe} on {about.scenario.name}, judged on {about.num_validation_tapes} tapes"
        figure = curve_figure(title, drawn, _beside(about))
        picture = out / f"curve-{name_in_a_path(recipe)}.png"
        with written_atomically(picture) as temporary:
            figure.savefig(temporary, dpi=110)
        (mean,), (half_width,) = mean_and_half_width(np.log([[run.checkpoint.validation_objective] for run in runs]))
        best = ", ".join(f"{run.checkpoint.validation_objective:.4f} (seed {run.checkpoint.seed})" for run in runs)
        interval = f"{np.exp(mean - half_width):.4f} to {np.exp(mean + half_width):.4f}" if len(runs) > 1 else "none"
        lines.append(f"{recipe}: kept {best}; geometric mean {np.exp(mean):.4f}, 95 % interval {interval}")
        lines.append(f"Wrote {picture}")
    for line in lines:
        typer.echo(line)


def _run(folder: Path) -> _Run:
    """A run as its files tell.

    Raises:
        InvalidInputError: they are missing or damaged.
    """
    checkpoint = load(folder / "checkpoint.zip")
    path = existing_file(folder / "progress.csv", "training curve")
    try:
        table = np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True, encoding="utf-8-sig"))
        return _Run(folder, checkpoint, table["steps"], table["validation_objective"])
    except (ValueError, IndexError) as error:
        raise InvalidInputError(f"training curve {str(path)!r} is damaged: {error}") from error


def _require_one_recipe(runs: Sequence[_Run]) -> None:
    """Raise unless runs differ in nothing but their seeds."""
    first = runs[0]
    for other in runs[1:]:
        difference = first_difference(first.checkpoint.scenario, other.checkpoint.scenario)
        if difference is not None:
            raise InvalidInputError(f"{other.folder} was trained on another scenario than {first.folder}: {difference}")
        if len(other.steps) != len(first.steps):
            raise InvalidInputError(
                f"{other.folder} was judged {len(other.steps)} times and {first.folder} {len(first.steps)} times: "
                "take finished runs of the same length"
            )
    seeds = [run.checkpoint.seed for run in runs]
    if len(set(seeds)) < len(seeds):
        raise InvalidInputError(f"two of the runs of {first.checkpoint.recipe} have the same seed: {seeds}")


def _beside(about: Checkpoint) -> dict[str, float]:
    """What policies that do not learn reach on the validation tapes."""
    scenario, ladder = about.scenario, ladder_of(about.scenario)
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in validation_seeds(about.num_validation_tapes)])
    played = {name: rollout(scenario, tapes, ladder[name](scenario)).objective for name in _BESIDE if name in ladder}
    return {name: float(np.exp(np.mean(np.log(objective)))) for name, objective in played.items()}
