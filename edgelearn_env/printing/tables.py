"""Tables of texts and numbers that fit into a width without breaking a word or a number."""

import textwrap
from collections.abc import Collection, Sequence

from rich.box import Box
from rich.cells import cell_len
from rich.table import Table

from edgelearn_env.printing.letters import spelled

# A space where a line is broken only if there is no other way.
NO_BREAK = "\u00a0"

# Between columns, where there is room.
_GAP = 2
# Nothing but a line below the headings, in letters that every output has.
_BOX = Box("    \n    \n -- \n" + 5 * "    \n", ascii=True)


def table_of(*headings: str, title: str | None = None, texts: Collection[str] = ()) -> Table:
    """An empty table: numbers end at the right; the first column, and those of `texts`, begin at the left."""
    table = _empty(title, _GAP)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index == 0 or heading in texts else "right")
    return table


def fitted(table: Table, width: int, encoding: str = "utf-8") -> Table:
    """A table of texts as it fits into a width, with lines broken between words only.

    Where even single words do not fit beside one another, cells stand below one another, each beside its heading.

    Args:
        table: as `table_of` makes it, with texts as cells.
        width: in columns of the output.
        encoding: of the output; letters that it lacks are measured as they will be spelled.
    """
    columns = [(str(column.header), *map(str, column.cells)) for column in table.columns]
    whole = [[_spelled(cell, encoding) for cell in column] for column in columns]
    loose = [[cell.replace(NO_BREAK, " ") for cell in column] for column in whole]
    for cells, gap in ((whole, _GAP), (whole, 1), (loose, 1)):
        widths = _narrowed(cells, width - gap * (len(cells) - 1))
        if widths is not None:
            return _laid_out(table, cells, widths, gap)
    return _stacked(table, loose)


def _empty(title: object, gap: int) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left", box=_BOX, show_edge=False)  # type: ignore[arg-type]
    table.padding, table.pad_edge, table.collapse_padding = (0, gap - 1), False, True
    return table


def _spelled(cell: str, encoding: str) -> str:
    """A cell in letters that the output has, and its spaces as they are."""
    return NO_BREAK.join(spelled(part, encoding) for part in cell.split(NO_BREAK))


def _narrowed(cells: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Widths of columns that fit together, the widest narrowed first; None if there are none."""
    natural = [max(map(cell_len, column)) for column in cells]
    least = [max(cell_len(word) for cell in column for word in cell.split(" ")) for column in cells]
    if sum(least) > room:
        return None
    widths = list(natural)
    while sum(widths) > room:
        widest = max(range(len(widths)), key=lambda index: (widths[index] > least[index], widths[index]))
        widths[widest] -= 1
    return widths


def _laid_out(table: Table, cells: Sequence[Sequence[str]], widths: Sequence[int], gap: int) -> Table:
    found = _empty(table.title, gap)
    found.caption = table.caption
    wrapped = [[_wrapped(cell, width) for cell in column] for column, width in zip(cells, widths, strict=True)]
    for column, lines, width in zip(table.columns, wrapped, widths, strict=True):
        found.add_column(lines[0], justify=column.justify, width=width, overflow="fold")
    for row in zip(*(lines[1:] for lines in wrapped), strict=True):
        found.add_row(*row)
    return found


def _stacked(table: Table, cells: Sequence[Sequence[str]]) -> Table:
    """Each row as lines of a heading and a cell."""
    found = _empty(table.title, _GAP)
    found.caption, found.show_header = table.caption, False
    found.add_column(overflow="fold")
    found.add_column(overflow="fold")
    for row in zip(*(column[1:] for column in cells), strict=True):
        for column, cell in zip(cells, row, strict=True):
            if cell:
                found.add_row(column[0], cell)
        found.add_row("", "")
    return found


def _wrapped(cell: str, width: int) -> str:
    lines = textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) if width else []
    return "\n".join(lines).replace(NO_BREAK, " ")
