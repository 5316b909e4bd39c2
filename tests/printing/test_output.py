"""Standard output: text as it is, no end of lines off a terminal, and no encoding that ends a command."""

import io
import sys

import pytest

from edgelearn_env.printing.letters import never_failing_output, spelled
from edgelearn_env.printing.output import Output, progress_on

LONG = "word " * 100


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def bytes_written(monkeypatch):
    """What is written to a standard output of that encoding."""

    def begin(encoding: str) -> io.BytesIO:
        content = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding=encoding, write_through=True))
        monkeypatch.delenv("COLUMNS", raising=False)
        return content

    return begin


@pytest.mark.parametrize("text", ["res[seed=1]", "a[/b]", "[red]x[/red]", ":smile:", r"\[x]"])
def test_text_is_printed_as_it_is(bytes_written, text):
    content = bytes_written("utf-8")
    output = Output()
    output.say(text)
    output.print(text)
    with progress_on(output) as progress:
        list(progress.track([1], description=f"playing {text}"))
    lines = content.getvalue().decode().splitlines()
    assert lines[:2] == [text, text]
    assert lines[2].startswith(f"playing {text} ")


def test_off_a_terminal_a_line_has_no_end_unless_columns_says_so(bytes_written, monkeypatch):
    content = bytes_written("utf-8")
    Output().print(LONG.strip())
    assert content.getvalue().decode() == LONG.strip() + "\n"
    monkeypatch.setenv("COLUMNS", "50")
    assert Output().width == 50


def test_on_a_terminal_a_line_ends_where_it_does(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "44")
    Output().print(LONG)
    assert max(map(len, sys.stdout.getvalue().splitlines())) <= 44


def test_a_bar_and_a_status_are_shown_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    output = Output(60)
    with progress_on(output) as progress:
        assert list(progress.track([1, 2], description="playing [/b]")) == [1, 2]
    with output.status("solving"):
        output.say("done")
    printed = sys.stdout.getvalue()
    assert "playing [/b]" in printed
    assert "2/2" in printed
    assert "done" in printed


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp932"])
def test_what_an_encoding_lacks_is_spelled_out(bytes_written, encoding):
    content = bytes_written(encoding)
    never_failing_output()
    Output().say("Φ of 名, ━│╭…\udce9")
    print("Φ", "\udce9")
    printed = content.getvalue().decode(encoding)
    assert "\udce9" not in printed
    assert printed.startswith(("Phi of ", "Φ of "))
    assert printed.splitlines()[1] in ("Phi ?", "Φ ?")


def test_letters_that_there_are_stay():
    assert spelled("Φ é", "utf-8") == "Φ é"
    assert spelled("Φ é ─│┌", "latin-1") == "Phi é -|+"


def test_undecodable_names_of_files_are_printed_with_question_marks(bytes_written):
    content = bytes_written("utf-8")
    never_failing_output()
    Output().say("caf\udce9")
    assert content.getvalue() == b"caf?\n"
