"""Parts of a file in Markdown that a command writes, between two comments that stay."""

from pathlib import Path

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import existing_file, written_atomically


def with_section(text: str, begin: str, end: str, content: str) -> str:
    """`text` with `content` in place of what stands between the comments `begin` and `end`, in the line ends of `text`.

    Raises:
        InvalidInputError: one of them is missing, or there twice.
    """
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise InvalidInputError(f"there must be one line {begin!r}, and one line {end!r} after it")
    before, rest = text.split(begin)
    section = f"{begin}\n\n{content}\n\n{end}".replace("\n", "\r\n" if "\r\n" in text else "\n")
    return f"{before}{section}{rest.split(end)[1]}"


def rewrite_section(path: str | Path, begin: str, end: str, content: str) -> None:
    """Bring that part of a file up to date, atomically; every other byte stays.

    Raises:
        InvalidInputError: there is no such file, it is no UTF-8, or it lacks one of the comments.
    """
    path = existing_file(path, "Markdown")
    try:
        text = with_section(path.read_bytes().decode("utf-8"), begin, end, content)
    except (InvalidInputError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"file {str(path)!r}: {error}") from error
    with written_atomically(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
