"""Gradients of arrays and of a real model through encoding, edges and master."""

import array_api_strict
import numpy as np
import pytest
from coded_groups import codes_for, whole_patterns

from edgelearn_env import InvalidInputError
from edgelearn_env.gradient_coding import CodeLayout, HierarchicalCode, grouped_code, product_code

LAYOUT = CodeLayout(group_sizes=(2, 3, 4), edge_stragglers=1, device_stragglers=1)


def decoded(code: HierarchicalCode, part_gradients, answered: np.ndarray):
    """What the master ends with when those devices answer."""
    messages = [code.message(device, part_gradients[code.parts_of(device)]) for device in range(len(answered))]
    edges = {}
    for edge in range(code.layout.num_edges):
        came = {device: messages[device] for device in code.devices_of(edge) if answered[device]}
        if came:
            edges[edge] = code.edge_message(edge, came)
    return code.decoded(edges)


@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 3, 4)], ids=str)
def test_messages_decode_to_the_sum_of_all_parts(sizes, rng):
    for code in codes_for(sizes):
        gradients = rng.standard_normal((code.num_parts, 4, 3))
        for answered in whole_patterns(code.layout)[::7]:
            found = decoded(code, gradients, answered)
            np.testing.assert_allclose(found.gradient, gradients.sum(axis=0), rtol=1e-10, atol=1e-10)
            assert found.squared_error < 1e-20


def test_messages_and_weights_say_the_same_with_too_few_answers(rng):
    code = grouped_code(LAYOUT)
    gradients = rng.standard_normal((code.num_parts, 5))
    answered = np.array([1, 0, 1, 0, 0, 1, 1, 0, 0], dtype=bool)
    found = decoded(code, gradients, answered)
    np.testing.assert_allclose(found.part_weights, code.weights(answered) @ code.coefficients, atol=1e-12)
    np.testing.assert_allclose(found.gradient, found.part_weights @ gradients, atol=1e-12)
    assert found.squared_error == pytest.approx(code.squared_error(answered), rel=1e-9)
    assert 0 < found.squared_error < 1


def test_the_error_stays_within_its_bound(rng):
    code = grouped_code(LAYOUT)
    for answered in rng.random((50, 9)) < 0.5:
        if not answered.any():
            continue
        gradients = rng.standard_normal((code.num_parts, 5))
        found = decoded(code, gradients, answered)
        missed = np.sum((found.gradient - gradients.sum(axis=0)) ** 2)
        assert missed <= code.num_parts * found.squared_error * np.sum(gradients**2) * (1 + 1e-9) + 1e-18


def test_strict_arrays_stay_strict_arrays_of_their_precision(rng):
    code = product_code(CodeLayout(group_sizes=(3, 3), edge_stragglers=1, device_stragglers=1))
    gradients = rng.standard_normal((code.num_parts, 5)).astype(np.float32)
    strict = array_api_strict.asarray(gradients)
    messages = {
        device: code.message(
            device, array_api_strict.take(strict, array_api_strict.asarray(code.parts_of(device)), axis=0)
        )
        for device in (3, 5)
    }
    found = code.decoded({1: code.edge_message(1, messages)}).gradient
    assert found.dtype == array_api_strict.float32
    np.testing.assert_allclose(np.asarray(found), gradients.sum(axis=0), rtol=1e-4, atol=1e-5)


def test_gradients_of_a_model_coded_and_decoded_are_those_of_the_full_batch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
    inputs, labels = torch.randn(54, 6, dtype=torch.float64), torch.randint(3, (54,))

    def gradient(rows):
        loss = torch.nn.functional.cross_entropy(model(inputs[rows]), labels[rows], reduction="sum")
        return torch.cat([part.ravel() for part in torch.autograd.grad(loss, list(model.parameters()))])

    full = gradient(slice(None))
    for code in codes_for((2, 3, 4)):
        parts = torch.stack([gradient(rows) for rows in torch.arange(54).tensor_split(code.num_parts)])
        for answered in whole_patterns(code.layout)[::23]:
            found = decoded(code, parts, answered).gradient
            assert torch.linalg.norm(found - full) < 1e-10 * torch.linalg.norm(full)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda code: code.message(0, np.ones((4, 2), dtype=int)), "must be of floating point, got int64"),
        (lambda code: code.message(0, np.ones((3, 2))), r"there must be 4 arrays to combine, got shape \(3, 2\)"),
        (lambda code: code.edge_message(0, {}), r"answers of an edge must be of some of 0 to 1, got \[\]"),
        (lambda code: code.edge_message(1, {1: np.ones(2)}), r"must be of some of 2 to 4, got \[1\]"),
        (lambda code: code.decoded({}), r"answers of edges must be of some of 0 to 2, got \[\]"),
        (lambda code: code.weights(np.ones(8, bool)), r"a truth value for each of 9 devices, got bool of shape \(8,\)"),
        (lambda code: code.decodes(np.ones(9)), "a truth value for each of 9 devices, got float64"),
    ],
)
def test_what_does_not_fit_is_named(call, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        call(grouped_code(LAYOUT))
