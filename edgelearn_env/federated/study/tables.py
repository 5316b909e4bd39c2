"""Tables of a study, as rows of texts: for Markdown, CSV and the terminal."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edgelearn_env.federated.networks import Net
from edgelearn_env.federated.paired import paired_mean
from edgelearn_env.federated.study.limits import LIMITS, answers, best_variant, selected, test_bits_of
from edgelearn_env.federated.study.runs import Run


class TextTable(NamedTuple):
    """A table.

    Attributes:
        name: of its file.
        title: what it shows.
        headings: of its columns.
        rows: texts.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    @property
    def markdown(self) -> str:
        """As Markdown, its title above it."""
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.headings, *self.rows)]
        lines.insert(1, "|" + "---|" * len(self.headings))
        return "\n".join((f"**{self.title}**", "", *lines, ""))


def equal_table(runs: Sequence[Run]) -> TextTable:
    """Every variant that equal devices have run: costs by formula, measured time, loss, accuracy."""
    headings = ("variant", "eta", "memory, MB", "GFLOP a step", "upload, MB", "CPU, s", "bits", "accuracy")
    rows = []
    for variant in _by_loss(runs):
        some = _of(runs, variant)
        first = some[0]
        costs = (f"{first.peak_bytes / 1e6:.1f}", f"{first.step_flops / 1e9:.2f}")
        upload, cpu_s = f"{first.device_upload_bytes / 1e6:.3f}", f"{np.mean([run.cpu_s for run in some]):.1f}"
        accuracy = f"{np.mean([run.accuracy for run in some]):.2%}"
        rows.append(
            (variant, f"{first.step_size:g}", *costs, upload, cpu_s, _mean([r.test_bits for r in some]), accuracy)
        )
    return TextTable("equal", "Equal devices, every variant, best test loss first", headings, rows)


def limits_table(runs: Sequence[Run]) -> TextTable:
    """The best of each family under each limit; and how much worse it is than layer finetuning, paired by seed."""
    found, rows = answers(runs), []
    for answer in found:
        (reference,) = [a for a in found if (a.limit, a.family) == (answer.limit, "layer finetuning")] or [answer]
        behind = "" if answer is reference else _paired(answer.test_bits - reference.test_bits)
        rows.append((answer.limit.label, answer.family, answer.variant, _mean(answer.test_bits), behind))
    headings = ("limit", "family", "best that fits", "bits", "behind layer finetuning")
    return TextTable("limits", "Limits on equal devices, answered from the table of runs", headings, rows)


def rule_table(runs: Sequence[Run], nets: Mapping[int, Net], batch: int) -> TextTable:
    """What the selection rule picks under each limit, beside the best depth and number of blocks of the table."""
    rows, tuned = [], [run for run in runs if run.variant.startswith(("last ", "whole net of ", "head of "))]
    for limit in LIMITS:
        depth, (blocks,) = selected(nets, batch, [limit])
        fitting = [run for run in tuned if limit.fits(run)]
        if not depth or not fitting:
            continue
        best, picked = best_variant(fitting), _block_name(depth, blocks)
        pick = test_bits_of(fitting, picked)
        bits = _mean(pick) if len(pick) else "not run"
        behind = _paired(pick - test_bits_of(fitting, best)) if len(pick) else ""
        rows.append((limit.label, picked, bits, best, _mean(test_bits_of(fitting, best)), behind))
    headings = ("limit", "rule's pick", "bits", "best of the table", "bits", "rule behind")
    return TextTable("rule", "The selection rule against the best of the table", headings, rows)


# Whom other schemes for unequal devices stand beside.
_REFERENCE = "layer finetuning"


def unequal_table(runs: Sequence[Run]) -> TextTable:
    """Schemes for weak, medium and strong devices: each group's accuracy, and how far layer finetuning is ahead."""
    headings = (
        *("scheme", "eta", "bits", "behind layer finetuning", "accuracy", "weak", "medium", "strong", "worst tenth"),
        "weak beside layer finetuning",
    )
    rows, reference = [], _by_seed(_of(runs, _REFERENCE))
    for variant in _by_loss(runs):
        some = _of(runs, variant)
        groups = np.mean([(run.weak_accuracy, run.medium_accuracy, run.strong_accuracy) for run in some], axis=0)
        rows.append(
            (
                variant,
                f"{some[0].step_size:g}",
                _mean([run.test_bits for run in some]),
                _beside(some, reference, "test_bits", 1.0),
                f"{np.mean([run.accuracy for run in some]):.2%}",
                *(f"{accuracy:.2%}" for accuracy in groups),
                f"{np.mean([run.worst_accuracy for run in some]):.2%}",
                _beside(some, reference, "weak_accuracy", 100.0),
            )
        )
    return TextTable(
        "unequal", "Unequal devices, best test loss first; differences in percentage points", headings, rows
    )


def gap_table(runs: Sequence[Run]) -> TextTable:
    """How far general and task data are apart, and what that does to layers, a small net and adapters."""
    headings = ("general data", "variant", "eta", "bits", "accuracy", "gained on no fine-tuning")
    rows = []
    for data in dict.fromkeys(run.data for run in runs):
        before = {(run.depth, run.seed): run for run in runs if run.data == data and run.variant.startswith("before")}
        for variant in _by_loss([run for run in runs if run.data == data]):
            some = [run for run in _of(runs, variant) if run.data == data]
            gained = np.mean([before[run.depth, run.seed].test_bits - run.test_bits for run in some])
            accuracy = f"{np.mean([run.accuracy for run in some]):.2%}"
            rows.append(
                (data, variant, f"{some[0].step_size:g}", _mean([r.test_bits for r in some]), accuracy, f"{gained:.3f}")
            )
    return TextTable("gap", "The gap between general and task data", headings, rows)


def _by_loss(runs: Sequence[Run]) -> list[str]:
    """Variants, the lowest test loss first."""
    names = dict.fromkeys(run.variant for run in runs)
    return sorted(names, key=lambda name: float(np.mean([run.test_bits for run in _of(runs, name)])))


def _of(runs: Sequence[Run], variant: str) -> list[Run]:
    return sorted((run for run in runs if run.variant == variant), key=lambda run: run.seed)


def _block_name(depth: int, blocks: int) -> str:
    return {0: f"head of {depth}", depth: f"whole net of {depth}"}.get(blocks, f"last {blocks} of {depth}")


def _mean(values: Sequence[float] | np.ndarray) -> str:
    return f"{np.mean(values):.4f}"


def _by_seed(runs: Sequence[Run]) -> dict[int, Run]:
    return {run.seed: run for run in runs}


def _beside(runs: Sequence[Run], reference: Mapping[int, Run], field: str, scale: float) -> str:
    """The difference of a result from that of the reference, paired by seed; nothing of the reference itself."""
    pairs = [(run, reference[run.seed]) for run in runs if run.seed in reference]
    if not pairs or all(one is other for one, other in pairs):
        return ""
    return _paired(np.array([scale * (getattr(one, field) - getattr(other, field)) for one, other in pairs]))


def _paired(differences: np.ndarray) -> str:
    """Their mean, and with several seeds half the width of a 95 % interval."""
    found = paired_mean(differences)
    if len(differences) < 2:
        return f"{found.value:+.4f}"
    return f"{found.value:+.4f} ± {found.high - found.value:.4f}"
