"""The training curve of a recipe over several seeds."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import t as student

_LEVEL = 0.95

# Times what a run begins with.
_RUNAWAY = 1.5

_COLOR, _BEST = "#0072B2", "#D55E00"


class Curve(NamedTuple):
    """Judgements of one training run, (n,) each.

    Attributes:
        seed: of the run.
        steps: environment steps until each judgement.
        objective: geometric mean of Phi on the validation tapes.
    """

    seed: int
    steps: np.ndarray
    objective: np.ndarray


def curve_figure(title: str, curves: Sequence[Curve], beside: Mapping[str, float]) -> Figure:
    """Geometric mean of Phi over environment steps: every run, their geometric mean, and its 95 % interval.

    The interval is Student's on log Phi over the runs, n - 1 degrees of freedom; with one run there is none. The runs
    are judged equally often, and their k-th judgements are taken together.

    Args:
        title: of the figure.
        curves: of runs that differ in their seeds.
        beside: what other policies reach on the same tapes, by name; at least one.
    """
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for curve in curves:
        axes.plot(curve.steps / 1e6, curve.objective, color=_COLOR, alpha=0.35, linewidth=0.8)
        best = int(np.argmin(curve.objective))
        axes.plot(curve.steps[best] / 1e6, curve.objective[best], "o", color=_BEST, markersize=5, zorder=4)
    steps = np.mean([curve.steps for curve in curves], axis=0) / 1e6
    mean, half_width = mean_and_half_width(np.log([curve.objective for curve in curves]))
    seeds = f"mean of {len(curves)} seeds" if len(curves) > 1 else f"seed {curves[0].seed}"
    axes.plot(steps, np.exp(mean), color=_COLOR, linewidth=2.0, label=seeds)
    if len(curves) > 1:
        low, high = np.exp(mean - half_width), np.exp(mean + half_width)
        axes.fill_between(steps, low, high, color=_COLOR, alpha=0.18, linewidth=0, label="95 % interval of the mean")
    axes.plot([], [], "o", color=_BEST, markersize=5, label="state that is kept")
    objective = np.array([curve.objective for curve in curves])
    # What runs away would flatten all that is worth seeing.
    highest = max(min(float(np.max(objective)), _RUNAWAY * float(np.max(objective[:, 0]))), *beside.values())
    for name, value in beside.items():
        axes.axhline(value, color="#444444", linestyle=":", linewidth=1.2)
        label = axes.annotate(name, (1.0, value), xycoords=("axes fraction", "data"), ha="right", va="bottom")
        label.set(fontsize=8, parse_math=False)
    lowest = min(float(np.min(objective)), *beside.values())
    axes.set_ylim(0.98 * lowest, 1.02 * highest)
    axes.set_title(title, parse_math=False)
    axes.set_xlabel("environment steps, millions")
    axes.set_ylabel("geometric mean of Φ, validation tapes")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def mean_and_half_width(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over runs, the first axis of (n, ...), and half the width of its 95 % interval; 0 with one run."""
    count = len(values)
    mean = np.mean(values, axis=0)
    if count == 1:
        return mean, np.zeros_like(mean)
    error = np.std(values, axis=0, ddof=1) / np.sqrt(count)
    return mean, student.ppf((1 + _LEVEL) / 2, count - 1) * error
