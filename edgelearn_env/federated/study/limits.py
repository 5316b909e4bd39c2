"""Limits answered by look-up: the best of every family that fits, and what the selection rule would have picked."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edgelearn_env.federated.networks import Net
from edgelearn_env.federated.study.runs import Run
from edgelearn_env.physics.transformer import layer_costs


class Limit(NamedTuple):
    """What a device is allowed.

    Attributes:
        quantity: "memory", "FLOPs" or "upload".
        most: bytes of memory, FLOPs of a local step, bytes of an upload.
    """

    quantity: str
    most: float

    @property
    def label(self) -> str:
        """For tables."""
        unit, scale = {"memory": ("MB", 1e6), "FLOPs": ("GFLOP a step", 1e9), "upload": ("MB", 1e6)}[self.quantity]
        return f"{self.quantity} {self.most / scale:g} {unit}"

    def fits(self, run: Run) -> bool:
        """Whether a run keeps to it."""
        return {"memory": run.peak_bytes, "FLOPs": run.step_flops, "upload": run.device_upload_bytes}[
            self.quantity
        ] <= self.most


LIMITS = (
    *(Limit("memory", most) for most in (14e6, 26e6, 36e6, 48e6)),
    *(Limit("FLOPs", most) for most in (1.1e9, 1.5e9, 2.0e9, 3.0e9)),
    *(Limit("upload", most) for most in (0.1e6, 0.25e6, 0.45e6, 0.9e6)),
)

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "layer finetuning": ("last ", "whole net of "),
    "small net, whole": ("whole net of ",),
    "head": ("head of ",),
    "LoRA": ("LoRA ",),
    "random window": ("window ",),
    "rolling width": ("rolling ",),
}


class Answer(NamedTuple):
    """The best run of a family under a limit: chosen on validation data, reported on test data.

    Attributes:
        limit, family: of which.
        variant: the best one that fits.
        test_bits: of each seed, (seeds,).
    """

    limit: Limit
    family: str
    variant: str
    test_bits: np.ndarray


def answers(runs: Sequence[Run], limits: Sequence[Limit] = LIMITS) -> list[Answer]:
    """The best of each family that fits, for each limit; families of which nothing fits are left out.

    Args:
        runs: final ones of equal devices: one for each variant and seed.
        limits: to answer.
    """
    found = []
    for limit in limits:
        for family, prefixes in FAMILIES.items():
            fitting = [run for run in runs if run.variant.startswith(prefixes) and limit.fits(run)]
            if fitting:
                best = best_variant(fitting)
                found.append(Answer(limit, family, best, test_bits_of(fitting, best)))
    return found


def best_variant(runs: Sequence[Run]) -> str:
    """The one with the least validation loss, mean over seeds."""
    variants = dict.fromkeys(run.variant for run in runs)
    return min(variants, key=lambda name: float(np.mean([r.validation_bits for r in runs if r.variant == name])))


def test_bits_of(runs: Sequence[Run], variant: str) -> np.ndarray:
    """Test loss of a variant by seed, (seeds,)."""
    return np.array([run.test_bits for run in sorted(runs, key=lambda run: run.seed) if run.variant == variant])


def selected(nets: Mapping[int, Net], batch: int, limits: Sequence[Limit]) -> tuple[int, tuple[int, ...]]:
    """The selection rule: the depth whose devices can train most blocks on average, of those that all can train.

    t_c(l) = the largest t that meets device c's limit; l* = argmax_l mean_c t_c(l), the deepest of equal ones.

    Args:
        nets: by depth.
        batch: samples of a step.
        limits: of each device.

    Returns:
        l*, and t_c(l*) of each device; a depth of 0 if none can be trained by all.
    """
    best = (0.0, 0, tuple(0 for _ in limits))
    for depth, net in nets.items():
        blocks = np.arange(depth + 1)
        costs = layer_costs(net.size, depth, blocks, batch)
        spent = {"memory": costs.peak_bytes, "FLOPs": costs.flops, "upload": costs.upload_bytes}
        most = tuple(int(np.max(blocks[spent[limit.quantity] <= limit.most], initial=-1)) for limit in limits)
        if min(most) >= 0:
            best = max(best, (float(np.mean(most)), depth, most))
    return best[1], best[2]
