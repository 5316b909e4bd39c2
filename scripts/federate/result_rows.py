"""Results of real training as a table in a file, which an interrupted command goes on with."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.checkpoints import another_run
from edgelearn_env.files import written_atomically

# A named tuple of texts and numbers.
Row = TypeVar("Row", bound=tuple)


def require_same_run(folder: Path, choices: Mapping[str, Any]) -> None:
    """Note in a folder what its results are of, or make sure that it is the same as before.

    Raises:
        InvalidInputError: they are of other choices.
    """
    file = folder / "run.json"
    text = json.dumps(choices, indent=1, sort_keys=True)
    if file.is_file() and file.read_text(encoding="utf-8") != text:
        raise another_run(folder)
    with written_atomically(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def known_rows(file: Path, kind: type[Row]) -> list[Row]:
    """What `write_rows` wrote; nothing if there is no such file.

    Raises:
        InvalidInputError: it is another kind of file.
    """
    if not file.is_file():
        return []
    kinds = kind.__annotations__
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            return [kind(**{name: kinds[name](row[name]) for name in kinds}) for row in csv.DictReader(lines)]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"{str(file)!r} is not a table that this command wrote: {error}") from error


def write_rows(file: Path, rows: Sequence[Row]) -> None:
    """Write rows under the names of their fields, atomically; at least one."""
    with written_atomically(file) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([list(type(rows[0]).__annotations__), *rows])
