"""Coded rounds as tensors: gradients of what is decided are finite, and those of finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from random_codings import random_coded_tape, random_coding
from random_scenarios import seeds

pytest.importorskip("torch")

import torch

from edgelearn_env.arrays.records import arrays_of
from edgelearn_env.gradient_coding.constants import CodingConstants
from edgelearn_env.gradient_coding.dynamics import initial_state, step
from edgelearn_env.gradient_coding.encoding import Codec
from edgelearn_env.gradient_coding.tensor_env import GradientCodingTorch
from edgelearn_env.tapes.tape import Tape, sample_tape

B, ROUNDS, STEP = 5, 4, 1e-6


def fractional_in_whole(codec: Codec, actions: np.ndarray) -> np.ndarray:
    """The same actions, but with batch sizes that rounding does not change."""
    staged, K = codec.staged, codec.scenario.num_devices
    columns = np.r_[2, staged.action_size - K : staged.action_size]
    low, span = staged.action_low[columns - 1], staged.action_log_ratio[columns - 1]
    named = codec.decode(actions)
    batch = np.maximum(np.concatenate([named.server_batch[:, None], named.batch], axis=1), low)
    changed = actions.copy()
    changed[:, columns] = np.clip(2 * np.log(batch / low) / np.where(span > 0, span, 1.0) - 1, -1, 1)
    return changed


def worth(scenario, state, weight):
    """A number for each episode in which all has a part that actions move, (B,); numpy or torch."""
    batteries = (state.battery_j * weight).sum(-1) / float(np.sum(scenario.energy.battery_capacity_j))
    bound, budgets = scenario.bound.value(state.bound_terms), scenario.budgets
    first = scenario.bound.value(initial_state(CodingConstants.of(scenario), 1).bound_terms)[0]
    return bound / first + state.elapsed_s / budgets.delay_s + state.spent_j / budgets.energy_j + batteries


def played_in_numpy(scenario, tape, actions, weight):
    """The same number from the arrays' kernels with fractional batches, and every discrete event on the way."""
    codec, constants = Codec.of(scenario), CodingConstants.of(scenario)
    state, events = initial_state(constants, B), []
    for action in actions:
        state, outcome = step(constants, state, tape.conditions(state.round_index), codec.fractional(action))
        devices, coded = outcome.devices, outcome.coded
        order = np.argsort(devices.compute_s + devices.upload_s + 1e3 * coded.lateness, axis=1)
        each = devices.participates * 4 + (coded.lateness > 0) * 2
        each = each + (state.battery_j == constants.staged.battery_capacity_j)
        edges = np.argsort(coded.edge_s, axis=1)
        events.append(np.column_stack([outcome.counted, outcome.end_reason, coded.decoded, order, edges, each]))
    return worth(scenario, state, weight), np.stack(events)


