"""What codes are worth in run time: schemes as a cluster changes, beside what was claimed, and every code of one."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from edgelearn_env.drawing.study_figure import Panel, drawn_panel

# From slower than uncoded over as fast to faster, in the colours of the curves.
_COLORS = LinearSegmentedColormap.from_list("speed-up", ["#E69F00", "#FFFFFF", "#56B4E9"])


def run_time_figure(
    title: str, times: Sequence[Panel], speed_ups: Panel, claimed: tuple[str, float], of_codes: np.ndarray
) -> Figure:
    """Three panels of run times; below them speed-ups beside one that was claimed, that of every code, the legend.

    Args:
        title: of the figure.
        times: of schemes against what is varied, three panels with the same curves.
        speed_ups: of the same schemes.
        claimed: its name and how large it is.
        of_codes: speed-up of each (s_e, s_w) in one cluster, (n, m).
    """
    figure = Figure(figsize=(15.6, 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False)
    handles: dict[str, Line2D] = {}
    for index, panel in enumerate((*times, speed_ups)):
        axes = figure.add_subplot(2, 3, index + 1)
        handles |= drawn_panel(axes, panel)
    _draw_claim(axes, *claimed)
    _draw_codes(figure.add_subplot(2, 3, 5), of_codes)
    corner = figure.add_subplot(2, 3, 6)
    corner.axis("off")
    legend = corner.legend(
        list(handles.values()), list(handles), loc="center", frameon=False, labelspacing=1.1, fontsize=11
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _draw_claim(axes: Axes, name: str, speed_up: float) -> None:
    axes.axhline(speed_up, color="#444444", linestyle=":", linewidth=1.4)
    text = f"{name}: {speed_up:g}"
    axes.annotate(text, (0.02, speed_up), xycoords=("axes fraction", "data"), va="bottom", fontsize=9)


def _draw_codes(axes: Axes, speed_ups: np.ndarray) -> None:
    """A cell for each code, with its speed-up; the best one is framed."""
    highest = max(float(np.max(speed_ups)), 1.1)
    axes.imshow(speed_ups, cmap=_COLORS, norm=TwoSlopeNorm(1.0, 0.0, highest), origin="lower", aspect="auto")
    for (row, column), value in np.ndenumerate(speed_ups):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center")
    row, column = np.unravel_index(int(np.argmax(speed_ups)), speed_ups.shape)
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, linewidth=2.2, clip_on=False, zorder=3))
    axes.set_xticks(range(speed_ups.shape[1]))
    axes.set_yticks(range(speed_ups.shape[0]))
    axes.set_xlabel("late devices under each edge node, s_w")
    axes.set_ylabel("late edge nodes, s_e")
    axes.set_title("times as fast as uncoded, every code", fontsize=9, loc="right")
