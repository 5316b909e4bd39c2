"""The study as a whole: which runs it takes, in which order, each made once."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgelearn_env.federated.study.bench import NetKey, pretrain_net, samples_of
from edgelearn_env.federated.study.plan import DEEP, MIDDLE, SMALL, StudyPlan, net_for
from edgelearn_env.federated.study.runs import Run
from edgelearn_env.federated.study.table import Table
from edgelearn_env.federated.study.tuned_runs import Task, runs_of
from edgelearn_env.federated.study.variants import (
    Variant,
    equal_variants,
    last_blocks,
    pairs,
    partial_variants,
    unequal_variants,
)

DEFAULT_DATA = "default"
EQUAL, UNEQUAL, GAP = "equal", "unequal", "gap"

# Calls, each a function and its arguments, and the result of each in turn.
Call = tuple[Callable[..., object], tuple[object, ...]]
Shared = Callable[[Sequence[Call]], Iterator[object]]


class Comparison(NamedTuple):
    """Runs that belong together, and the nets that they begin with."""

    nets: list[NetKey]
    tasks: list[Task]


def one_by_one(calls: Sequence[Call]) -> Iterator[object]:
    """The result of each call, in this process."""
    return (function(*arguments) for function, arguments in calls)


class Study:
    """Runs of a plan in a folder; what is there is not made again."""

    def __init__(self, plan: StudyPlan, folder: Path, shared: Shared = one_by_one) -> None:
        """Begin, or go on.

        Args:
            plan: how much to do.
            folder: for `runs.csv` and pre-trained nets.
            shared: makes calls, in this process or in others.

        Raises:
            InvalidInputError: the folder holds another plan's study.
        """
        self._plan, self._folder, self._shared = plan, folder, shared
        self.table = Table(folder / "runs.csv", dataclasses.asdict(plan))

    @property
    def num_tasks(self) -> int:
        """How many results `runs` goes through."""
        return sum(len(each.tasks) for each in self._comparisons())

    def runs(self) -> Iterator[Run]:
        """All final runs: each variant at its tuned step size, with each seed; and nets before fine-tuning.

        What the first comparison needs comes first, for those who stop early.
        """
        comparisons = list(self._comparisons())
        for _ in self._shared(self._pretraining(comparisons[0])):
            pass
        for (_, tasks), following in zip(comparisons, [*comparisons[1:], Comparison([], [])], strict=True):
            # Those of another seed are told at which step size by the runs of the first.
            known = self.table.known()
            calls: list[Call] = [(runs_of, (self._folder, self._plan, task, known)) for task in tasks]
            # The next nets take longest: at the end, one of them would keep all other processes waiting.
            half = len(calls) // 2
            for made in self._shared([*calls[:half], *self._pretraining(following), *calls[half:]]):
                if isinstance(made, list):
                    self.table.add(made)
                    yield made[-1]

    def _pretraining(self, comparison: Comparison) -> list[Call]:
        return [(pretrain_net, (self._folder, self._plan, key)) for key in comparison.nets]

    def _comparisons(self) -> Iterator[Comparison]:
        for seed in self._plan.seeds:
            compared = [(EQUAL, depth, equal_variants()) for depth in (MIDDLE, SMALL)]
            compared += [(UNEQUAL, depth, self._unequal_variants()) for depth in (MIDDLE, SMALL)]
            yield _comparison(DEFAULT_DATA, seed, compared)
            for data in self._plan.gaps if seed == self._plan.seeds[0] else ():
                yield _comparison(data, seed, [(GAP, depth, _GAP_VARIANTS) for depth in (MIDDLE, SMALL)])
            if self._plan.deep:
                yield _comparison(DEFAULT_DATA, seed, [(EQUAL, DEEP, equal_variants())])
            partial = [Task(EQUAL, DEFAULT_DATA, each.depth, each, seed) for each in partial_variants()]
            yield Comparison([], partial)

    def _unequal_variants(self) -> list[Variant]:
        nets = {depth: net_for(DEFAULT_DATA, depth) for depth in (SMALL, MIDDLE)}
        return unequal_variants(nets, self._plan.batch, samples_of(DEFAULT_DATA).num_devices)


def _comparison(data: str, seed: int, compared: Sequence[tuple[str, int, list[Variant]]]) -> Comparison:
    """Nets of those depths as they are, and under every variant that is of their depth."""
    tasks = []
    for part, depth, variants in compared:
        own = [each for each in variants if each.depth == depth]
        tasks += [Task(part, data, depth, variant, seed) for variant in (None, *own)]
    depths = dict.fromkeys(depth for _, depth, _ in compared)
    return Comparison([NetKey(data, depth, seed) for depth in depths], tasks)


_GAP_VARIANTS = [last_blocks(MIDDLE, 2), last_blocks(SMALL, 2), pairs(SMALL, 8), last_blocks(MIDDLE, 0)]
