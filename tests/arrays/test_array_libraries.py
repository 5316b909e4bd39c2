"""Actions, observations and tapes in other array libraries, as `test_dynamics` has it for `step`."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenarios import random_policy, random_scenario, random_tape, seeds

from edgelearn_env.arrays.namespaces import namespace_of, sum_over_last_axis
from edgelearn_env.arrays.records import mapped
from edgelearn_env.stages.encoding import Codec
from edgelearn_env.tapes.counter_random import stream_keys, uniforms
from edgelearn_env.tapes.law import TapeLaw, before_first_round, next_rounds
from edgelearn_env.trajectory import rollout

# Libraries have elementary functions of their own, which differ in the last digits.
ROUNDING = 1e-12


@pytest.fixture(params=["array_api_strict", "torch"], scope="module")
def xp(request):
    if request.param == "array_api_strict":
        return array_api_strict
    pytest.importorskip("torch")
    from edgelearn_env.arrays import torch_names

    return torch_names


def assert_same(theirs, ours, tolerance):
    """What another library computed is in its arrays, and has the values and types of numpy's."""
    if isinstance(ours, tuple):
        for pair in zip(theirs, ours, strict=True):
            assert_same(*pair, tolerance)
        return
    assert not isinstance(theirs, np.ndarray)
    theirs = np.asarray(theirs)
    assert (theirs.dtype, theirs.shape) == (ours.dtype, ours.shape)
    np.testing.assert_allclose(theirs, ours, rtol=tolerance, atol=0)


@given(seed=seeds, episode=st.integers(0, 2**40), length=st.integers(1, 9))
def test_random_numbers_have_the_same_bits(xp, seed, episode, length):
    names = np.arange(seed, seed + 3), np.full(3, episode)
    drawn = uniforms(stream_keys(*names), np.full(3, 2), 4, length)
    key = stream_keys(*(xp.asarray(name) for name in names))
    assert_same(uniforms(key, xp.asarray(np.full(3, 2)), 4, length), drawn, 0)


@given(seed=seeds, shadowing_std_db=st.sampled_from([0.0, 6.0]))
def test_tapes_are_the_same(xp, seed, shadowing_std_db):
    scenario = random_scenario(np.random.default_rng(seed)).replace(radio={"shadowing_std_db": shadowing_std_db})
    key = stream_keys(np.arange(seed, seed + 3), np.zeros(3, dtype=np.int64))
    ours, theirs = TapeLaw.of(scenario), TapeLaw.of(scenario, xp)
    first = before_first_round(ours, key), before_first_round(theirs, xp.asarray(key))
    assert_same(first[1], first[0], ROUNDING)
    assert_same(next_rounds(theirs, first[1], 5), next_rounds(ours, first[0], 5), ROUNDING)


@given(seed=seeds)
def test_actions_name_the_same_allocations(xp, seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    ours, theirs = Codec.of(scenario), Codec.of(scenario, xp)
    action = rng.uniform(-1.2, 1.2, (4, ours.action_size))
    assert_same(theirs.decode(xp.asarray(action)), ours.decode(action), ROUNDING)
    assert_same(theirs.fractional(xp.asarray(action)), ours.fractional(action), ROUNDING)
    named = ours.decode(action)
    again = theirs.encode_action(mapped(xp.asarray, named))
    np.testing.assert_allclose(np.asarray(again), ours.encode_action(named), rtol=0, atol=2**-22)


@given(seed=seeds)
def test_states_look_the_same(xp, seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario))
    observed = mapped(lambda array: array[0], trajectory.observed)
    expected = Codec.of(scenario).encode(*observed)
    seen = Codec.of(scenario, xp).encode(*mapped(xp.asarray, observed))
    # A float32 may be rounded the other way.
    np.testing.assert_allclose(np.asarray(seen), expected, rtol=0, atol=2**-23)
    assert seen.dtype == xp.float32


@pytest.mark.parametrize("num_devices", [1, 2, 7, 10])
def test_sums_over_devices_have_the_same_bits(xp, rng, num_devices):
    values = rng.normal(size=(5, num_devices))
    assert_same(sum_over_last_axis(xp.asarray(values)), sum_over_last_axis(values), 0)


def test_torch_takes_plain_numbers_along_and_remembers_them_for_gradients_too():
    torch = pytest.importorskip("torch")
    from edgelearn_env.arrays import torch_names as xp

    with torch.inference_mode():
        xp.maximum(torch.zeros(2), 0.125)
    values = torch.tensor([-1.0, 0.125, 1.0], requires_grad=True)
    (xp.maximum(values, 0.125) + xp.minimum(values, 0.125) + xp.where(values > 0, values, 2.0)).sum().backward()
    assert values.grad.tolist() == [1.0, 2.0, 2.0]
    assert namespace_of(values) is xp
