"""How codes are made: nested storage, 0/1 coefficients, seeds, draws, and what is refused."""

import itertools

import numpy as np
import pytest
from coded_groups import EQUAL, codes_for

from edgelearn_env import InvalidInputError
from edgelearn_env.gradient_coding import (
    CodeLayout,
    answer_patterns,
    grouped_code,
    product_code,
    repetition_product_code,
    stored_parts,
)
from edgelearn_env.gradient_coding.codes.drawn import best_drawn, worst_magnification
from edgelearn_env.gradient_coding.codes.patterns import some_answer_patterns


def layout(sizes: tuple[int, ...], edges: int, devices: int) -> CodeLayout:
    return CodeLayout(group_sizes=sizes, edge_stragglers=edges, device_stragglers=devices)


@pytest.mark.parametrize("sizes", EQUAL, ids=str)
def test_what_is_stored_for_a_product_code_serves_every_smaller_one(sizes):
    n, m = len(sizes), sizes[0]
    codes = {
        (code.layout.edge_stragglers, code.layout.device_stragglers): code for code in codes_for(sizes, ("product",))
    }
    assert len(codes) == n * m
    for stored, used in itertools.product(codes, codes):
        if used[0] <= stored[0] and used[1] <= stored[1]:
            for device, parts in enumerate(stored_parts(n, m, *stored)):
                assert set(codes[used].parts_of(device)) <= set(parts)


@pytest.mark.parametrize("sizes", EQUAL, ids=str)
def test_a_device_of_a_product_code_computes_the_stored_parts_its_own_first(sizes):
    n, m = len(sizes), sizes[0]
    for code in codes_for(sizes, ("product",)):
        parts = stored_parts(n, m, code.layout.edge_stragglers, code.layout.device_stragglers)
        np.testing.assert_array_equal(parts[:, 0], np.arange(n * m))
        for device, stored in enumerate(parts):
            np.testing.assert_array_equal(code.parts_of(device), np.sort(stored))


def test_a_repetition_code_sums():
    code = repetition_product_code(layout((4, 4), 1, 1))
    assert set(np.unique(code.coefficients)) == {0.0, 1.0}
    np.testing.assert_array_equal(code.parts_of(3), [2, 3, 6, 7])


@pytest.mark.parametrize("make", [grouped_code, product_code])
def test_coefficients_are_a_function_of_the_seed(make):
    first, again, other = (make(layout((4, 4, 4), 1, 2), seed).coefficients for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1.0


def test_without_stragglers_every_code_is_a_plain_sum():
    for make in (grouped_code, product_code, repetition_product_code):
        code = make(layout((2, 2, 2), 0, 0))
        np.testing.assert_array_equal(code.coefficients, np.eye(6))


def test_the_best_of_many_draws_is_kept(rng):
    answered, drawn = answer_patterns(6, 2), []

    def draw(rng: np.random.Generator) -> np.ndarray:
        rows = np.ones((6, 3)) + rng.standard_normal((6, 3))
        drawn.append(rows)
        return rows

    best = best_drawn(draw, 2, rng)
    assert len(drawn) == 32
    assert worst_magnification(best, answered) == min(worst_magnification(rows, answered) for rows in drawn)


def test_patterns_are_all_there_are_or_as_many_as_were_asked_for(rng):
    patterns = answer_patterns(6, 2)
    assert len(np.unique(patterns, axis=0)) == len(patterns) == 15
    np.testing.assert_array_equal(some_answer_patterns(6, 2, 15, rng), patterns)
    some = some_answer_patterns(30, 10, 40, rng)
    assert some.shape == (40, 30)
    assert set(some.sum(axis=1)) == {20}
    assert len(np.unique(some, axis=0)) == 40


def test_unequal_groups_have_no_product_code():
    with pytest.raises(InvalidInputError, match=r"group_sizes must be equal for a product code, got \(2, 3\)"):
        product_code(layout((2, 3), 0, 0))


@pytest.mark.parametrize(
    ("edges", "devices", "sentence"),
    [(1, 0, r"edge_stragglers \+ 1 must divide 3 "), (0, 2, r"device_stragglers \+ 1 must divide 4 .*, got 2 \+ 1")],
)
def test_repetition_needs_numbers_that_divide(edges, devices, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        repetition_product_code(layout((4, 4, 4), edges, devices))
