"""Parts of a file in Markdown that a command writes, between two comments that stay."""

from pathlib import Path

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.files import existing_file, written_atomically


def with_section(text: str, begin: str, end: str, content: str) -> str:
    """`text` with `content` in place of what stands between the comments `begin` and `end`.

    Raises:
        InvalidInputError: one of them is missing, or there twice.
    """
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise InvalidInputError(f"there must be one line {begin!r}, and one line {end!r} after it")
    before, rest = text.split(begin)
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"


def rewrite_section(path: str | Path, begin: str, end: str, content: str) -> None:
    """Bring that part of a file up to date, atomically.

    Raises:
        InvalidInputError: there is no such file, or it lacks one of the comments.
    """
    path = existing_file(path, "Markdown")
    try:
        text = with_section(path.read_text(encoding="utf-8"), begin, end, content)
    except InvalidInputError as error:
        raise InvalidInputError(f"file {str(path)!r}: {error}") from error
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
