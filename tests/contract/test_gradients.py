"""Gradients through whole episodes of every system's tensor form: central differences of what is played."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from systems_under_contract import SYSTEM_NAMES, small_scenario

from edgelearn_env import model_of
from edgelearn_env.arrays.records import arrays_of
from edgelearn_env.envs.tensors import TensorEnv
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scenarios.systems import SYSTEMS, located

B, ROUNDS, STEP = 16, 12, 1e-6

# What is decided without rounding.
SMOOTH = ("server_freq_hz", "freq_hz", "power_w")


def smooth_entries(scenario: Scenario) -> np.ndarray:
    """Which entries of an action move nothing but clocks and powers, (action_size,)."""
    codec = model_of(scenario, "numpy").codec
    before, moved = np.zeros((codec.action_size, codec.action_size)), 0.5 * np.eye(codec.action_size)
    named, other = (codec.decode(actions)._asdict() for actions in (before, before + moved))
    changed = {name: np.any(named[name].T != other[name].T, axis=0) for name in named if named[name].ndim == 2}
    changed |= {name: named[name] != other[name] for name in named if named[name].ndim == 1}
    smooth = np.any([changed[name] for name in SMOOTH], axis=0)
    return smooth & ~np.any([change for name, change in changed.items() if name not in SMOOTH], axis=0)


def played(envs: TensorEnv, actions: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A number for each episode in which all has a part that actions move, (B,); and every discrete event."""
    budgets, total, events = envs.scenario.budgets, 0.0, []
    envs.reset(seed=3)
    for action in actions:
        *_, reward, _, _, record = envs.step(action)
        total = total + reward
        events += [array for array in arrays_of((record.state, record.outcome)) if not array.is_floating_point()]
    state = record.state
    charge = state.battery_j.sum(-1) / float(np.sum(envs.scenario.energy.battery_capacity_j))
    return total + state.elapsed_s / budgets.delay_s + state.spent_j / budgets.energy_j + charge, events


@pytest.mark.parametrize("scenario", [small_scenario(name) for name in SYSTEM_NAMES], ids=SYSTEM_NAMES)
def test_gradients_of_clocks_and_powers_are_central_differences_wherever_no_discrete_event_changes(scenario):
    made = located(SYSTEMS[scenario.system].tensors)
    envs, rng = made(B, scenario=scenario, autoreset=False), np.random.default_rng(0)
    shape = (envs.codec.action_size,)
    actions = rng.uniform(-0.9, 0.3, (ROUNDS, B, *shape))
    actions[:, :, 0] = np.where(np.arange(ROUNDS)[:, None] < rng.integers(0, ROUNDS, B), -0.5, 0.5)
    direction = rng.normal(size=actions.shape) * smooth_entries(scenario)
    leaf = torch.tensor(actions, requires_grad=True)
    value, events = played(envs, leaf)
    value.sum().backward()
    slope = np.sum(leaf.grad.numpy() * direction, axis=(0, 2))
    with torch.no_grad():
        (up, up_events), (down, down_events) = (
            played(envs, torch.tensor(actions + sign * STEP * direction)) for sign in (1, -1)
        )
    same = np.ones(B, dtype=bool)
    for here, *others in zip(events, up_events, down_events, strict=True):
        for other in others:
            same &= (here == other).reshape(B, -1).all(dim=1).numpy()
    difference = ((up - down) / (2 * STEP)).numpy()
    np.testing.assert_allclose(slope[same], difference[same], rtol=1e-5, atol=1e-7)
    assert np.count_nonzero(same) >= B - 2
    assert np.count_nonzero(np.abs(slope[same]) > 1e-3) > B // 2
