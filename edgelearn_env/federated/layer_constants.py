"""What a layer-tuning environment needs to know of nets of several depths, measured by real training."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from edgelearn_env.federated.calibration import pooled_task, task_floor
from edgelearn_env.federated.gradients import (
    full_gradient,
    sample_variance_by_unit,
    squared_distance,
    squared_norm_by_unit,
)
from edgelearn_env.federated.networks import Net
from edgelearn_env.federated.pretraining import pretrained
from edgelearn_env.federated.samples import FederatedSamples

_LEAST_GAP = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DepthConstants:
    """Of one depth.

    Attributes:
        depth: l.
        gap: G_M(l) = F(w_M) - F*(l) after pre-training, nats.
        floor: F*(l) less the least F* of all depths, nats: what a shallower net loses for good.
        distribution_gap: delta^2 = ||grad F_0 - grad F||^2, F_0 on general samples that were held back.
        shares: rho(t), the part of ||grad F||^2 over head and blocks that lies in the head and the last t blocks, for
            t = 0 (silent, hence 0) to l (all, hence 1), at w_M.
        variances: sigma^2 of one task sample in those coordinates, for the same t.
    """

    depth: int
    gap: float
    floor: float
    distribution_gap: float
    shares: tuple[float, ...]
    variances: tuple[float, ...]


def measured_depths(
    net: Net,
    samples: FederatedSamples,
    depths: Sequence[int],
    *,
    steps: int = 1000,
    floor_steps: int = 400,
    seed: int = 0,
    told: Callable[[str], None] = lambda _: None,
) -> tuple[DepthConstants, ...]:
    """Pre-train a net of each depth, measure it there, and find its floor.

    Args:
        net: shape of the nets but for their depth.
        samples: of server and devices.
        depths: l of each.
        steps: of pre-training.
        floor_steps: see `task_floor`.
        seed: of weights and draws.
        told: called with what is about to be done.
    """
    task, found = pooled_task(samples), list[DepthConstants]()
    for depth in depths:
        deep = dataclasses.replace(net, depth=depth)
        told(f"depth {depth}: pre-training")
        weights = pretrained(deep, samples.general, steps, batch=16, seed=seed)
        loss, gradient = full_gradient(weights, deep, task)
        variances = sample_variance_by_unit(weights, deep, task, gradient, batches=16, seed=seed)
        told(f"depth {depth}: looking for the floor")
        floor = task_floor(deep, samples, weights, floor_steps, seed)
        squares = _from_the_end(squared_norm_by_unit(gradient), depth)
        found.append(
            DepthConstants(
                depth=depth,
                gap=max(loss - floor, _LEAST_GAP),
                floor=floor,
                distribution_gap=squared_distance(full_gradient(weights, deep, samples.general_test)[1], gradient),
                shares=(0.0, *(squares / squares[-1])[1:].tolist()),
                variances=(0.0, *_from_the_end(variances, depth)[1:].tolist()),
            )
        )
    least = min(each.floor for each in found)
    return tuple(dataclasses.replace(each, floor=each.floor - least) for each in found)


def _from_the_end(by_unit: dict[str, float], depth: int) -> np.ndarray:
    """Sums over the head and the last t blocks, t = 0 to l."""
    return np.cumsum([by_unit["head"], *(by_unit[f"block{index}"] for index in reversed(range(depth)))])
