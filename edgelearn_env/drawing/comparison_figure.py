"""A report as a picture: every episode of every policy, as its gap to the proven bound."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from edgelearn_env.evaluation.report import Report, objective_of

_DOTS, _MEAN = "#0072B2", "#D55E00"

# Smaller gaps are drawn as this one: a plan that is proven to be the best has none.
_LEAST = 1e-4

# Gaps that the axis names: shares of the bound, then multiples of it.
_SHARES, _MULTIPLES = (1e-4, 1e-3, 1e-2, 1e-1), (2, 10, 100, 1000, 10_000, 100_000)
_TICKS = {share: f"+{100 * share:g} %" for share in _SHARES} | {many - 1: f"x {many:,}" for many in _MULTIPLES}


def comparison_figure(report: Report) -> Figure:
    """Gaps to the bound on a logarithmic axis: a dot for each episode, the geometric mean and its 95 % interval."""
    figure = Figure(figsize=(9, 1.6 + 0.55 * len(report.played)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rng = np.random.default_rng(0)
    for row, played in enumerate(report.played):
        height = row + rng.uniform(-0.2, 0.2, played.objective.shape)
        label = "one episode" if row == 0 else None
        gaps = np.maximum(played.objective / report.bound - 1, _LEAST)
        axes.scatter(gaps, height, s=18, alpha=0.55, color=_DOTS, linewidths=0, label=label)
        gap = report.gap(played)
        mean, low, high = (max(number, _LEAST) for number in (gap.estimate, gap.low, gap.high))
        ends = [[mean - low], [high - mean]]
        label = "mean and 95 % interval" if row == 0 else None
        axes.errorbar(mean, row, xerr=ends, fmt="D", color=_MEAN, markersize=6, capsize=4, label=label)
        text = f"+{gap.estimate:.1%}" if gap.estimate < 10 else f"x {1 + gap.estimate:.0f}"
        axes.annotate(text, (mean, row), xytext=(0, 12), textcoords="offset points", ha="center", color=_MEAN)
    axes.set_xscale("log")
    largest = max(0.1, *(float(np.max(played.objective / report.bound - 1)) for played in report.played))
    axes.set_xlim(0.7 * _LEAST, 3 * largest)
    ticks = [gap for gap in _TICKS if gap < 2 * largest]
    axes.set_xticks(ticks, [_TICKS[gap] for gap in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(report.played)), [played.label for played in report.played], parse_math=False)
    axes.set_ylim(len(report.played) - 0.5, -0.6)
    symbol = objective_of(report.scenario).symbol
    axes.set_xlabel(f"{symbol} above the proven lower bound of the same tape, which no policy can get below")
    scenario, num_tapes = report.scenario, len(report.seeds)
    axes.set_title(f"{scenario.name}: {scenario.in_words}, {num_tapes} tape{'s' * (num_tapes > 1)}", parse_math=False)
    axes.grid(axis="x", which="both", alpha=0.25)
    axes.legend(loc="upper right", frameon=False)
    return figure
