"""Files that are either whole or absent, folders that can be written to, and errors that say which of them is meant."""

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgelearn_env.errors import InvalidInputError


@contextmanager
def written_atomically(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; on success it becomes `path`, on any error it vanishes.

    The temporary file lies beside `path` and its name keeps the suffix, since some writers choose the format by it. A
    symbolic link stays one: what it points to is replaced. A file that is replaced keeps its mode.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def existing_file(path: str | Path, what: str) -> Path:
    """`path` if it is a readable file.

    Raises:
        InvalidInputError: there is no such file.
    """
    path = Path(path)
    if path.is_dir():
        raise InvalidInputError(f"{what} file {str(path)!r} is a folder: name a file")
    if not path.is_file():
        raise InvalidInputError(f"{what} file {str(path)!r} does not exist")
    return path


def writable_folder(path: str | Path, option: str = "--out") -> Path:
    """`path` if files can be written there, or it can be made for them; nothing is made yet.

    Args:
        path: of a folder that may be missing.
        option: that names it, for the error.

    Raises:
        InvalidInputError: it is a file, or not to be written to.
    """
    path = Path(path)
    nearest = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    if path.is_file():
        raise InvalidInputError(f"{option} must name a folder, got the file {str(path)!r}")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return path
    except OSError as error:
        sentence = f"{option} must name a folder that can be written to, got {str(path)!r}"
        raise InvalidInputError(f"{sentence}: {error.strerror} ({str(nearest)!r})") from error


def name_in_a_path(text: str) -> str:
    """`text` as a part of a file's or folder's name: a character that not every system allows there becomes `_`."""
    return re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", text)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
