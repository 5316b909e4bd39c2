"""The expected iteration against closed forms, Monte Carlo, and its own statement of how far off it can be."""

import dataclasses

import numpy as np
import pytest
from random_clusters import even_cluster, random_cluster

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.run_time.expectation import expected_iteration
from edgelearn_env.gradient_coding.run_time.schemes import (
    FlatScheme,
    HierarchicalScheme,
    Scheme,
    every_hierarchical_scheme,
)
from edgelearn_env.gradient_coding.run_time.times import sampled_times

SIZES = [(2, 3), (3, 2), (1, 4), (4, 1)]


def all_codes(num_edges: int, devices_per_edge: int) -> list[Scheme]:
    flat = [FlatScheme(late) for late in range(num_edges * devices_per_edge)]
    return [*every_hierarchical_scheme(num_edges, devices_per_edge), *flat]


@pytest.mark.parametrize("seed", range(5))
def test_one_device_takes_the_sum_of_its_means(seed):
    cluster = random_cluster(np.random.default_rng(seed), 1, 1)
    link_s = 2 * cluster.device_try_s / (1 - cluster.device_erasure)
    link_s = link_s[0, 0] + 2 * cluster.edge_try_s[0] / (1 - cluster.edge_erasure[0])
    mean_s = cluster.num_parts * (cluster.part_s + 1 / cluster.parts_per_s)[0, 0] + link_s
    found = expected_iteration(cluster, HierarchicalScheme(0, 0))
    assert found.mean_s == pytest.approx(mean_s, rel=1e-4)
    assert abs(found.mean_s - mean_s) < found.error_s


@pytest.mark.parametrize("late", range(4))
def test_over_links_that_never_fail_it_is_the_mean_of_an_exponential_order_statistic(late):
    cluster = even_cluster(1, 4, num_parts=8.0, device_erasure=0.0, edge_erasure=0.0)
    load = 2.0 * (late + 1)
    tail_s = load / 100.0 * sum(1 / (4 - fastest) for fastest in range(4 - late))
    mean_s = 0.01 * load + 2 * 0.05 + 2 * 0.1 + tail_s
    for code in (HierarchicalScheme(0, late), FlatScheme(late)):
        assert expected_iteration(cluster, code).mean_s == pytest.approx(mean_s, rel=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_what_samples_have_in_the_mean(size, rng):
    cluster, num_draws = random_cluster(rng, *size), 40_000
    for code in all_codes(*size):
        sampled_s = code.iteration_s(sampled_times(cluster, code.load_parts(cluster), num_draws, rng))
        found, mean_s = expected_iteration(cluster, code), np.mean(sampled_s)
        assert abs(found.mean_s - mean_s) < 0.01 * mean_s
        assert abs(found.mean_s - mean_s) < 4.5 * np.std(sampled_s) / np.sqrt(num_draws) + found.error_s


@pytest.mark.parametrize("size", SIZES)
def test_a_coarse_grid_is_no_farther_off_than_it_says(size, rng):
    cluster = random_cluster(rng, *size)
    for code in all_codes(*size):
        fine = expected_iteration(cluster, code, 16384)
        assert fine.error_s < 2e-3 * fine.mean_s
        for num_points in (64, 256, 4096):
            coarse = expected_iteration(cluster, code, num_points)
            assert abs(coarse.mean_s - fine.mean_s) < coarse.error_s + fine.error_s
        assert coarse.mean_s == pytest.approx(fine.mean_s, rel=2e-4)


def test_without_a_code_it_is_the_same_whether_there_are_levels_or_not(rng):
    cluster = random_cluster(rng, 3, 3)
    levels, flat = (expected_iteration(cluster, code).mean_s for code in (HierarchicalScheme(0, 0), FlatScheme(0)))
    assert levels == pytest.approx(flat, rel=1e-12)


def test_a_time_unit_ten_times_as_long_makes_a_number_a_tenth_of_it(rng):
    cluster, code = random_cluster(rng, 2, 3), HierarchicalScheme(1, 1)
    times = ("part_s", "device_try_s", "edge_try_s")
    changes = {name: getattr(cluster, name) / 10 for name in times} | {"parts_per_s": 10 * cluster.parts_per_s}
    scaled = expected_iteration(dataclasses.replace(cluster, **changes), code)
    assert scaled.mean_s == pytest.approx(expected_iteration(cluster, code).mean_s / 10, rel=1e-9)


@pytest.mark.parametrize("changes", [{"parts_per_s": 1e9}, {"part_s": 0.0}, {"edge_erasure": 0.95}, {"part_s": 1e4}])
def test_extreme_laws_keep_their_statement(changes):
    cluster = even_cluster(1, 1, **changes)
    link_s = 2 * 0.05 / 0.9 + 2 * 0.1 / (1 - cluster.edge_erasure[0])
    mean_s = link_s + 6 * (cluster.part_s + 1 / cluster.parts_per_s)[0, 0]
    found = expected_iteration(cluster, HierarchicalScheme(0, 0))
    assert abs(found.mean_s - mean_s) < found.error_s < 0.02 * mean_s


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidInputError, match="late_edges must be from 0 to 1, got 2"):
        expected_iteration(even_cluster(2, 3), HierarchicalScheme(2, 0))
    with pytest.raises(InvalidInputError, match="num_points must be at least 2, got 1"):
        expected_iteration(even_cluster(), HierarchicalScheme(0, 0), 1)
