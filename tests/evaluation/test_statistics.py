"""Estimates beside scipy's, intervals beside scipy's and beside what repeated experiments do."""

import numpy as np
import pytest
import scipy.stats

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation import statistics
from edgelearn_env.evaluation.statistics import (
    geometric_mean_ratio,
    interquartile_mean_ratio,
    probability_of_improvement,
)

ALL = (geometric_mean_ratio, interquartile_mean_ratio, probability_of_improvement)


def positive(rng, *shape: int, spread: float = 0.5) -> np.ndarray:
    return np.exp(spread * rng.normal(size=shape))


@pytest.mark.parametrize("num_episodes", [1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize(("num_runs", "num_others"), [(1, 1), (3, 1), (3, 2)])
def test_estimates_are_those_of_scipy(rng, num_runs, num_others, num_episodes):
    x, y = positive(rng, num_runs, num_episodes), positive(rng, num_others, num_episodes)
    d = np.concatenate([np.log(run / other) for run in x for other in y])
    assert geometric_mean_ratio(x, y).estimate == pytest.approx(scipy.stats.gmean(np.exp(d)))
    assert interquartile_mean_ratio(x, y).estimate == pytest.approx(np.exp(scipy.stats.trim_mean(d, 0.25)))
    pairs = num_runs * num_others
    ranks = [scipy.stats.mannwhitneyu(y[:, e], x[:, e]).statistic / pairs for e in range(num_episodes)]
    assert probability_of_improvement(x, y).estimate == pytest.approx(np.mean(ranks))


def test_a_tie_counts_half():
    x = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert probability_of_improvement(x, np.array([[2.0, 2.0, 2.0, 5.0]])).estimate == (1 + 0.5 + 0 + 1) / 4
    assert probability_of_improvement(x, x) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("of_interest", "of_logs"),
    [
        (geometric_mean_ratio, lambda d, axis: np.exp(np.mean(d, axis=axis))),
        (interquartile_mean_ratio, lambda d, axis: np.exp(scipy.stats.trim_mean(d, 0.25, axis=axis))),
        (probability_of_improvement, lambda d, axis: np.mean((d < 0) + 0.5 * (d == 0), axis=axis)),
    ],
)
def test_with_one_run_an_interval_is_the_percentile_bootstrap_over_tapes(rng, of_interest, of_logs):
    x, y = positive(rng, 1, 40), positive(rng, 1, 40)
    expected = scipy.stats.bootstrap(
        (np.log(x / y)[0],), of_logs, method="percentile", n_resamples=20_000, rng=rng, vectorized=True
    ).confidence_interval
    found = of_interest(x, y)
    width = expected.high - expected.low
    np.testing.assert_allclose(found[1:], expected, atol=0.05 * width)


@pytest.mark.parametrize("of_interest", ALL)
def test_an_interval_holds_the_estimate_and_does_not_change_from_call_to_call(rng, of_interest):
    x, y = positive(rng, 3, 15), positive(rng, 2, 15)
    found = of_interest(x, y)
    assert found.low < found.estimate < found.high
    assert of_interest(x, y) == found


def test_pairing_by_tape_leaves_out_what_makes_a_tape_hard_for_all(rng):
    hard = np.exp(3 * rng.normal(size=(1, 30)))
    found = geometric_mean_ratio(1.2 * hard, hard)
    np.testing.assert_allclose(found, 1.2)
    assert probability_of_improvement(hard, 1.2 * hard) == (1.0, 1.0, 1.0)


def test_the_usual_episode_is_not_moved_by_a_few_in_deep_fades(rng):
    x, bound = np.full((1, 20), 1.1), np.ones((1, 20))
    x[0, :4] = 50.0
    assert interquartile_mean_ratio(x, bound).estimate == pytest.approx(1.1)
    assert geometric_mean_ratio(x, bound).estimate > 2


def test_swapping_both_sides_turns_a_ratio_over(rng):
    x, y = positive(rng, 1, 12), positive(rng, 1, 12)
    one, other = geometric_mean_ratio(x, y), geometric_mean_ratio(y, x)
    np.testing.assert_allclose([other.estimate, other.low, other.high], [1 / one.estimate, 1 / one.high, 1 / one.low])


def covered(rng, of_run: float, of_tape: float, noise: float, num_runs: int, num_tapes: int) -> bool:
    """Whether the interval of one experiment holds the truth, a ratio of 1."""
    d = of_run * rng.normal(size=(num_runs, 1)) + of_tape * rng.normal(size=num_tapes)
    x = np.exp(d + noise * rng.normal(size=(num_runs, num_tapes)))
    found = geometric_mean_ratio(x, np.ones((1, num_tapes)))
    return found.low < 1 < found.high


@pytest.mark.parametrize(
    ("of_run", "of_tape", "noise"), [(0.0, 1.0, 0.1), (0.1, 1.0, 0.3), (1.0, 0.3, 0.3), (0.0, 0.0, 1.0)]
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(rng, monkeypatch, of_run, of_tape, noise):
    monkeypatch.setattr(statistics, "NUM_RESAMPLES", 500)
    share = np.mean([covered(rng, of_run, of_tape, noise, num_runs=10, num_tapes=40) for _ in range(200)])
    # Ten runs make an interval over runs a little narrow; noise alone, drawn by runs and by tapes, a little wide.
    assert 0.87 <= share <= 1.0


def test_tapes_that_are_hard_for_all_runs_make_an_interval_wide_however_many_runs_there_are(rng):
    tapes = np.exp(rng.normal(size=40))
    one = geometric_mean_ratio(tapes[None], np.ones((1, 40)))
    many = geometric_mean_ratio(np.tile(tapes, (8, 1)), np.ones((1, 40)))
    assert np.log(many.high / many.low) == pytest.approx(np.log(one.high / one.low), rel=0.05)


def test_more_values_than_are_looked_at_in_one_go_give_the_same_interval(rng, monkeypatch):
    x, y = positive(rng, 2, 10), positive(rng, 1, 10)
    whole = geometric_mean_ratio(x, y)
    monkeypatch.setattr(statistics, "_MOST_AT_ONCE", 7 * 20)
    parts = geometric_mean_ratio(x, y)
    assert parts.estimate == whole.estimate
    np.testing.assert_allclose(np.log(parts), np.log(whole), atol=0.02)


@pytest.mark.parametrize("of_interest", ALL)
@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.ones((1, 3)), np.ones((1, 4))),
        (np.ones(3), np.ones((1, 3))),
        (np.ones((1, 0)), np.ones((1, 0))),
        (np.ones((0, 3)), np.ones((1, 3))),
    ],
)
def test_values_that_do_not_pair_are_refused(of_interest, x, y):
    with pytest.raises(InvalidInputError, match=r"must have shapes \(R, E\) and \(S, E\)"):
        of_interest(x, y)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_what_is_no_finite_positive_number_is_refused(value):
    for x, y in (([[1.0, value]], [[1.0, 1.0]]), ([[1.0, 1.0]], [[1.0, value]])):
        with pytest.raises(InvalidInputError, match="must be finite positive numbers"):
            geometric_mean_ratio(np.array(x), np.array(y))
