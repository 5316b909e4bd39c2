"""The study as a whole: which runs it takes, in which order, each made once."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from edgelearn_env.federated.checkpoints import loaded_weights, saved_weights
from edgelearn_env.federated.frozen_prefix import FrozenStreams
from edgelearn_env.federated.pretraining import pretrained
from edgelearn_env.federated.samples import FederatedSamples
from edgelearn_env.federated.study.plan import DEEP, MIDDLE, SMALL, StudyPlan, net_for, samples_named
from edgelearn_env.federated.study.runs import Bench, Run, RunKey, before_finetuning, study_run
from edgelearn_env.federated.study.table import Table, tuned_step_size
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
_FIRST_GUESS = {"blocks": 0.2, "pairs": 0.8, "rolling": 0.2}

# Called with what is about to be done.
Told = Callable[[str], None]


class Study:
    """Runs of a plan in a folder; what is there is not made again."""

    def __init__(self, plan: StudyPlan, folder: Path, told: Told) -> None:
        """Begin, or go on.

        Args:
            plan: how much to do.
            folder: for `runs.csv` and pre-trained nets.
            told: called with what is about to be done.

        Raises:
            InvalidInputError: the folder holds another plan's study.
        """
        self._plan, self._folder, self._told = plan, folder, told
        self.table = Table(folder / "runs.csv", dataclasses.asdict(plan))
        self._samples: dict[str, FederatedSamples] = {}
        self._bench: tuple[tuple[str, int, int], Bench] | None = None
        self._guess = dict(_FIRST_GUESS)
        self._tuned: dict[tuple[str, str], float] = {}

    def runs(self) -> Iterator[Run]:
        """All final runs: each variant at its tuned step size, with each seed; and nets before fine-tuning.

        What the first comparison needs comes first, for those who stop early.
        """
        for seed in self._plan.seeds:
            for depth in (MIDDLE, SMALL):
                yield from self._of_depth(DEFAULT_DATA, EQUAL, depth, seed, equal_variants())
            for depth in (MIDDLE, SMALL):
                yield from self._of_depth(DEFAULT_DATA, UNEQUAL, depth, seed, self._unequal_variants())
            for data in self._plan.gaps if seed == self._plan.seeds[0] else ():
                for depth in (MIDDLE, SMALL):
                    yield from self._of_depth(data, GAP, depth, seed, _GAP_VARIANTS)
            yield from self._of_depth(DEFAULT_DATA, EQUAL, DEEP, seed, equal_variants())
            yield from self._tuned_runs(DEFAULT_DATA, EQUAL, seed, partial_variants())

    def _of_depth(self, data: str, part: str, depth: int, seed: int, variants: list[Variant]) -> Iterator[Run]:
        """The net as it is, and under every variant of that depth."""
        key = RunKey(part, data, f"before fine-tuning, {depth}", seed, 0.0)
        yield self.table.run(key, lambda: before_finetuning(self._bench_of(data, depth, seed), self._plan, key))
        yield from self._tuned_runs(data, part, seed, [each for each in variants if each.depth == depth])

    def _tuned_runs(self, data: str, part: str, seed: int, variants: list[Variant]) -> Iterator[Run]:
        for variant in variants:
            step_size = self._step_size(data, part, variant)
            yield self._run(data, part, variant, seed, step_size)

    def _step_size(self, data: str, part: str, variant: Variant) -> float:
        """Tuned on validation samples with the first seed; the search begins where that of a like variant ended."""
        name = (f"{part} {data}", variant.name)
        if name not in self._tuned:
            first = self._plan.seeds[0]

            def bits_at(step_size: float) -> float:
                return self._run(data, part, variant, first, step_size).validation_bits

            sizes = self._plan.step_sizes
            start = min(sizes, key=lambda size: abs(size - self._guess[variant.family]))
            self._tuned[name] = tuned_step_size(bits_at, sizes, start)
            self._guess[variant.family] = self._tuned[name]
        return self._tuned[name]

    def _run(self, data: str, part: str, variant: Variant, seed: int, step_size: float) -> Run:
        def made() -> Run:
            self._told(f"{data}, seed {seed}: {variant.name}, step size {step_size:g}")
            bench = self._bench_of(data, variant.depth, seed)
            return study_run(bench, variant, self._plan, part, seed, step_size)

        return self.table.run(RunKey(part, data, variant.name, seed, step_size), made)

    def _bench_of(self, data: str, depth: int, seed: int) -> Bench:
        """The pre-trained net; one at a time, since its streams fill memory."""
        name = (data, depth, seed)
        if self._bench is None or self._bench[0] != name:
            if data not in self._samples:
                self._samples[data] = samples_named(data)
            samples, net = self._samples[data], net_for(data, depth)
            file = self._folder / "nets" / f"{data}-{depth}-{seed}.npz"
            if not file.is_file():
                self._told(f"{data}, seed {seed}: pre-training {depth} blocks")
                steps, batch = self._plan.pretrain_steps, self._plan.pretrain_batch
                saved_weights(file, pretrained(net, samples.general, steps, batch, seed=seed))
            weights, _ = loaded_weights(file)
            streams = FrozenStreams(weights, net)
            self._bench = name, Bench(data=data, samples=samples, net=net, weights=weights, streams=streams)
        return self._bench[1]

    def _unequal_variants(self) -> list[Variant]:
        if DEFAULT_DATA not in self._samples:
            self._samples[DEFAULT_DATA] = samples_named(DEFAULT_DATA)
        nets = {depth: net_for(DEFAULT_DATA, depth) for depth in (SMALL, MIDDLE)}
        return unequal_variants(nets, self._plan.batch, self._samples[DEFAULT_DATA].num_devices)


_GAP_VARIANTS = [last_blocks(MIDDLE, 2), last_blocks(SMALL, 2), pairs(SMALL, 8), last_blocks(MIDDLE, 0)]
