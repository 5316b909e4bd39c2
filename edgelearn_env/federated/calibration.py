"""The constants of the learning bounds, measured by real training along a path.

What is measured holds at the points of that path and between them, as far as one can see; nobody knows it elsewhere.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy.optimize import bisect

from edgelearn_env.federated.evaluation import evaluated
from edgelearn_env.federated.gradients import (
    full_gradient,
    mixed,
    sample_variance_by_unit,
    squared_distance,
    squared_norm,
    squared_norm_by_unit,
)
from edgelearn_env.federated.networks import Net, Weights
from edgelearn_env.federated.pretraining import pretraining
from edgelearn_env.federated.samples import FederatedSamples, Samples
from edgelearn_env.federated.training import Training, played_rounds
from edgelearn_env.schedule import Schedule, ScheduledRound

# How often, and on how many samples of each device, the search for the floor looks whether it still helps.
_LOOKS, _VALIDATED, _ADAM_STEP_SIZE = 20, 16, 4e-3

_LEAST_PL = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PathPoint:
    """What is measured at one point of a path; F is the task's loss over all devices, equally weighted.

    Attributes:
        loss, general_loss: F and F_0, nats.
        gradient: ||grad F||^2.
        smoothness: ||grad F(w) - grad F(w')|| / ||w - w'|| along the gradient, w' = w - eta grad F(w).
        general_smoothness: the same of F_0.
        distribution_gap: ||grad F_0 - grad F||^2.
        dissimilarity: max_k ||grad F_k - grad F||^2.
        device_variance, server_variance: sigma^2 of one task sample, mean over devices, and of a general one.
        shares: ||grad_q F||^2 / ||grad F||^2 of the embedding, each block and the head.
    """

    loss: float
    general_loss: float
    gradient: float
    smoothness: float
    general_smoothness: float
    distribution_gap: float
    dissimilarity: float
    device_variance: float
    server_variance: float
    shares: dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Constants of a learning bound that are typical of a path: means over its points, and mu fitted to it as a whole.

    A proof would want the largest, and the least mu, of all points; with those the bound says next to nothing, since
    curvature grows until it is about 2 / eta whatever eta is, and so does the noise that it multiplies.

    Attributes:
        points: of the path, the first at its beginning.
        floor: F*, see `task_floor`, nats.
        rounds, batch, step_size: of the path.
    """

    points: tuple[PathPoint, ...]
    floor: float
    rounds: int
    batch: int
    step_size: float

    @property
    def initial_gap(self) -> float:
        """G_0 = F(w_0) - F*."""
        return self.points[0].loss - self.floor

    @property
    def smoothness(self) -> float:
        """L: the mean secant of the task's loss."""
        return self.mean("smoothness")

    @property
    def pl_constant(self) -> float:
        """mu: for which the bound's recursion ends the path as low as it was measured; L if none does."""
        measured = self.points[-1].loss - self.floor

        def excess(pl_constant: float) -> float:
            return self.gap_after_path(pl_constant) - measured

        if not excess(self.smoothness) < 0 < excess(_LEAST_PL):
            return self.smoothness
        return float(bisect(excess, _LEAST_PL, self.smoothness))

    def gap_after_path(self, pl_constant: float) -> float:
        """G_M of G_{m+1} = (1 - mu eta) G_m + eta delta^2 / 2 + L eta^2 sigma_0^2 / (2 b) after the path's M rounds."""
        eta, decay = self.step_size, (1 - pl_constant * self.step_size) ** self.rounds
        noise = self.smoothness * eta * self.mean("server_variance") / self.batch
        return decay * self.initial_gap + (1 - decay) * (self.mean("distribution_gap") + noise) / (2 * pl_constant)

    @property
    def pl_quotients(self) -> np.ndarray:
        """||grad F||^2 / (2 (F - F*)) at each point."""
        return np.array([point.gradient / (2 * max(point.loss - self.floor, 1e-3)) for point in self.points])

    def mean(self, name: str) -> float:
        """Mean over the path of what is measured at each point."""
        return float(np.mean([getattr(point, name) for point in self.points]))


def calibrated(
    net: Net,
    samples: FederatedSamples,
    weights: Weights,
    *,
    rounds: int = 240,
    num_points: int = 7,
    step_size: float = 0.05,
    batch: int = 32,
    general: int = 256,
    floor_steps: int = 400,
    seed: int = 0,
    told: Callable[[str], None] = lambda _: None,
) -> Calibration:
    """Measure along a path of server rounds.

    Args:
        net: shape of the net.
        samples: all training samples of the devices are measured on: choose few of them.
        weights: where the path begins, as episodes will.
        rounds: of the server, on the whole path.
        num_points: that are measured, evenly spread over it.
        step_size: eta_0 of those rounds.
        batch: of those rounds.
        general: samples that stand for the general data.
        floor_steps: of Adam on the task, to find F*.
        seed: of draws.
        told: called with what is about to be done.
    """
    every = max(1, rounds // (num_points - 1))
    some = samples.general.taken(np.linspace(0, samples.general.num_samples - 1, general).astype(int))
    points: list[PathPoint] = []
    for index, point in enumerate(_path(net, samples, weights, rounds, batch, step_size, seed)):
        if index % every == 0 and len(points) < num_points:
            told(f"measuring at round {index}")
            points.append(_measured(point, net, samples, some, step_size, seed))
    told("looking for the floor")
    return Calibration(
        points=tuple(points),
        floor=task_floor(net, samples, weights, floor_steps, seed),
        rounds=every * (len(points) - 1),
        batch=batch,
        step_size=step_size,
    )


def task_floor(net: Net, samples: FederatedSamples, weights: Weights, steps: int, seed: int) -> float:
    """The loss on the devices' training samples when Adam on them no longer helps their validation samples, nats.

    It begins with `weights`.
    A bound needs no more of F* than that no schedule gets below it; what a net could still learn by heart would only
    make mu small.
    """
    pooled, every, best = pooled_task(samples), max(1, steps // _LOOKS), (math.inf, math.inf)
    path = pretraining(net, pooled, steps, 16, _ADAM_STEP_SIZE, seed, weights)
    for step, trained in enumerate(path, start=1):
        if step % every == 0:
            validation = evaluated(trained, net, samples, "validation", most=_VALIDATED).bits
            best = min(best, (validation, full_gradient(trained, net, pooled)[0]))
    return best[1]


def pooled_task(samples: FederatedSamples) -> Samples:
    """The training samples of all devices, one after another."""
    own = [device.train for device in samples.devices]
    return Samples(np.concatenate([each.inputs for each in own]), np.concatenate([each.targets for each in own]))


def _path(
    net: Net, samples: FederatedSamples, weights: Weights, rounds: int, batch: int, step_size: float, seed: int
) -> Iterator[Weights]:
    """Weights before the first round and after each."""
    yield weights
    schedule = Schedule(name="path", rounds=tuple(ScheduledRound(batch, (), 0.0, 0.0) for _ in range(rounds)))
    training = Training(net=net, samples=samples, schedule=schedule, server_step_size=step_size, seed=seed)
    for played in played_rounds(training, weights):
        yield played.weights


def _measured(
    weights: Weights, net: Net, samples: FederatedSamples, general: Samples, step_size: float, seed: int
) -> PathPoint:
    own = [full_gradient(weights, net, device.train) for device in samples.devices]
    equal = np.full(len(own), 1 / len(own))
    task = mixed([gradient for _, gradient in own], equal)
    general_loss, general_gradient = full_gradient(weights, net, general)
    square, by_unit = squared_norm(task), squared_norm_by_unit(task)
    variances = [
        sum(sample_variance_by_unit(weights, net, device.train, gradient, seed=seed).values())
        for device, (_, gradient) in zip(samples.devices, own, strict=True)
    ]
    server_variance = sample_variance_by_unit(weights, net, general, general_gradient, batches=8, seed=seed)
    return PathPoint(
        loss=float(np.mean([loss for loss, _ in own])),
        general_loss=general_loss,
        gradient=square,
        smoothness=_secant(weights, net, pooled_task(samples), step_size),
        general_smoothness=_secant(weights, net, general, step_size),
        distribution_gap=squared_distance(general_gradient, task),
        dissimilarity=max(squared_distance(gradient, task) for _, gradient in own),
        device_variance=float(np.mean(variances)),
        server_variance=sum(server_variance.values()),
        shares={unit: part / square for unit, part in by_unit.items()},
    )


def _secant(weights: Weights, net: Net, samples: Samples, step_size: float) -> float:
    """||grad F(w) - grad F(w')|| / ||w - w'|| for w' = w - eta grad F(w)."""
    _, before = full_gradient(weights, net, samples)
    moved = {name: (array - step_size * before[name]).astype(np.float32) for name, array in weights.items()}
    _, after = full_gradient(moved, net, samples)
    return float(np.sqrt(squared_distance(before, after) / squared_norm(before)) / step_size)
