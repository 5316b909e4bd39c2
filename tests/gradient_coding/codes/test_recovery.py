"""Exact recovery under every pattern of stragglers, and only where enough have answered.

Decoding factorises: what a complete edge sends is its row of the edge code, whichever of its devices answered, and what
the master does depends on edges alone. So every pattern within each edge, and every pattern of edges, is every pattern;
the slow test goes through all products of them.
"""

import numpy as np
import pytest
from coded_groups import EQUAL, GROUPS, codes_for, every_subset, whole_patterns

from edgelearn_env.gradient_coding import answer_patterns

PRECISION = 1e-10

all_groups = pytest.mark.parametrize("sizes", GROUPS, ids=str)


@all_groups
def test_an_edge_sends_what_it_owes_whichever_of_its_devices_are_late(sizes):
    for code in codes_for(sizes):
        for edge, size in enumerate(sizes):
            rows = code.coefficients[list(code.devices_of(edge))]
            for num_late in range(code.layout.device_stragglers + 1):
                answered = answer_patterns(size, num_late)
                weights = code.edge_weights(edge, answered)
                assert np.all(weights[~answered] == 0)
                owed = code.edge_coefficients[edge]
                np.testing.assert_allclose(weights @ rows, np.tile(owed, (len(answered), 1)), atol=PRECISION)


@all_groups
def test_the_master_has_the_sum_whichever_edges_are_late(sizes):
    for code in codes_for(sizes):
        for num_late in range(code.layout.edge_stragglers + 1):
            answered = np.repeat(answer_patterns(len(sizes), num_late), sizes, axis=1)
            weights = code.weights(answered)
            assert np.all(weights[~answered] == 0)
            np.testing.assert_allclose(weights @ code.coefficients, 1.0, atol=PRECISION)


@pytest.mark.slow
@all_groups
def test_the_master_has_the_sum_under_every_product_of_patterns(sizes):
    for code in codes_for(sizes):
        answered = whole_patterns(code.layout)
        assert np.all(code.decodes(answered))
        np.testing.assert_allclose(code.weights(answered) @ code.coefficients, 1.0, atol=PRECISION)


@all_groups
def test_nothing_decodes_once_a_part_lacks_a_device_too_many_in_an_edge_too_many(sizes):
    for code in codes_for(sizes):
        answered = code.coefficients.T == 0
        assert not np.any(code.decodes(answered))
        assert np.all(code.squared_error(answered) >= 1 / code.num_parts - 1e-12)


@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 2, 2, 2), (5, 5), (2, 3, 4)], ids=str)
def test_every_set_that_is_said_to_decode_does(sizes):
    answered = every_subset(sum(sizes))
    for code in codes_for(sizes):
        assert np.all(code.squared_error(answered)[code.decodes(answered)] < PRECISION**2)


@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 2, 2, 2), (5, 5)], ids=str)
def test_a_product_code_never_decodes_from_fewer_answers_than_it_says(sizes):
    answered = every_subset(sum(sizes))
    for code in codes_for(sizes, ("product",)):
        made = code.layout
        needed = (made.num_edges - made.edge_stragglers) * (sizes[0] - made.device_stragglers)
        assert np.all(code.squared_error(answered[answered.sum(axis=1) < needed]) > 1e-5)


def test_three_threes_decode_from_no_other_sets_while_fewer_than_two_edges_may_be_late():
    answered = every_subset(9)
    for code in codes_for((3, 3, 3), ("product",)):
        if code.layout.edge_stragglers < 2:
            np.testing.assert_array_equal(code.squared_error(answered) < PRECISION**2, code.decodes(answered))


@pytest.mark.parametrize("sizes", EQUAL, ids=str)
def test_in_a_product_code_neither_edges_nor_the_master_do_with_one_answer_fewer(sizes):
    for code in codes_for(sizes, ("product",)):
        made = code.layout
        rows, owed = code.coefficients[list(code.devices_of(0))], code.edge_coefficients[0]
        sent = code.edge_weights(0, answer_patterns(sizes[0], made.device_stragglers + 1)) @ rows
        assert np.all(np.linalg.norm(sent - owed, axis=-1) > 1e-3 * np.linalg.norm(owed))
        edges = np.repeat(answer_patterns(made.num_edges, made.edge_stragglers + 1), sizes, axis=1)
        assert np.all(code.squared_error(edges) > 1e-5)


def test_repetition_decodes_from_one_answer_of_each_block():
    [code] = [
        code for code in codes_for((4, 4), ("repetition",)) if code.layout.device_stragglers == 1 and code.load[0] < 0.3
    ]
    answered = np.array([[1, 0, 0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 1, 1, 1, 1]], dtype=bool)
    np.testing.assert_array_equal(code.squared_error(answered) < PRECISION**2, [True, False])


def test_least_squares_leaves_the_share_of_the_parts_that_nobody_sent():
    [uncoded] = [code for code in codes_for((3, 3, 3), ("product",)) if code.load[0] < 0.2]
    for count in range(10):
        assert uncoded.squared_error(np.arange(9) < count) == pytest.approx(1 - count / 9, abs=1e-12)


@all_groups
def test_more_answers_never_leave_a_larger_error_where_edges_are_whole(sizes):
    for code in codes_for(sizes):
        fewer = np.repeat(every_subset(len(sizes)), sizes, axis=1)
        more = fewer | np.isin(np.arange(sum(sizes)), code.devices_of(0))
        assert np.all(code.squared_error(more) <= code.squared_error(fewer) + 1e-9)


@all_groups
def test_rounding_is_magnified_little_and_not_at_all_by_repetition(sizes):
    for code in codes_for(sizes):
        made = code.layout
        edges = np.repeat(answer_patterns(made.num_edges, made.edge_stragglers), sizes, axis=1)
        worst = code.magnification(edges).max()
        assert 1 - 1e-9 <= worst < 100
    for code in codes_for(sizes, ("repetition",)):
        np.testing.assert_allclose(code.magnification(whole_patterns(code.layout)[:500]), 1.0)
