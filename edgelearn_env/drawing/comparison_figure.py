"""A report as a picture: every episode of every policy, as its gap to the proven bound."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from edgelearn_env.evaluation.report import Report, objective_of

_DOTS, _MEAN = "#0072B2", "#D55E00"


def comparison_figure(report: Report) -> Figure:
    """Gaps to the bound on a logarithmic axis: a dot for each episode, the geometric mean and its 95 % interval."""
    figure = Figure(figsize=(9, 1.6 + 0.55 * len(report.played)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rng = np.random.default_rng(0)
    # A gap is drawn as 1 + gap, the ratio to the bound, so that one of 0 has a place on the axis.
    for row, played in enumerate(report.played):
        height = row + rng.uniform(-0.2, 0.2, played.objective.shape)
        label = "one episode" if row == 0 else None
        axes.scatter(played.objective / report.bound, height, s=18, alpha=0.55, color=_DOTS, linewidths=0, label=label)
        gap = report.gap(played)
        ends = [[gap.estimate - gap.low], [gap.high - gap.estimate]]
        label = "mean and 95 % interval" if row == 0 else None
        axes.errorbar(1 + gap.estimate, row, xerr=ends, fmt="D", color=_MEAN, markersize=6, capsize=4, label=label)
        text = f"+{gap.estimate:.1%}" if gap.estimate < 10 else f"x {1 + gap.estimate:.0f}"
        axes.annotate(text, (1 + gap.estimate, row), xytext=(0, 9), textcoords="offset points", ha="left", color=_MEAN)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    largest = max(float(np.max(played.objective / report.bound)) for played in report.played)
    axes.set_xlim(0.97, 1.15 * largest)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(report.played)), [played.label for played in report.played], parse_math=False)
    axes.set_ylim(len(report.played) - 0.5, -0.6)
    symbol = objective_of(report.scenario).symbol
    axes.set_xlabel(f"{symbol} / proven lower bound of the same tape (1 = no policy can do better)")
    scenario, num_tapes = report.scenario, len(report.seeds)
    axes.set_title(f"{scenario.name}: {scenario.in_words}, {num_tapes} tapes", parse_math=False)
    axes.grid(axis="x", which="both", alpha=0.25)
    axes.legend(loc="upper right", frameon=False)
    return figure
