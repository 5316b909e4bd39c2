"""Steps that torch compiles are those of array operations, in every system: actions, allocations, tapes, ends."""

import pytest

pytest.importorskip("torch")

import torch
from systems_under_contract import SYSTEM_NAMES, small_scenario

from edgelearn_env.arrays.records import arrays_of
from edgelearn_env.envs.tensors import TensorEnv
from edgelearn_env.scenarios.systems import SYSTEMS, located
from edgelearn_env.tapes.tape import Tape, sample_tape

B = 7

# Whatever this machine has.
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

# Compiling takes far longer than all the steps: one system by default, on one device.
CASES = [
    pytest.param(name, device, marks=() if name == "two-stage" else pytest.mark.slow)
    for name in SYSTEM_NAMES
    for device in DEVICES
]


def pair(name: str, **kwargs) -> tuple[TensorEnv, TensorEnv]:
    """A compiled one and one that is not."""
    made, scenario = located(SYSTEMS[name].tensors), small_scenario(name)
    return made(B, scenario=scenario, compiled=True, **kwargs), made(B, scenario=scenario, **kwargs)


def actions_of(envs: TensorEnv, generator: torch.Generator) -> torch.Tensor:
    """Of a kind with episodes of many lengths: few switch at once."""
    actions = torch.rand((B, envs.codec.action_size), generator=generator) * 2.2 - 1.1
    actions[:, 0] -= 0.5
    return actions.to(envs.device)


def assert_same(made, expected):
    arrays = list(arrays_of(made))
    assert len(arrays) > 10
    for one, other in zip(arrays, arrays_of(expected), strict=True):
        assert one.dtype == other.dtype
        tolerance = 2**-22 if other.dtype == torch.float32 else 1e-11
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize(("name", "device"), CASES)
def test_episodes_agree_over_autoresets(name, device):
    (fused, plain), generator = pair(name, device=device), torch.Generator().manual_seed(1)
    for envs in (fused, plain):
        envs.reset(seed=3)
    ends = torch.zeros(B, dtype=torch.int64, device=device)
    while ends.min() < 3:
        action = actions_of(fused, generator)
        made, expected = fused.step(action), plain.step(action)
        assert_same(made, expected)
        assert_same((*fused.observed, *_tapes(fused)), (*plain.observed, *_tapes(plain)))
        ends += expected[2]
        # What was handed out is the caller's.
        for array in arrays_of(made):
            array.zero_()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "device"), CASES)
def test_allocations_and_tapes_handed_in_are_played_too(name, device):
    (fused, plain), generator = pair(name, device=device, autoreset=False), torch.Generator().manual_seed(2)
    tapes = Tape.stack([sample_tape(fused.scenario, 11, episode) for episode in range(B)])
    for tape in (tapes, sample_tape(fused.scenario, 5)):
        for envs in (fused, plain):
            envs.reset(seed=3, tape=tape)
        for _ in range(fused.scenario.budgets.max_rounds + 2):
            allocation = fused.codec.decode(actions_of(fused, generator).T.contiguous().T)
            assert_same(fused.play_round(allocation), plain.play_round(allocation))


def test_steps_that_need_a_gradient_are_not_compiled():
    (fused, plain), generator = pair("two-stage"), torch.Generator().manual_seed(3)
    action = actions_of(fused, generator)
    gradients = []
    for envs in (fused, plain):
        envs.reset(seed=3)
        leaf = action.clone().requires_grad_()
        envs.step(leaf)
        # It goes on from a round that a gradient flows to.
        *_, played = envs.step(action)
        (played.state.battery_j.sum() + played.state.elapsed_s.sum()).backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)
    assert gradients[0].any()


def _tapes(envs: TensorEnv) -> tuple[torch.Tensor, torch.Tensor]:
    return envs.tape_seed, envs.tape_episode
