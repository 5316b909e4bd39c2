"""Curves of a study: learning bounds of several designs, and their numbers of rounds, against what is varied."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
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
    """Curves by name, x (logarithmic) and y, with gaps where y is not finite; the labels of both axes."""

    x_label: str
    y_label: str
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
    y_scale: Literal["log", "linear"] = "log"


def study_figure(title: str, panels: Sequence[Panel]) -> Figure:
    """Panels side by side, two in a row, with one legend below them all, which is that of the first."""
    num_columns = min(len(panels), 2)
    num_rows = -(-len(panels) // num_columns)
    figure = Figure(figsize=(5.2 * num_columns, 3.6 * num_rows + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(num_rows, num_columns, index + 1)
        for (name, (x, y)), (color, marker) in zip(panel.curves.items(), _STYLES, strict=False):
            width = 2.2 if color == _STYLES[0][0] else 1.2
            finite = np.where(np.isfinite(y), y, np.nan)
            axes.plot(x, finite, color=color, marker=marker, markersize=4, linewidth=width, label=name)
        axes.set_xscale("log")
        axes.set_yscale(panel.y_scale)
        for axis in (axes.xaxis, axes.yaxis) if panel.y_scale == "log" else (axes.xaxis,):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(panel.x_label)
        axes.set_ylabel(panel.y_label)
        axes.grid(which="both", alpha=0.25)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure
