"""Whether the learning bound says which schedules train well: its value beside what real training comes to."""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from edgelearn_env.federated.calibration import pooled_task
from edgelearn_env.federated.evaluation import evaluated
from edgelearn_env.federated.gradients import full_gradient, squared_norm
from edgelearn_env.federated.networks import Weights
from edgelearn_env.federated.training import Training, played_rounds


class Truth(NamedTuple):
    """A schedule as the bound sees it and as it went.

    Attributes:
        name: of the schedule.
        predicted: Phi.
        num_pretrain_rounds, num_finetune_rounds: M and N.
        participation: P, the sum of Omega over the fine-tuning rounds.
        mean_square_gradient: of the task loss over all training samples of the devices, before fine-tuning rounds,
            weighted by Omega: what Phi is to bound. NaN without any such round.
        train_loss: of the task at the end, nats.
        test_bits: at the end, bits a prediction.
    """

    name: str
    predicted: float
    num_pretrain_rounds: int
    num_finetune_rounds: int
    participation: float
    mean_square_gradient: float
    train_loss: float
    test_bits: float


def measured_truth(training: Training, weights: Weights, points: int = 12, tested: int = 16) -> Truth:
    """Play a schedule, and measure the gradient before some of its fine-tuning rounds, evenly spaced.

    Args:
        training: what to do; the devices' training samples are all measured on, so choose few of them.
        weights: to begin with.
        points: rounds that are measured, at most.
        tested: test samples of a device, at most.
    """
    schedule, task = training.schedule, pooled_task(training.samples)
    counting = [index for index, each in enumerate(schedule.rounds) if each.turns]
    chosen = {counting[place] for place in np.linspace(0, len(counting) - 1, points).astype(int)} if counting else set()
    squares = list[tuple[float, float]]()
    before = weights
    for index, played in enumerate(played_rounds(training, weights)):
        if index in chosen:
            _, gradient = full_gradient(before, training.net, task)
            squares.append((schedule.rounds[index].participation, squared_norm(gradient)))
        before = played.weights
    weight, square = np.array(squares).T if squares else (np.zeros(0), np.zeros(0))
    return Truth(
        name=schedule.name,
        predicted=schedule.predicted,
        num_pretrain_rounds=schedule.num_pretrain_rounds,
        num_finetune_rounds=schedule.num_finetune_rounds,
        participation=sum(each.participation for each in schedule.rounds),
        mean_square_gradient=float(np.sum(weight * square) / np.sum(weight)) if squares else math.nan,
        train_loss=full_gradient(before, training.net, task)[0],
        test_bits=evaluated(before, training.net, training.samples, most=tested).bits,
    )


class RankCorrelation(NamedTuple):
    """Spearman's, with a 95 % interval."""

    value: float
    low: float
    high: float


def rank_correlation(x: np.ndarray, y: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> RankCorrelation:
    """Spearman's correlation of pairs in which both are finite; the interval is bootstrapped over pairs.

    Args:
        x, y: (n,).
        resamples: of the bootstrap.
        seed: of them.
    """
    finite = np.isfinite(x) & np.isfinite(y)
    x, y, rng = x[finite], y[finite], np.random.default_rng(seed)
    drawn = rng.integers(0, len(x), (resamples, len(x)))
    low, high = np.nanquantile(_spearman(x[drawn], y[drawn]), (0.025, 0.975))
    return RankCorrelation(float(_spearman(x, y)), float(low), float(high))


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Along the last axis, of ranks, those of equal values averaged; NaN where either does not vary."""
    middle = (x.shape[-1] + 1) / 2
    a, b = rankdata(x, axis=-1) - middle, rankdata(y, axis=-1) - middle
    scale = np.sqrt(np.sum(a**2, axis=-1) * np.sum(b**2, axis=-1))
    return np.asarray(np.sum(a * b, axis=-1) / np.where(scale > 0, scale, np.nan))
