"""Pictures of real training as clouds of points: the bound beside what was measured, schemes beside their costs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

# Okabe and Ito's colours, and a marker each for print without colours.
STYLES = (
    *(("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#E69F00", "D"), ("#CC79A7", "P")),
    *(("#56B4E9", "v"), ("#000000", "X"), ("#999999", "*"), ("#661100", "<"), ("#44AA99", ">")),
)


class Cloud(NamedTuple):
    """Points of one kind.

    Attributes:
        x, y: (n,).
        names: of the points; empty for none.
        low, high: ends of a bar at each point, (n,); None without bars.
    """

    x: np.ndarray
    y: np.ndarray
    names: Sequence[str] = ()
    low: np.ndarray | None = None
    high: np.ndarray | None = None


class Scatter(NamedTuple):
    """A panel: clouds by what they are, labels of both axes and their scales."""

    title: str
    x_label: str
    y_label: str
    clouds: Mapping[str, Cloud]
    log_x: bool = False
    log_y: bool = False


def scatter_figure(title: str, panels: Sequence[Scatter], diagonal: bool = False) -> Figure:
    """Panels beside one another, a legend below.

    Args:
        title: of the figure.
        panels: one to three.
        diagonal: draw y = x in the first, which a bound is to lie below of.
    """
    figure = Figure(figsize=(5.4 * len(panels), 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False, fontsize=11)
    handles: dict[str, PathCollection] = {}
    styles = dict(zip(dict.fromkeys(name for panel in panels for name in panel.clouds), STYLES, strict=False))
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for name, cloud in panel.clouds.items():
            handles[name] = _drawn(axes, name, cloud, styles[name])
        axes.set_xscale("log" if panel.log_x else "linear")
        axes.set_yscale("log" if panel.log_y else "linear")
        if diagonal and index == 0:
            ends = np.array(axes.get_xlim())
            axes.plot(ends, ends, color="#888888", linestyle=":", linewidth=1.2, zorder=1)
            axes.set_xlim(*ends)
        axes.set_title(panel.title, fontsize=9, loc="left", parse_math=False)
        axes.set_xlabel(panel.x_label, parse_math=False)
        axes.set_ylabel(panel.y_label, parse_math=False)
        axes.grid(alpha=0.25)
    legend = figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=min(5, len(handles)), frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _drawn(axes: Axes, name: str, cloud: Cloud, style: tuple[str, str]) -> PathCollection:
    color, marker = style
    if cloud.low is not None and cloud.high is not None:
        axes.vlines(cloud.x, cloud.low, cloud.high, color=color, linewidth=1.6, alpha=0.6)
    handle = axes.scatter(cloud.x, cloud.y, color=color, marker=marker, s=42, label=name, zorder=3)
    for x, y, text in zip(cloud.x, cloud.y, cloud.names, strict=False):
        axes.annotate(text, (x, y), xytext=(5, 3), textcoords="offset points", fontsize=7, parse_math=False)
    return handle
