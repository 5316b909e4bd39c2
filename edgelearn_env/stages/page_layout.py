"""How a page that shows one episode is laid out, whatever its panels show.

A round t fills the span from t to t + 1 of its axis, and a state lies at the number of rounds done before it. The
layout is fixed, since a layout engine takes longer than all the drawing and moves the panels between frames.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from edgelearn_env.physics.budgets import RUNNING
from edgelearn_env.stages.episode import PlayedEpisode

SIZE_PIXELS = (1200, 800)
_DPI = 100
# Okabe and Ito's colours, told apart with any colour vision; the heat maps are read by lightness alone.
BLACK, ORANGE, SKY, GREEN, BLUE, RED = "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00"
PURPLE = "#CC79A7"
BLANK = "#EFEFEF"
SMALL, MEDIUM, LARGE = 8.5, 10.0, 12.0
LEFTS, WIDE, NARROW = (0.062, 0.390, 0.720), 0.264, 0.208
_TOP, _BOTTOM, _GAP = 0.882, 0.092, 0.05
_FEWEST_ROUNDS_SHOWN, _MOST_DEVICES_NUMBERED = 10, 5


def headed_page(episode: PlayedEpisode, title: str | None = None) -> Figure:
    """A page of 1200 x 800 pixels without panels; `title` replaces its first line, the second says what came of it."""
    figure = Figure(figsize=(SIZE_PIXELS[0] / _DPI, SIZE_PIXELS[1] / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    first_line = title or f"{episode.heading}, {episode.scenario.learning.objective} bound"
    second_line = (
        f"Φ = {episode.objective[-1]:.4g}    M = {episode.num_pretrain_rounds} pre-training and "
        f"N = {episode.num_finetune_rounds} fine-tuning rounds    {episode.how_it_ended}"
    )
    figure.text(LEFTS[0], 0.965, first_line, fontsize=LARGE, fontweight="bold", va="center", parse_math=False)
    figure.text(LEFTS[0], 0.935, second_line, fontsize=LARGE - 1, va="center")
    return figure


def image_of(figure: Figure) -> np.ndarray:
    """A page as an image, uint8 (800, 1200, 3)."""
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def column(figure: Figure, left: float, width: float, shares: Sequence[float]) -> list[Axes]:
    """Panels below one another, from the top of the page to its bottom, with these shares of it, gaps included."""
    heights = (_TOP - _BOTTOM + _GAP) * np.asarray(shares) / np.sum(shares) - _GAP
    bottoms = _TOP - heights - np.cumsum([0.0, *heights[:-1] + _GAP])
    panels = [figure.add_axes((left, low, width, height)) for low, height in zip(bottoms, heights, strict=True)]
    panels[-1].set_xlabel("round and time elapsed", fontsize=SMALL)
    return panels


def label(axes: Axes, heading: str, quantity: str) -> None:
    """Name a panel and its vertical axis."""
    # A position given by hand spares the search for free room, a quarter of the drawing time.
    axes.set_title(heading, fontsize=MEDIUM, loc="left", pad=4, y=1.0)
    axes.set_ylabel(quantity, fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)


def device_map(axes: Axes, values: np.ndarray, first_round: int, **look: Any) -> Any:
    """An image with one row a device and one column a round, of `values` (T, K); `look` as for `Axes.imshow`."""
    num_rounds, num_devices = values.shape
    shown = values if num_rounds else np.full((1, num_devices), np.nan)
    extent = (first_round, first_round + len(shown), num_devices - 0.5, -0.5)
    image = axes.imshow(shown.T, extent=extent, aspect="auto", interpolation="nearest", **look)
    if not num_rounds:
        say_no_round(axes)
    axes.set_facecolor(BLANK)
    axes.set_yticks(range(0, num_devices, math.ceil(num_devices / _MOST_DEVICES_NUMBERED)))
    return image


def heat_map(axes: Axes, values: np.ndarray, first_round: int, norm: Normalize, colours: str | Colormap) -> Colorbar:
    """A `device_map` with its scale at the right, which is returned."""
    image = device_map(axes, values, first_round, norm=norm, cmap=colours)
    left, bottom, width, height = axes.get_position().bounds
    scale: Colorbar = axes.figure.colorbar(
        image, cax=axes.figure.add_axes((left + width + 0.007, bottom, 0.011, height))
    )
    scale.ax.tick_params(labelsize=SMALL)
    scale.minorticks_off()
    return scale


def say_no_round(axes: Axes) -> None:
    """Say that there is nothing to show yet."""
    axes.set_facecolor(BLANK)
    axes.text(0.5, 0.5, "no round", transform=axes.transAxes, ha="center", va="center", fontsize=SMALL)


def last_shown(episode: PlayedEpisode, first: int) -> int:
    """Where the axis of rounds ends: at the last round, with some room ahead at the start of a running episode."""
    fewest = min(_FEWEST_ROUNDS_SHOWN, episode.scenario.budgets.max_rounds) if episode.end_reason == RUNNING else 1
    return max(episode.num_rounds, first + fewest)


def number_rounds(panels: Sequence[Axes], episode: PlayedEpisode, first: int, last: int) -> None:
    """Give panels below one another the same axis of rounds, with the time elapsed, and mark the switch."""
    elapsed_s, switch = episode.states.elapsed_s, episode.num_pretrain_rounds

    decimals = 0 if elapsed_s[-1] >= 20 else 1 if elapsed_s[-1] >= 2 else 2

    def round_and_time(position: float, _: int) -> str:
        if not 0 <= position <= episode.num_rounds:
            return f"{position:.0f}\n"
        then_s = elapsed_s[round(position)]
        return f"{position:.0f}\n{then_s:.{decimals if then_s else 0}f} s"

    for axes in panels:
        axes.set_xlim(first, last)
        axes.xaxis.set_major_locator(NullLocator())
        if first < switch < min(last, episode.num_rounds):
            # Above the images, below the curves.
            axes.axvline(switch, color="white", linewidth=2.5, zorder=0.9)
            axes.axvline(switch, color=BLACK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=0.9, label="switch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[-1].xaxis.set_major_formatter(FuncFormatter(round_and_time))
