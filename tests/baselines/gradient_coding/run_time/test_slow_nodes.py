"""Nodes left out: by means the best of all subsets, by E[T] never worse than everyone, and the slow ones."""

import itertools

import numpy as np
import pytest
from random_clusters import even_cluster, random_cluster

from edgelearn_env.baselines.gradient_coding.run_time.jncss import fastest_code, jncss
from edgelearn_env.baselines.gradient_coding.run_time.slow_nodes import fastest_team, jncss_team, uncoded
from edgelearn_env.gradient_coding.run_time.expectation import expected_iteration
from edgelearn_env.gradient_coding.run_time.times import MeanTimes


def least_of_all_teams_s(means: MeanTimes) -> float:
    """Every set of edge nodes, every equal number of devices under each, uncoded."""
    n, m = means.part_s.shape
    least_s = np.inf
    for num_edges, num_devices in itertools.product(range(1, n + 1), range(1, m + 1)):
        load = means.num_parts / (num_edges * num_devices)
        device_s = means.part_s * load + means.device_link_s
        for edges in itertools.combinations(range(n), num_edges):
            groups = [itertools.combinations(range(m), num_devices) for _ in edges]
            for devices in itertools.product(*groups):
                slowest = [device_s[i, list(js)].max() for i, js in zip(edges, devices, strict=True)]
                least_s = min(least_s, max(np.array(slowest) + means.edge_link_s[list(edges)]))
    return float(least_s)


@pytest.mark.parametrize("seed", range(12))
def test_by_means_no_set_of_nodes_is_faster(seed):
    means = MeanTimes.of(random_cluster(np.random.default_rng(seed), 3, 3))
    assert jncss_team(means).iteration_s == pytest.approx(least_of_all_teams_s(means), rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_by_means_no_code_is_worth_more_than_leaving_nodes_out(seed):
    means = MeanTimes.of(random_cluster(np.random.default_rng(seed), 4, 3))
    assert jncss_team(means).iteration_s <= jncss(means).iteration_s * (1 + 1e-12)


def test_slow_nodes_are_those_left_out():
    cluster = even_cluster(4, 4, num_parts=32.0).with_slow_nodes(1, 1, 10.0)
    for team in (jncss_team(MeanTimes.of(cluster)), fastest_team(cluster, uncoded, 512)):
        assert sorted(team.edges) == [1, 2, 3]
        assert np.sort(team.devices).tolist() == 3 * [[1, 2, 3]]
        assert team.code == (0, 0)


def test_the_fastest_team_is_no_slower_than_everyone_and_takes_what_it_says(rng):
    cluster = random_cluster(rng, 2, 3)
    coded, alone = fastest_team(cluster, num_points=512), fastest_team(cluster, uncoded, 512)
    assert coded.iteration_s <= min(alone.iteration_s, fastest_code(cluster, num_points=512).iteration_s)
    kept = cluster.kept(coded.edges, coded.devices)
    assert coded.iteration_s == expected_iteration(kept, coded.code, 512).mean_s
