"""Curves of a study: learning bounds of several designs, and their numbers of rounds, against what is varied."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Okabe and Ito's colours, told apart with any colour vision, and a marker each for print without colours.
_STYLES = (
    ("#000000", "o"),
    ("#E69F00", "s"),
    ("#56B4E9", "^"),
    ("#009E73", "D"),
    ("#D55E00", "v"),
    ("#0072B2", "P"),
    ("#CC79A7", "X"),
)


class Panel(NamedTuple):
    """Curves by name, x and y, with gaps where y is not finite; the labels of both axes, and their scales."""

    x_label: str
    y_label: str
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
    y_scale: Literal["log", "linear"] = "log"
    x_scale: Literal["log", "linear"] = "log"


def study_figure(title: str, panels: Sequence[Panel]) -> Figure:
    """Panels, two in a row, with one legend below them all; the first curve of a panel lies on top, thin and black."""
    num_columns = min(len(panels), 2)
    num_rows = -(-len(panels) // num_columns)
    figure = Figure(figsize=(5.2 * num_columns, 3.6 * num_rows + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False)
    handles: dict[str, Line2D] = {}
    for index, panel in enumerate(panels):
        handles |= drawn_panel(figure.add_subplot(num_rows, num_columns, index + 1), panel)
    named = {name: handles[name] for panel in panels for name in panel.curves if name in handles}
    legend = figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=4, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def drawn_panel(axes: Axes, panel: Panel) -> dict[str, Line2D]:
    """Draw a panel; its lines by name. The first lies on top, thin and black."""
    far, lines = _far_above(panel), {}
    for rank, ((name, (x, y)), (color, marker)) in enumerate(zip(panel.curves.items(), _STYLES, strict=False)):
        if name in far or not np.isfinite(y).any():
            continue
        (line,) = axes.plot(x, np.where(np.isfinite(y), y, np.nan), color=color, marker=marker, label=name)
        line.set(linewidth=1.4 if rank == 0 else 2.2, markersize=3.5 if rank == 0 else 6.0)
        line.set_zorder(3 if rank == 0 else 2)
        lines[name] = line
    if far:
        ranges = (f"{name}, {' to '.join(dict.fromkeys(f'{end:.3g}' for end in ends))}" for name, ends in far.items())
        axes.set_title(f"far above: {'; '.join(ranges)}", fontsize=9, loc="right", parse_math=False)
    axes.set_xscale(panel.x_scale)
    axes.set_yscale(panel.y_scale)
    if panel.x_scale == "log":
        _number(axes.xaxis, (1, 2, 5))
    if panel.y_scale == "log":
        low, high = axes.get_ylim()
        _number(axes.yaxis, (1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 5, 7))
    axes.set_xlabel(panel.x_label, parse_math=False)
    axes.set_ylabel(panel.y_label, parse_math=False)
    axes.grid(which="both", alpha=0.25)
    return lines


def _number(axis: Axis, multiples: Sequence[float]) -> None:
    """Plain numbers at these multiples of powers of ten."""
    axis.set_major_locator(LogLocator(subs=multiples))
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axis.set_minor_formatter(NullFormatter())


def _far_above(panel: Panel) -> dict[str, tuple[float, float]]:
    """The curves that would flatten all below them if they were drawn: between which values they lie."""
    finite = {name: y[np.isfinite(y)] for name, (_, y) in panel.curves.items()}
    upwards = sorted((name for name, y in finite.items() if len(y)), key=lambda name: np.min(finite[name]))
    for index in range(1, len(upwards)):
        highest_below = max(np.max(finite[name]) for name in upwards[:index])
        if panel.y_scale == "log" and np.min(finite[upwards[index]]) > _FAR * highest_below:
            return {name: (np.min(finite[name]), np.max(finite[name])) for name in upwards[index:]}
    return {}


# Times as high as all others.
_FAR = 3.0
