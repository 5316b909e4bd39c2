"""The choice of a code: JNCSS equals enumeration, means never ask for a code among equals, E[T] may."""

import numpy as np
import pytest
from random_clusters import even_cluster, random_cluster

from edgelearn_env.baselines.gradient_coding.run_time.estimates import RunningMeans, jncss_on_the_run
from edgelearn_env.baselines.gradient_coding.run_time.jncss import fastest_code, jncss
from edgelearn_env.gradient_coding.run_time.expectation import expected_iteration
from edgelearn_env.gradient_coding.run_time.schemes import FlatScheme, HierarchicalScheme, every_hierarchical_scheme
from edgelearn_env.gradient_coding.run_time.times import MeanTimes, sampled_times


def enumerated(cluster) -> tuple[tuple[int, int], float]:
    """Every (s_e, s_w), written out."""
    n, m = cluster.num_edges, cluster.devices_per_edge
    found = {}
    for s_e in range(n):
        for s_w in range(m):
            load = cluster.num_parts * (s_e + 1) * (s_w + 1) / (n * m)
            edges = []
            for i in range(n):
                devices = [
                    load * (cluster.part_s[i, j] + 1 / cluster.parts_per_s[i, j])
                    + 2 * cluster.device_try_s[i, j] / (1 - cluster.device_erasure[i, j])
                    for j in range(m)
                ]
                link = 2 * cluster.edge_try_s[i] / (1 - cluster.edge_erasure[i])
                edges.append(sorted(devices)[m - s_w - 1] + link)
            found[s_e, s_w] = sorted(edges)[n - s_e - 1]
    best = min(found, key=found.get)
    return best, found[best]


@pytest.mark.parametrize("seed", range(30))
def test_jncss_finds_what_enumeration_finds(seed):
    rng = np.random.default_rng(seed)
    cluster = random_cluster(rng, *rng.integers(1, 5, 2).tolist())
    choice, (code, mean_s) = jncss(MeanTimes.of(cluster)), enumerated(cluster)
    assert choice.code == code
    assert choice.iteration_s == pytest.approx(mean_s, rel=1e-12)


def test_random_clusters_ask_for_codes_of_many_kinds():
    rng = np.random.default_rng(3)
    chosen = {jncss(MeanTimes.of(random_cluster(rng, 3, 3))).code for _ in range(60)}
    assert len(chosen) > 4


@pytest.mark.parametrize("seed", range(10))
def test_among_equals_means_never_ask_for_a_code(seed):
    rng = np.random.default_rng(seed)
    one = random_cluster(rng, 1, 1)
    of_all = {name: float(getattr(one, name).flat[0]) for name in ("part_s", "parts_per_s", "device_try_s")}
    cluster = even_cluster(*rng.integers(1, 6, 2).tolist(), edge_erasure=0.6, **of_all)
    assert jncss(MeanTimes.of(cluster)).code == (0, 0)


def test_among_equals_chance_alone_can_be_worth_a_code():
    cluster = even_cluster(4, 2, num_parts=8.0, edge_try_s=1.0, edge_erasure=0.5)
    choice = fastest_code(cluster)
    assert choice.code.late_edges > 0
    assert choice.iteration_s < 0.7 * expected_iteration(cluster, HierarchicalScheme(0, 0)).mean_s
    assert jncss(MeanTimes.of(cluster)).code == (0, 0)


def test_the_fastest_code_is_the_least_of_all_expectations(rng):
    cluster = random_cluster(rng, 3, 2)
    expected_s = {code: expected_iteration(cluster, code, 1024).mean_s for code in every_hierarchical_scheme(3, 2)}
    choice = fastest_code(cluster, num_points=1024)
    assert choice == (min(expected_s, key=expected_s.get), min(expected_s.values()))
    flat = fastest_code(cluster, [FlatScheme(0), FlatScheme(2)], 1024)
    assert flat.iteration_s == min(expected_iteration(cluster, FlatScheme(late), 1024).mean_s for late in (0, 2))


def test_running_means_are_means_of_all_that_was_seen_whatever_the_loads(rng):
    cluster = random_cluster(rng, 2, 3)
    seen, drawn = RunningMeans.before_any(cluster), []
    for load, num_draws in ((1.0, 1), (4.0, 2), (2.0, 1)):
        times = sampled_times(cluster, load, num_draws, rng)
        drawn.append((times, load))
        seen = seen.after(times, load)
    assert seen.num_seen == 4
    part_s = np.concatenate([times.compute_s / load for times, load in drawn])
    np.testing.assert_allclose(seen.means.part_s, part_s.mean(axis=0))
    edge_s = np.concatenate([times.edge_link_s for times, _ in drawn])
    np.testing.assert_allclose(seen.means.edge_link_s, edge_s.mean(axis=0))


def test_running_means_lead_to_the_code_of_the_true_means():
    cluster = even_cluster(3, 3, num_parts=9.0).with_slow_nodes(1, 1, 20.0)
    played = jncss_on_the_run(cluster, 60, np.random.default_rng(1))
    right = jncss(MeanTimes.of(cluster)).code
    assert right != (0, 0)
    assert played[0].code == (0, 0)
    assert {choice.code for choice in played[30:]} == {right}
    assert played == jncss_on_the_run(cluster, 60, np.random.default_rng(1))
    assert np.mean([choice.iteration_s for choice in played[30:]]) < 0.5 * played[0].iteration_s
