"""What every recipe keeps of a run: its best state, its curve, and where to go on after an interruption.

Files of a run: `checkpoint.zip` is the best state so far, `progress.csv` the training curve, and `snapshot.pkl` where
to go on. The last is a pickle, which can run code when it is read: go on with runs of your own only.
"""

import contextlib
import csv
import dataclasses
import importlib.util
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.agents.actor.actor import Actor
from edgelearn_env.agents.configs.run import RunConfig
from edgelearn_env.agents.runs.checkpoint import Checkpoint, installed_versions, save
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.files import written_atomically
from edgelearn_env.tapes.seeds import validation_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

CHECKPOINT, CURVE, SNAPSHOT = "checkpoint.zip", "progress.csv", "snapshot.pkl"


def require_tensorboard() -> None:
    """Let pass where TensorBoard is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard is not installed: pip install 'edgelearn-env[agents]'")


@contextlib.contextmanager
def logged(config: RunConfig, directory: Path) -> Iterator[Callable[["CurvePoint"], None]]:
    """What writes progress to TensorBoard's files, if the run is to have them; else it does nothing."""
    if not config.tensorboard:
        yield lambda progress: None
        return
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(directory / "tensorboard")) as writer:

        def log(progress: CurvePoint) -> None:
            for name in ("mean_return", "validation_objective"):
                writer.add_scalar(name, getattr(progress, name), progress.steps)

        yield log


class CurvePoint(NamedTuple):
    """A point of the training curve.

    Attributes:
        share: of the whole run that is done, 0 to 1.
        steps: environment steps so far.
        seconds: of training so far, all sittings together.
        mean_return: of the latest training episodes, exploration included; NaN before the first has ended.
        validation_objective: geometric mean of Phi at the last judgement.
        best_objective: the least of all judgements.
    """

    share: float
    steps: int
    seconds: float
    mean_return: float
    validation_objective: float
    best_objective: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a training run came to.

    Attributes:
        checkpoint: file of the best state.
        best_objective: its geometric mean of Phi on the validation tapes.
        curve: one point a judgement.
        interrupted: whether it was stopped before its end; calling `train` again goes on.
    """

    checkpoint: Path
    best_objective: float
    curve: tuple[CurvePoint, ...]
    interrupted: bool


class TrainingRun:
    """A run in its folder, of any recipe.

    Attributes:
        curve: one point a judgement.
    """

    def __init__(self, recipe: str, config: RunConfig, directory: Path) -> None:
        self.curve: list[CurvePoint] = []
        self._recipe, self._config, self._directory = recipe, config, directory
        self._scenario = config.loaded_scenario
        self._tapes = Tape.stack(
            [sample_tape(self._scenario, seed) for seed in validation_seeds(config.validation_tapes)]
        )
        self._earlier_s, self._start_s = 0.0, time.perf_counter()
        self._snapshot = b""

    def judge(self, actor: Actor, share: float, steps: int, mean_return: float) -> float:
        """Play the validation tapes: geometric mean of Phi. Keep the state if it is the best so far."""
        # The mean of log Phi is what the return measures; that of Phi hangs more on the few tapes that are hard.
        objective = rollout(
            self._scenario, self._tapes, actor.policy(self._scenario, trims=self._config.trims)
        ).objective
        value = float(np.exp(np.mean(np.log(objective))))
        before = min((point.validation_objective for point in self.curve), default=np.inf)
        point = CurvePoint(share, steps, self._seconds(), mean_return, value, min(value, before))
        if value < before:
            save(self._checkpoint(actor, point), self._directory / CHECKPOINT)
        self.curve.append(point)
        with written_atomically(self._directory / CURVE) as path, path.open("w", newline="") as file:
            csv.writer(file).writerows([CurvePoint._fields, *self.curve])
        return value

    def progress(self, share: float, steps: int, mean_return: float) -> CurvePoint:
        """How far the run is, with what was judged last."""
        judged = self.curve[-1]
        return CurvePoint(
            share, steps, self._seconds(), mean_return, judged.validation_objective, judged.best_objective
        )

    def remember(self, state: Mapping[str, Any]) -> None:
        """Take note of all that decides what comes next; `state` is what the recipe adds."""
        about = {
            "choices": self._config.choices,
            "scenario": self._scenario.to_dict(),
            "curve": self.curve,
            "seconds": self._seconds(),
        }
        self._snapshot = pickle.dumps({"run": about, "recipe": dict(state)})

    def write_snapshot(self) -> None:
        """Write what was remembered last, if anything was."""
        if self._snapshot:
            with written_atomically(self._directory / SNAPSHOT) as path:
                path.write_bytes(self._snapshot)

    def restored(self) -> dict[str, Any] | None:
        """What the recipe added to the folder's snapshot; None without one.

        Raises:
            InvalidInputError: the snapshot is damaged, or of a run with other choices.
        """
        path = self._directory / SNAPSHOT
        if not path.exists():
            return None
        try:
            saved = pickle.loads(path.read_bytes())
            about, state = saved["run"], dict(saved["recipe"])
            same = self._decisive(about["choices"], about["scenario"])
        except Exception as error:  # whatever damaged bytes lead the unpickler to
            sentence = f"snapshot file {str(path)!r} is damaged (begin anew: --fresh, in code fresh=True): {error}"
            raise InvalidInputError(sentence) from error
        for name, value in self._decisive(self._config.choices, self._scenario.to_dict()).items():
            if same.get(name) != value:
                sentence = f"the run in {str(self._directory)!r} was begun with another {name.replace('_', ' ')}"
                raise InvalidInputError(
                    f"{sentence}: choose another directory, or begin anew (--fresh, in code fresh=True)"
                )
        self.curve, self._earlier_s = about["curve"], about["seconds"]
        return state

    def result_of(self, train: Callable[[], object]) -> Result:
        """Train until that returns or is interrupted: what the run came to, once its snapshot is written."""
        interrupted = False
        try:
            train()
        except KeyboardInterrupt:
            if not self.curve:
                raise
            interrupted = True
        self.write_snapshot()
        best = self.curve[-1].best_objective
        path = self._directory / CHECKPOINT
        return Result(checkpoint=path, best_objective=best, curve=tuple(self.curve), interrupted=interrupted)

    def _checkpoint(self, actor: Actor, point: CurvePoint) -> Checkpoint:
        return Checkpoint(
            actor=actor,
            scenario=self._scenario,
            recipe=self._recipe,
            trims=self._config.trims,
            config=self._config.choices,
            seed=self._config.seed,
            steps=point.steps,
            validation_objective=point.validation_objective,
            num_validation_tapes=self._config.validation_tapes,
            versions=installed_versions(),
        )

    def _seconds(self) -> float:
        return self._earlier_s + time.perf_counter() - self._start_s

    def _decisive(self, choices: Mapping[str, Any], scenario: Mapping[str, Any]) -> dict[str, Any]:
        """What must not change between two sittings of a run."""
        kept = {name: value for name, value in choices.items() if name not in self._config.free_choices}
        return {"scenario": dict(scenario)} | kept
