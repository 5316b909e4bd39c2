"""The cluster: what it refuses, what it keeps, which of its nodes are slow, and those kept of it."""

import pickle

import numpy as np
import pytest
from random_clusters import even_cluster, random_cluster

from edgelearn_env.errors import InvalidInputError


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_edges": 0}, "cluster.num_edges must be at least 1, got 0"),
        ({"devices_per_edge": 2.5}, "cluster.devices_per_edge must be a whole number, got 2.5"),
        ({"num_parts": 0.0}, "cluster.num_parts must be above 0, got 0"),
        ({"num_parts": np.ones(2)}, r"cluster.num_parts must be a number, got an array of shape \(2,\)"),
        ({"part_s": -0.1}, "cluster.part_s must be at least 0, got -0.1"),
        ({"part_s": "fast"}, "cluster.part_s must be a number, got 'fast'"),
        ({"parts_per_s": np.array([[1, 1, 1], [1, -2, 1]])}, "cluster.parts_per_s must be above 0, got -2"),
        ({"device_try_s": np.ones(3)}, r"number or an array of shape \(2, 3\), got an array of shape \(3,\)"),
        ({"device_erasure": 1.0}, "cluster.device_erasure must be below 1, got 1"),
        ({"edge_try_s": 0.0}, "cluster.edge_try_s must be above 0, got 0"),
        ({"edge_erasure": np.array([0.1, np.nan])}, "cluster.edge_erasure must be a finite number, got nan"),
        ({"edge_erasure": np.ones((2, 3))}, r"cluster.edge_erasure must be a number or an array of shape \(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name_and_value(changes, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        even_cluster(**changes)


def test_arrays_are_copies_that_nobody_can_write_to_and_numbers_stand_for_all():
    erasure = np.array([0.1, 0.2])
    cluster = even_cluster(edge_erasure=erasure)
    erasure[0] = 0.9
    np.testing.assert_array_equal(cluster.edge_erasure, [0.1, 0.2])
    np.testing.assert_array_equal(cluster.part_s, np.full((2, 3), 0.01))
    with pytest.raises(ValueError, match="read-only"):
        cluster.part_s[0, 0] = 1.0


def test_clusters_are_compared_by_value_and_survive_pickling(rng):
    cluster = random_cluster(rng, 2, 3)
    assert pickle.loads(pickle.dumps(cluster)) == cluster
    assert cluster != random_cluster(rng, 2, 3)


def test_slow_devices_compute_longer_and_slow_edge_nodes_try_longer():
    cluster = even_cluster().with_slow_nodes(devices=2, edges=1, factor=10.0)
    np.testing.assert_allclose(cluster.part_s, 2 * [[0.1, 0.1, 0.01]])
    np.testing.assert_allclose(cluster.parts_per_s, 2 * [[10, 10, 100]])
    np.testing.assert_allclose(cluster.edge_try_s, [1.0, 0.1])
    np.testing.assert_array_equal(cluster.device_try_s, even_cluster().device_try_s)


@pytest.mark.parametrize(
    ("slow", "sentence"),
    [
        ((4, 0, 10.0), "devices must be from 0 to 3, got 4"),
        ((0, -1, 10.0), "edges must be from 0 to 2, got -1"),
        ((1, 1, 0.0), "factor must be above 0, got 0"),
    ],
)
def test_slow_nodes_that_there_are_not_are_refused(slow, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        even_cluster().with_slow_nodes(*slow)


def test_what_is_kept_has_the_numbers_of_its_nodes_and_all_the_parts(rng):
    cluster = random_cluster(rng, 3, 4)
    kept = cluster.kept(np.array([2, 0]), np.array([[3, 1], [0, 2]]))
    assert (kept.num_edges, kept.devices_per_edge, kept.num_parts) == (2, 2, cluster.num_parts)
    np.testing.assert_array_equal(kept.part_s, cluster.part_s[[[2, 2], [0, 0]], [[3, 1], [0, 2]]])
    np.testing.assert_array_equal(kept.edge_erasure, cluster.edge_erasure[[2, 0]])
