"""Several reports about the same tapes as one, and as a table in Markdown."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.report import Played, Report, objective_of
from edgelearn_env.evaluation.statistics import Interval
from edgelearn_env.scenarios.scenario import first_difference

# Bounds proven twice may differ by the gap that a proof leaves open, and numbers by what another machine rounds.
_SAME_BOUND, _SAME_OBJECTIVE = 1e-4, 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Leaderboard:
    """All policies of several reports, each compared on the same tapes.

    Attributes:
        report: every policy once, by its gap, the best first; the bound of a tape is the highest one that was proven.
        files: for each policy, the names of the reports that it stands in.
    """

    report: Report
    files: Sequence[Sequence[str]]

    @classmethod
    def of(cls, reports: Mapping[str, Report]) -> Self:
        """Merge reports, given by the names of their files.

        A policy that did the same in two reports is one; one that did something else, such as after another training,
        is another of the same name.

        Raises:
            InvalidInputError: there is no report, or two are about other systems or tapes.
        """
        if not reports:
            raise InvalidInputError("a leaderboard needs at least one benchmark file")
        (first_file, first), *others = reports.items()
        for file, other in others:
            difference = _difference(first, other)
            if difference is not None:
                raise InvalidInputError(f"benchmark file {file!r} does not fit {first_file!r}: {difference}")
        rows: list[tuple[Played, list[str]]] = []
        for file, report in reports.items():
            for played in report.played:
                known = next((files for other, files in rows if _alike(played, other)), None)
                if known is None:
                    rows.append((played, [file]))
                else:
                    known.append(file)
        rows.sort(key=lambda row: float(np.mean(np.log(row[0].objective))))
        bound = np.max([report.bound for report in reports.values()], axis=0)
        relaxed = np.min([report.relaxed for report in reports.values()], axis=0)
        merged = dataclasses.replace(first, bound=bound, relaxed=relaxed, played=[played for played, _ in rows])
        return cls(report=merged, files=[files for _, files in rows])

    def markdown(self) -> str:
        """The table, with a sentence before it that says what was played and one after it that says what it shows."""
        report, best = self.report, self.report.best_online
        compared = "P(better)" if best is None else f"P(better than {_code(best.name)})"
        headings = [
            "Policy",
            "Kind",
            f"Mean {objective_of(report.scenario).symbol}",
            "Gap",
            "95 % interval",
            "IQM",
            compared,
            "Episodes",
            "From",
        ]
        lines = [_row(headings), "|" + "---|" * len(headings)]
        lines.append(
            _row(["(proven bound)", "", f"{np.mean(report.bound):.4f}", *[""] * 4, f"{len(report.seeds)}", ""])
        )
        for played, files in zip(report.played, self.files, strict=True):
            better = "" if best is None or played is best else chance(report.improvement(played, best))
            gap = report.gap(played)
            cells = [
                _code(played.name) if len(played.runs) < 2 else f"{_code(played.name)}, {len(played.runs)} runs",
                _words(played.kind),
                f"{np.mean(played.objective):.4f}",
                percent(gap.estimate),
                interval(gap),
                percent(report.interquartile_gap(played).estimate),
                better,
                f"{played.objective.size}",
                "; ".join([*_training(played), *(_code(file) for file in files)]),
            ]
            lines.append(_row(cells))
        meaning = _MEANING.replace("Φ", objective_of(report.scenario).symbol)
        return "\n".join([_title(report), "", *lines, "", meaning])


_MEANING = """\
Clairvoyant policies know the tape in advance, which nobody can; learned ones were trained, on other tapes; online ones
need no training. Φ: lower is better. Gap: geometric mean of Φ / proven bound, less 1. IQM: the same without the best
and the worst quarter. P(better): how often Φ is lower on the same tape; a tie counts half. All intervals: 95 %,
bootstrapped over tapes and training runs."""


def percent(share: float) -> str:
    """A ratio less 1 as tables print it: `+3.1 %`, or a factor from ten times on, `x 12.3`."""
    return f"{share:+.1%}" if share < 10 else f"x {1 + share:.1f}"


def interval(of: Interval) -> str:
    """Both ends of such a ratio."""
    return f"{percent(of.low)} to {percent(of.high)}"


def chance(of: Interval) -> str:
    """A probability with its interval: `10% (6% to 14%)`."""
    return f"{of.estimate:.0%} ({of.low:.0%} to {of.high:.0%})"


def _title(report: Report) -> str:
    scenario, seeds = report.scenario, report.seeds
    return (
        f"Scenario {_code(scenario.name)}: {scenario.in_words}; {len(seeds)} test tapes, "
        f"seeds {min(seeds)} to {max(seeds)}."
    )


def _row(cells: Sequence[str]) -> str:
    """A row of the table; a bar within a cell would end it."""
    bars = (cell.replace("|", r"\|") for cell in cells)
    return "|" + "|".join(f" {cell} " if cell else " " for cell in bars) + "|"


def _code(name: str) -> str:
    """A name as it is, between as many backticks as it takes."""
    text = " ".join(name.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if len(fence) > 1 else f"{fence}{text}{fence}"


def _words(text: str) -> str:
    """Words of a file in which no letter means anything to Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#])", r"\\\1", " ".join(text.split()))


def _training(played: Played) -> list[str]:
    """Recipe and seeds of what was trained."""
    if not played.runs:
        return []
    seeds = ", ".join(str(run["seed"]) for run in played.runs)
    return [f"recipe {_words(str(played.runs[0]['recipe']))}, seed{'s' * (len(played.runs) > 1)} {seeds}"]


def _alike(one: Played, other: Played) -> bool:
    """Whether two rows are the same policy doing the same."""
    same = one.name == other.name and one.kind == other.kind and one.objective.shape == other.objective.shape
    return same and np.allclose(one.objective, other.objective, rtol=_SAME_OBJECTIVE, atol=0)


def _difference(first: Report, other: Report) -> str | None:
    """Why two reports are not about the same tapes, if they are not."""
    difference = first_difference(first.scenario, other.scenario)
    if difference is not None:
        return difference
    if list(first.seeds) != list(other.seeds):
        return f"it has {_tapes(other)}, not {_tapes(first)}"
    apart = np.abs(other.bound / first.bound - 1)
    worst = int(np.argmax(apart))
    if apart[worst] > _SAME_BOUND:
        return f"the bound of seed {first.seeds[worst]} was {first.bound[worst]:g}, here it is {other.bound[worst]:g}"
    return None


def _tapes(report: Report) -> str:
    return f"{len(report.seeds)} tapes with seeds {min(report.seeds)} to {max(report.seeds)}"