def test_gradients_are_central_differences_wherever_no_discrete_event_changes():
    compared, late, lost = 0, 0, 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        scenario = random_coding(rng, shape=(2, 3), batteries="ample")
        scenario = scenario.replace(coding={"stored_edge_stragglers": 1, "stored_device_stragglers": 1})
        tape = Tape.stack([random_coded_tape(rng, scenario) for _ in range(B)])
        codec, K = Codec.of(scenario), scenario.num_devices
        weight = rng.uniform(0.5, 1.5, K)
        actions = rng.uniform(-0.9, 0.3, (ROUNDS, B, codec.action_size))
        actions[:, :, 0] = 0.5
        actions = np.stack([fractional_in_whole(codec, action) for action in actions])
        direction = rng.normal(size=actions.shape) * (np.abs(actions) < 1 - 1e-3)
        last = codec.staged.action_size
        direction[..., last - K : last] *= np.stack([codec.decode(action).batch for action in actions]) > 1
        direction[..., last:] = 0.0

        envs = GradientCodingTorch(B, scenario, autoreset=False)
        envs.reset(tape=tape)
        leaf = torch.tensor(actions, requires_grad=True)
        for action in leaf:
            *_, played = envs.step(action)
            late += int((played.outcome.coded.lateness > 0).any(-1).sum())
            lost += int((played.outcome.counted & ~played.outcome.coded.decoded).sum())
        value = worth(scenario, played.state, torch.tensor(weight))
        value.sum().backward()
        slope = np.sum(leaf.grad.numpy() * direction, axis=(0, 2))

        expected, events = played_in_numpy(scenario, tape, actions, weight)
        np.testing.assert_allclose(value.detach(), expected, rtol=1e-9)
        (up, up_events), (down, down_events) = (
            played_in_numpy(scenario, tape, actions + sign * STEP * direction, weight) for sign in (1, -1)
        )
        same = np.all((up_events == events) & (down_events == events), axis=(0, 2))
        np.testing.assert_allclose(slope[same], (up - down)[same] / (2 * STEP), rtol=1e-5, atol=1e-7)
        compared += np.count_nonzero(same & (np.abs(slope) > 1e-3))
    assert compared > 30
    assert min(late, lost) > 10


@given(seed=seeds)
@settings(max_examples=15)
def test_no_gradient_is_infinite_or_not_a_number(seed):
    rng = np.random.default_rng(seed)
    scenario = random_coding(rng)
    tape = Tape.stack([random_coded_tape(rng, scenario) for _ in range(B)])
    tape.channel_gain[rng.random(tape.channel_gain.shape) < 0.05] = 0.0
    envs = GradientCodingTorch(B, scenario)
    envs.reset(seed=0, tape=tape)
    shape = (scenario.budgets.max_rounds, B, envs.codec.action_size)
    actions = rng.uniform(-1, 1, shape)
    leaf = torch.tensor(
        np.where(rng.random(shape) < 0.2, rng.choice([-2.0, 0.0, 2.0], shape), actions), requires_grad=True
    )
    total = torch.zeros(())
    for action in leaf:
        results = [*arrays_of(envs.step(action))]
        assert all(torch.isfinite(tensor).all() for tensor in results)
        total = total + sum(tensor.sum() for tensor in results if tensor.requires_grad)
    total.backward()
    assert torch.isfinite(leaf.grad).all()
    assert leaf.grad.any()
    # Codes and who is asked are steps.
    assert not leaf.grad[..., 3 + 3 * scenario.num_devices :].any()


@pytest.mark.parametrize(("entries", "ends"), [(slice(3, 15), True), ([3], True), (slice(-6, None), False)])
def test_an_action_that_is_not_a_number_disturbs_no_other_episode(entries, ends):
    envs, untouched = (GradientCodingTorch(B, "coded-tiny") for _ in range(2))
    for one in (envs, untouched):
        one.reset(seed=4)
    actions = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (B, 21)))
    actions[:, 0], actions[:, -4:] = 1.0, 1.0
    poisoned = actions.clone()
    poisoned[2, entries] = torch.nan
    observation, _, terminated, _, played = envs.step(poisoned)
    expected, *_ = untouched.step(actions)
    others = [0, 1, 3, 4]
    assert torch.equal(observation[others], expected[others])
    assert all(torch.isfinite(tensor).all() for tensor in arrays_of((observation, played.outcome, played.state)))
    # Entries for the code that are not numbers ask for none, all others end the episode.
    assert bool(terminated[2]) == ends
    assert ends or played.allocation.edge_stragglers[2] == 0


def test_a_step_reads_nothing_from_the_device():
    # Tensors of the meta device hold no numbers: whatever had to know one would raise.
    envs = GradientCodingTorch(B, "coded-tiny", device="meta")
    envs.reset(seed=0, tape=sample_tape(envs.scenario, 1))
    observation, reward, *_ = envs.step(torch.zeros(B, 21, device="meta", requires_grad=True))
    assert observation.device.type == reward.device.type == "meta"
