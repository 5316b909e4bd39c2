"""Codes: their load, whom they wait for, and what does not fit."""

import pytest
from random_clusters import even_cluster, random_cluster

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.run_time.schemes import (
    FlatScheme,
    HierarchicalScheme,
    JobSize,
    every_hierarchical_scheme,
)
from edgelearn_env.gradient_coding.run_time.times import MeanTimes, sampled_times


def test_a_load_is_the_copies_of_all_parts_shared_by_all_devices():
    job = JobSize(50.0, 5, 5)
    assert HierarchicalScheme(0, 0).load_parts(job) == 2.0
    assert HierarchicalScheme(1, 2).load_parts(job) == 2.0 * 2 * 3
    assert FlatScheme(9).load_parts(job) == 2.0 * 10
    cluster = even_cluster()
    assert (
        HierarchicalScheme(1, 2).load_parts(cluster)
        == HierarchicalScheme(1, 2).load_parts(MeanTimes.of(cluster))
        == 6.0
    )


def test_an_iteration_waits_for_all_but_those_that_may_be_late(rng):
    times = sampled_times(random_cluster(rng, 3, 4), 2.0, 20, rng)
    for code in every_hierarchical_scheme(3, 4):
        for draw, found in enumerate(code.iteration_s(times)):
            edges = [
                sorted(times.device_s[draw, edge])[4 - 1 - code.late_devices] + times.edge_link_s[draw, edge]
                for edge in range(3)
            ]
            assert found == sorted(edges)[3 - 1 - code.late_edges]
    for late in range(12):
        for draw, found in enumerate(FlatScheme(late).iteration_s(times)):
            arrivals = times.device_s[draw] + times.edge_link_s[draw][:, None]
            assert found == sorted(arrivals.ravel())[12 - 1 - late]


def test_there_is_a_code_for_every_number_of_late_edge_nodes_and_devices():
    assert every_hierarchical_scheme(2, 3) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (HierarchicalScheme(2, 0), "late_edges must be from 0 to 1, got 2"),
        (HierarchicalScheme(0, 3), "late_devices must be from 0 to 2, got 3"),
        (HierarchicalScheme(-1, 0), "late_edges must be from 0 to 1, got -1"),
        (FlatScheme(6), "late_devices must be from 0 to 5, got 6"),
    ],
)
def test_a_code_that_waits_for_nobody_is_refused(code, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        code.load_parts(even_cluster(2, 3))
