"""Statistics of policies compared on common tapes, each with a bootstrapped 95 % interval.

What is compared is Phi of one policy, x[r, e], with Phi of another or with the proven bound, y[s, e]: training run r or
s (one, for what does not learn) on the tape of episode e, the same tapes for all (common random numbers). Everything is
a function of the paired log ratios d[r, s, e] = ln(x[r, e] / y[s, e]), so a hard tape weighs on both sides alike.

Intervals are the 2.5 % and 97.5 % points of a percentile bootstrap that draws runs, and tapes, with replacement and
takes all ratios at their crossings. Runs meet the same tapes: to draw tapes anew for each run would treat a tape that
is hard for all runs as so many independent mishaps. With one run on both sides it is the bootstrap over tapes. An
interval over few runs is too narrow; three runs say little about a fourth.

Sources: Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS 2021 (runs are
resampled, interquartile mean, probability of improvement; our tapes stand where their tasks do); Owen, The pigeonhole
bootstrap, Annals of Applied Statistics 1 (2007), for crossed draws.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgelearn_env.errors import InvalidInputError

NUM_RESAMPLES = 10_000

# Ratios looked at in one go: 32 MiB.
_MOST_AT_ONCE = 1 << 22


class Interval(NamedTuple):
    """An estimate and the ends of its 95 % interval."""

    estimate: float
    low: float
    high: float


def geometric_mean_ratio(objective: np.ndarray, other: np.ndarray) -> Interval:
    """exp(mean of d): the ratio of geometric means, paired by tape.

    Args:
        objective: Phi of each run on each tape, x, (R, E).
        other: what it is compared with on the same tapes, y, (S, E).

    Raises:
        InvalidInputError: the shapes do not fit, or a value is not a finite positive number.
    """
    return Interval(*np.exp(_bootstrapped(lambda d: np.mean(d, axis=-1), _log_ratios(objective, other))))


def interquartile_mean_ratio(objective: np.ndarray, other: np.ndarray) -> Interval:
    """exp(IQM of d): the mean of what is left without the lowest and the highest quarter of all d, rounded down.

    A few episodes in deep fades decide a mean; the interquartile mean is about the usual episode. Arguments, errors as
    for `geometric_mean_ratio`.
    """
    return Interval(*np.exp(_bootstrapped(_interquartile_mean, _log_ratios(objective, other))))


def probability_of_improvement(objective: np.ndarray, other: np.ndarray) -> Interval:
    """P(X < Y) = mean of [d < 0] + [d = 0] / 2: how often a run is better than one of the other on the same tape.

    Half says that neither is. Arguments, errors as for `geometric_mean_ratio`.
    """
    better = 0.5 - 0.5 * np.sign(_log_ratios(objective, other))
    return Interval(*_bootstrapped(lambda wins: np.mean(wins, axis=-1), better))


def _log_ratios(objective: np.ndarray, other: np.ndarray) -> np.ndarray:
    """d, (R, S, E)."""
    if (
        objective.ndim != 2
        or other.ndim != 2
        or objective.shape[1] != other.shape[1]
        or 0 in (*objective.shape, *other.shape)
    ):
        raise InvalidInputError(
            f"values to compare must have shapes (R, E) and (S, E), got {objective.shape} and {other.shape}"
        )
    for values in (objective, other):
        if not np.all(np.isfinite(values) & (values > 0)):
            raise InvalidInputError("values to compare must be finite positive numbers")
    ratios: np.ndarray = np.log(objective)[:, None] - np.log(other)
    return ratios


def _interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of each row without its lowest and highest quarter, as in scipy.stats.trim_mean(values, 0.25)."""
    count = values.shape[-1]
    cut = count // 4
    mean: np.ndarray = np.mean(np.partition(values, (cut, count - cut - 1), axis=-1)[..., cut : count - cut], axis=-1)
    return mean


def _bootstrapped(statistic: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """`statistic` of all `values`, (R, S, E), and the 2.5 % and 97.5 % points over resamples, (3,)."""
    rng = np.random.default_rng(0)
    num_at_once = max(1, _MOST_AT_ONCE // values.size)
    found = []
    for start in range(0, NUM_RESAMPLES, num_at_once):
        count = min(num_at_once, NUM_RESAMPLES - start)
        r, s, e = (rng.integers(size, size=(count, size)) for size in values.shape)
        drawn = values[r[:, :, None, None], s[:, None, :, None], e[:, None, None, :]]
        found.append(statistic(drawn.reshape(count, -1)))
    return np.array([statistic(values.reshape(1, -1))[0], *np.quantile(np.concatenate(found), [0.025, 0.975])])
