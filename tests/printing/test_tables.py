"""Tables fit, and no word or number of them is broken."""

import io

import pytest
from rich.console import Console

from edgelearn_env.printing.tables import NO_BREAK, fitted, table_of

CELLS = [
    ["(bound)", "0.6508", "", "", "", "", "", ""],
    ["clairvoyant", "0.6567", "+0.9%", f"+0.9%{NO_BREAK}to +0.9%", "+0.9%", "18", "6", f"delay{NO_BREAK}100%"],
    [
        "imitation (3 runs)",
        "29.7732",
        f"x{NO_BREAK}38.6",
        f"+119.4%{NO_BREAK}to x{NO_BREAK}69.5",
        "+120.6%",
        "13",
        "117",
        f"battery{NO_BREAK}32%, delay{NO_BREAK}68%",
    ],
]
WORDS = [word for row in CELLS for cell in row for word in cell.replace(NO_BREAK, " ").split()]


def table():
    made = table_of("policy", "mean Φ", "gap", "95 % interval", "IQM", "M", "N", "ended by", texts={"ended by"})
    for row in CELLS:
        made.add_row(*row)
    return made


def printed(made, width: int, encoding: str = "utf-8") -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    console.print(fitted(made, width, encoding))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 50, 58, 60, 66, 72, 80, 100, 1000])
def test_every_word_and_number_is_whole_and_every_line_within_the_width(width):
    lines = printed(table(), width)
    assert all(len(line) <= width for line in lines)
    words = [word for line in lines for word in line.split()]
    for word in WORDS:
        assert words.count(word) >= WORDS.count(word)
    assert not any(NO_BREAK in line or "…" in line for line in lines)


def test_what_belongs_together_stays_in_one_line_at_eighty_columns():
    lines = printed(table(), 80)
    for part in ("battery 32%,", "delay 68%", "+119.4% to", "x 69.5", "x 38.6"):
        assert any(part in line for line in lines)


def test_rows_stay_rows_at_sixty_columns_and_are_lines_beside_their_headings_below():
    assert any(line.split()[:3] == ["clairvoyant", "0.6567", "+0.9%"] for line in printed(table(), 60))
    narrow = [line.split() for line in printed(table(), 40)]
    assert ["policy", "clairvoyant"] in narrow
    assert ["IQM", "+120.6%"] in narrow


def test_a_table_with_room_has_a_line_for_each_row():
    lines = printed(table(), 120)
    assert len(lines) == 2 + len(CELLS)
    assert lines[1] == "-" * len(lines[0])


def test_numbers_end_at_the_right_and_texts_begin_at_the_left():
    lines = printed(table(), 120)
    column = lines[0].index("mean Φ") + len("mean Φ")
    assert all(line[column - 1] != " " and line[column] == " " for line in lines[2:])
    assert lines[3].startswith("clairvoyant ")


def test_letters_that_are_spelled_out_are_given_their_room():
    lines = printed(table(), 120, "cp1252")
    assert "mean Phi" in lines[0]
    assert len({len(line) for line in lines}) == 1


def test_names_with_brackets_or_of_any_length_stay_as_they_are():
    made = table_of("policy", "mean Φ")
    made.add_row("[red]runs/lr=0.001[/b]:smile:/checkpoint.zip", "0.5")
    assert any("[red]runs/lr=0.001[/b]:smile:/checkpoint.zip" in line for line in printed(made, 60))
