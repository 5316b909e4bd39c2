"""Aggregation by hand: two arrays, three devices."""

import itertools

import numpy as np
import pytest

pytest.importorskip("torch")

from edgelearn_env.federated.aggregation import damped, masked, padded
from edgelearn_env.federated.local_update import Update


def update(site: int, weight: float, narrowed=None, **arrays) -> Update:
    named = {name: np.array(values, np.float32) for name, values in arrays.items()}
    return Update(site, weight, named, narrowed or {}, loss=0.0, cpu_s=0.0)


WEIGHTS = {"a": np.array([1, 2], np.float32), "b": np.array([10], np.float32), "c": np.array([7], np.float32)}


def test_damped_counts_what_was_not_trained_as_unchanged():
    found = damped(WEIGHTS, [update(1, 0.5, a=[3, 2], b=[14]), update(2, 0.25, a=[1, 6])])
    np.testing.assert_array_equal(found["a"], [1 + 0.5 * 2, 2 + 0.25 * 4])
    np.testing.assert_array_equal(found["b"], [10 + 0.5 * 4])
    np.testing.assert_array_equal(found["c"], [7])


def test_masked_is_the_mean_over_those_who_trained():
    found = masked(WEIGHTS, [update(1, 0.5, a=[3, 2], b=[14]), update(2, 0.25, a=[1, 6])])
    np.testing.assert_allclose(found["a"], [(2 * 3 + 1) / 3, (2 * 2 + 6) / 3], rtol=1e-6)
    np.testing.assert_array_equal(found["b"], [14])
    np.testing.assert_array_equal(found["c"], [7])


def test_masked_goes_number_by_number_where_arrays_are_held_in_part():
    weights = {"m": np.zeros((2, 3), np.float32)}
    left = update(1, 1.0, {"m": (np.array([0, 1]), np.array([0, 1]))}, m=[[2, 4], [6, 8]])
    right = update(2, 3.0, {"m": (np.array([0]), np.array([1, 2]))}, m=[[8, 5]])
    np.testing.assert_array_equal(masked(weights, [left, right])["m"], [[2, (4 + 3 * 8) / 4, 5], [6, 8, 0]])
    np.testing.assert_array_equal(damped(weights, [left])["m"], [[2, 4, 0], [6, 8, 0]])


def test_pairs_of_lower_rank_are_padded_and_weigh_by_what_they_change():
    weights = {"q.lora_a": np.zeros((2, 2), np.float32), "q.lora_b": np.zeros((1, 2), np.float32)}
    whole = update(1, 0.5, **{"q.lora_a": [[1, 0], [0, 1]], "q.lora_b": [[3, 4]]})
    part = {"q.lora_a": (np.array([0]), np.arange(2)), "q.lora_b": (np.arange(1), np.array([0]))}
    short = update(2, 0.5, part, **{"q.lora_a": [[0, 1]], "q.lora_b": [[15]]})
    # ||B A|| is 5 and 15: a quarter and three quarters.
    found = padded(weights, [whole, short])
    np.testing.assert_array_equal(found["q.lora_a"], [[0.25, 0.75], [0, 0.25]])
    np.testing.assert_array_equal(found["q.lora_b"], [[0.25 * 3 + 0.75 * 15, 0.25 * 4]])


def test_pairs_that_change_nothing_yet_weigh_the_same():
    weights = {"q.lora_a": np.ones((1, 1), np.float32), "q.lora_b": np.zeros((1, 1), np.float32)}
    same = [update(k, 0.5, **{"q.lora_a": [[k]], "q.lora_b": [[0]]}) for k in (1, 3)]
    np.testing.assert_array_equal(padded(weights, same)["q.lora_a"], [[2]])


@pytest.mark.parametrize("rule", [damped, masked, padded])
def test_the_order_of_updates_does_not_matter_to_the_last_bit(rule):
    # The small one is lost if it comes before the large ones have cancelled.
    weights = {"a": np.zeros(1, np.float32)}
    updates = [update(k, 1.0, a=[value]) for k, value in enumerate((1e25, -1e25, 1.0))]
    found = {rule(weights, [updates[k] for k in order])["a"].tobytes() for order in itertools.permutations(range(3))}
    assert len(found) == 1
