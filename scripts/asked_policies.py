"""Which policies the texts of an option ask for, before anything is loaded."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgelearn_env.errors import InvalidInputError


class AskedPolicy(NamedTuple):
    """A policy by its name, and what it is made from: the name itself, or files of several training runs."""

    name: str
    sources: tuple[str, ...]

    @property
    def is_of_files(self) -> bool:
        """Whether files were given beside its name."""
        return self.sources != (self.name,)

    def __str__(self) -> str:
        return f"{self.name}={'+'.join(self.sources)}" if self.is_of_files else self.name


def asked_policies(texts: Sequence[str]) -> list[AskedPolicy]:
    """The policies that texts ask for: NAME, FILE or NAME=FILE+FILE+..., several of them with commas between.

    Files that exist are taken as they are named: a text that is one, or NAME= and some, is not split at its commas.

    Raises:
        InvalidInputError: they ask for none.
    """
    every = [asked for text in texts for asked in _asked_by(text)]
    if not every:
        raise InvalidInputError(f"a policy needs a name, got {', '.join(map(repr, texts))}")
    return every


def _asked_by(text: str) -> Iterator[AskedPolicy]:
    whole = _asked(text)
    names_one = whole.name == text or "," not in whole.name
    if names_one and all(Path(source).is_file() for source in whole.sources):
        yield whole
        return
    yield from (_asked(part.strip()) for part in text.split(",") if part.strip())


def _asked(text: str) -> AskedPolicy:
    """One policy. What stands before the first `=` is its name, unless that is part of a path."""
    name, given, files = text.partition("=")
    if not given or re.search(r"[/\\]", name) or Path(text).is_file():
        return AskedPolicy(text, (text,))
    return AskedPolicy(name, (files,) if Path(files).is_file() else tuple(files.split("+")))
