"""Distribution functions and counts against sums written out, and samples against means."""

import itertools
import math

import numpy as np
import pytest
from random_clusters import even_cluster, random_cluster

from edgelearn_env.gradient_coding.run_time.counting import at_most_probability, count_probabilities
from edgelearn_env.gradient_coding.run_time.laws import EdgeLinks, device_done_probability, tries_probability
from edgelearn_env.gradient_coding.run_time.times import MeanTimes, sampled_times


def test_counts_are_sums_over_all_that_can_happen(rng):
    probability = rng.uniform(0, 1, 5)
    exactly = np.zeros(6)
    for happens in itertools.product([0, 1], repeat=5):
        exactly[sum(happens)] += math.prod(p if each else 1 - p for p, each in zip(probability, happens, strict=True))
    np.testing.assert_allclose(count_probabilities(probability[:, None], 5)[:, 0], exactly, atol=1e-15)
    for most in range(6):
        assert at_most_probability(probability[:, None], most)[0] == pytest.approx(exactly[: most + 1].sum())


def test_two_links_take_the_sum_of_two_geometric_numbers_of_tries():
    erasure = np.array([0.0, 0.1, 0.7])
    probability = tries_probability(erasure)
    for law, p in zip(probability, erasure, strict=True):
        one = (1 - p) * p ** np.arange(len(law))
        np.testing.assert_allclose(law, np.convolve(one, one)[: len(law)], atol=1e-14)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-15)


def test_a_device_is_done_with_the_probability_of_its_law(rng):
    cluster, load, time_s = random_cluster(rng, 2, 2), 3.0, np.linspace(0, 8, 40)
    done = device_done_probability(cluster, load, time_s)
    for node in itertools.product(range(2), range(2)):
        c, gamma, tau, p = (
            getattr(cluster, name)[node] for name in ("part_s", "parts_per_s", "device_try_s", "device_erasure")
        )
        expected = np.zeros_like(time_s)
        for down, up in itertools.product(range(1, 120), range(1, 120)):
            left_s = np.maximum(time_s - c * load - (down + up) * tau, 0.0)
            expected += (1 - p) ** 2 * p ** (down + up - 2) * -np.expm1(-gamma / load * left_s)
        np.testing.assert_allclose(done[node], expected, atol=1e-12)


def test_devices_that_are_alike_have_the_same_law():
    done = device_done_probability(even_cluster().with_slow_nodes(1, 0, 5.0), 2.0, np.linspace(0, 1, 9))
    np.testing.assert_array_equal(done[:, 1], done[:, 2])
    assert np.all(done[:, 0, -1] < done[:, 1, -1])


def test_a_link_takes_its_mean_on_any_grid(rng):
    cluster = random_cluster(rng, 3, 1)
    time_s = np.linspace(0.0, 100.0, 777)
    passed = EdgeLinks(cluster, time_s).passed(np.ones((3, 777)))
    # A duration that takes times of the grid alone has this mean.
    mean_s = time_s[1] * np.sum(1 - passed, axis=-1)
    np.testing.assert_allclose(mean_s, 2 * cluster.edge_try_s / (1 - cluster.edge_erasure), rtol=1e-9)


def test_samples_have_the_means_and_the_load_of_the_law(rng):
    cluster, load, num_draws = random_cluster(rng, 2, 3), 4.0, 100_000
    times, means = sampled_times(cluster, load, num_draws, rng), MeanTimes.of(cluster).at(load)
    for sampled, mean in zip(times, means, strict=True):
        error = np.std(sampled, axis=0) / math.sqrt(num_draws)
        assert np.all(np.abs(np.mean(sampled, axis=0) - mean[0]) < 4.5 * error)
    assert np.all(times.compute_s >= load * cluster.part_s)
    assert np.all(times.device_link_s >= 1.999 * cluster.device_try_s)


def test_samples_come_from_the_seed_alone():
    first, second = (sampled_times(even_cluster(), 1.0, 3, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.device_s, second.device_s)
