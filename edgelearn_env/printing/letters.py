"""Letters that an output lacks are spelled out: printing never ends a command."""

import codecs
import io
import sys

# Any other letter becomes a question mark.
_SPELLED = {chr(code): "+" for code in range(0x2500, 0x2580)}  # lines and corners of boxes
_SPELLED |= {"Φ": "Phi", "…": "...", **dict.fromkeys("─━═╺╸", "-"), **dict.fromkeys("│┃║", "|")}
_NAME = "edgelearn-spelled"


def spelled(text: str, encoding: str) -> str:
    """`text` in letters that `encoding` has."""
    return text.encode(encoding, _NAME).decode(encoding)


def never_failing_output() -> None:
    """Let standard output and errors spell out what their encoding lacks, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_NAME)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SPELLED.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error(_NAME, _replaced)
