"""Files that are either whole or absent, and reading errors that say which file."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgelearn_env.errors import InvalidInputError


@contextmanager
def written_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any error it vanishes.

    The temporary name keeps the suffix of `path`, since some writers choose the format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def existing_file(path: str | Path, what: str) -> Path:
    """`path` if it is a readable file.

    Raises:
        InvalidInputError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInputError(f"{what} file {str(path)!r} does not exist")
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
