"""The table of runs, kept as CSV, so that a study goes on where it stopped; and how step sizes are tuned."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.study.runs import Run, RunKey
from edgelearn_env.files import written_atomically

_KINDS: Mapping[str, type] = dict(Run.__annotations__)


class Table:
    """Runs by what names them, and the file that holds them."""

    def __init__(self, path: Path, about: Mapping[str, object]) -> None:
        """The runs that are in the file, if they were made under the same choices.

        Args:
            path: of the CSV.
            about: the study's choices; a file made under others is refused.

        Raises:
            InvalidInputError: the file is of other choices, or no table of runs.
        """
        self._path, self._about = path, json.dumps(about, sort_keys=True)
        self._runs: dict[RunKey, Run] = {}
        if path.is_file():
            self._load()

    def known(self) -> Mapping[RunKey, Run]:
        """All runs that are there now, by what names them, in the order in which they were added."""
        return dict(self._runs)

    def add(self, runs: Iterable[Run]) -> None:
        """Write down those that are not there yet."""
        new = {run.key: run for run in runs if run.key not in self._runs}
        if new:
            self._runs |= new
            self._save()

    def _save(self) -> None:
        with written_atomically(self._path) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows([Run._fields, *self._runs.values()])
        about = self._path.with_suffix(".json")
        with written_atomically(about) as temporary:
            temporary.write_text(self._about + "\n", encoding="utf-8")

    def _load(self) -> None:
        about = self._path.with_suffix(".json")
        if not about.is_file() or about.read_text(encoding="utf-8").strip() != self._about:
            raise InvalidInputError(f"{str(self._path)!r} is of another study: name another --out, or remove it")
        try:
            with self._path.open(newline="", encoding="utf-8") as lines:
                rows = [Run(**{name: _KINDS[name](row[name]) for name in Run._fields}) for row in csv.DictReader(lines)]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"{str(self._path)!r} is not a table of runs: {error}") from error
        self._runs = {run.key: run for run in rows}


def tuned_step_size(bits_at: Callable[[float], float], step_sizes: Sequence[float], start: float) -> float:
    """The step size of least validation loss: uphill from a start on a grid, until both neighbours are worse.

    Args:
        bits_at: validation loss with a step size; asked once for each.
        step_sizes: the grid, ascending.
        start: one of them.
    """
    found: dict[int, float] = {}

    def bits(index: int) -> float:
        if not 0 <= index < len(step_sizes):
            return float("inf")
        if index not in found:
            value = bits_at(step_sizes[index])
            found[index] = value if value == value else float("inf")
        return found[index]

    here = list(step_sizes).index(start)
    while (better := min((here, here - 1, here + 1), key=bits)) != here:
        here = better
    return step_sizes[here]
