"""The last step of agents that know the model."""

import numpy as np
import pytest

from edgelearn_env.agents.actor.trimming import ready_together, trimmed
from edgelearn_env.arrays.namespaces import namespace_of
from edgelearn_env.arrays.records import mapped
from edgelearn_env.model import Observed
from edgelearn_env.physics.budgets import BATTERY
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.two_stage.constants import constants_of
from edgelearn_env.two_stage.dynamics import finetune_round, initial_state, step
from edgelearn_env.two_stage.records import Allocation, State

SIZE = 50


@pytest.fixture
def system(tiny: Scenario):
    return constants_of(tiny)


@pytest.fixture
def conditions(rng, tiny) -> Conditions:
    shape = (SIZE, tiny.num_devices)
    return Conditions(tiny.mean_channel_gain * rng.uniform(2.0, 8.0, shape), rng.uniform(0.001, 0.01, shape))


@pytest.fixture
def decided(rng, tiny) -> Allocation:
    devices, shape = tiny.devices, (SIZE, tiny.num_devices)
    return Allocation(
        switch=np.ones(SIZE, dtype=bool),
        server_freq_hz=np.full(SIZE, tiny.server.freq_max_hz),
        server_batch=np.ones(SIZE),
        freq_hz=devices.freq_max_hz * rng.uniform(0.25, 0.35, shape),
        power_w=devices.power_max_w * rng.uniform(0.1, 0.3, shape),
        batch=np.round(devices.batch_max * rng.uniform(0.4, 0.6, shape)),
    )


def begun(system, **changes) -> State:
    """Fine-tuning, with full batteries."""
    state = initial_state(system, SIZE)
    capacity = np.broadcast_to(system.battery_capacity_j, state.battery_j.shape)
    return state._replace(finetuning=np.ones(SIZE, dtype=bool), battery_j=capacity.copy())._replace(**changes)


def finish_s(system, state, conditions, allocation) -> np.ndarray:
    devices = finetune_round(system, state.battery_j, conditions, allocation)
    return devices.wait_s + devices.compute_s + devices.upload_s


def test_nobody_is_ready_early_and_the_round_takes_as_long_and_spends_less(system, conditions, decided):
    state = begun(system)
    decided.batch[:, 0] = 1  # slower than its slowest clock need not be
    played = trimmed(system, system.scenario.budgets, Observed(state, conditions), decided)
    assert np.all(played.freq_hz >= system.scenario.devices.freq_min_hz)
    before, after = (finish_s(system, state, conditions, a) for a in (decided, played))
    slowest = before.max(axis=1, keepdims=True)
    at_its_least = np.isclose(played.freq_hz, system.scenario.devices.freq_min_hz)
    assert np.all(at_its_least == [True, False, False])
    np.testing.assert_allclose(np.where(at_its_least, slowest, after), np.broadcast_to(slowest, after.shape), rtol=1e-9)
    assert np.all(after <= slowest * (1 + 1e-12))
    assert np.all(played.freq_hz <= decided.freq_hz * (1 + 1e-12))
    spent = [step(system, state, conditions, allocation)[1].energy_j for allocation in (decided, played)]
    assert np.all(spent[1] < spent[0])
    np.testing.assert_array_equal(played.batch, decided.batch)
    for name in ("switch", "server_freq_hz", "server_batch", "power_w"):
        np.testing.assert_array_equal(getattr(played, name), getattr(decided, name))


def left_for(system, conditions, decided, rounds: float) -> State:
    """A state in which what is left of both budgets is for so many rounds in which all are ready together."""
    budgets = system.scenario.budgets
    together = trimmed(system, budgets, Observed(begun(system), conditions), decided)
    _, outcome = step(system, begun(system), conditions, together)
    return begun(
        system,
        elapsed_s=budgets.delay_s - rounds * outcome.duration_s,
        spent_j=budgets.energy_j - rounds * outcome.energy_j,
    )


@pytest.mark.parametrize("rounds", [0.9, 1.2, 2.0, 3.2])
def test_the_last_rounds_use_up_what_is_left(system, conditions, decided, rounds):
    state = left_for(system, conditions, decided, rounds)
    budgets, weather = system.scenario.budgets, mapped(np.copy, conditions)
    num_rounds = 0
    while True:
        played = trimmed(system, budgets, Observed(state, weather), decided)
        state, outcome = step(system, state, weather, played)
        if not np.any(outcome.counted):
            break
        assert np.all(outcome.counted)
        num_rounds += 1
    assert num_rounds == round(rounds)
    # Whole batches leave a little energy; time is used up.
    assert np.all(budgets.delay_s - state.elapsed_s < 1e-6 * budgets.delay_s)
    left_j, first_j = (
        budgets.energy_j - state.spent_j,
        budgets.energy_j - left_for(system, conditions, decided, rounds).spent_j,
    )
    assert np.all(left_j < 0.1 * first_j)


def test_a_round_that_is_not_among_the_last_keeps_its_batches(system, conditions, decided):
    state = left_for(system, conditions, decided, 3.8)
    played = trimmed(system, system.scenario.budgets, Observed(state, conditions), decided)
    np.testing.assert_array_equal(played.batch, decided.batch)


def test_batteries_are_not_asked_for_more_than_they_hold(system, conditions, decided):
    ample = left_for(system, conditions, decided, 1.4)
    needed = finetune_round(system, ample.battery_j, conditions, decided)
    short = ample._replace(battery_j=needed.compute_j + needed.upload_j)
    played = trimmed(system, system.scenario.budgets, Observed(short, conditions), decided)
    after = finetune_round(system, short.battery_j, conditions, played)
    assert np.all(after.compute_j + after.upload_j <= short.battery_j * (1 + 1e-12))
    # With more in the batteries the same rounds grow.
    assert np.all(trimmed(system, system.scenario.budgets, Observed(ample, conditions), decided).batch >= decided.batch)


def test_a_round_that_nobody_can_pay_for_stays_as_it_was_decided(system, conditions, decided):
    dark, state = conditions._replace(harvest_w=np.zeros_like(conditions.harvest_w)), begun(system)
    state.battery_j[:, 1] = 0.0
    played = trimmed(system, system.scenario.budgets, Observed(state, dark), decided)
    np.testing.assert_array_equal(played.freq_hz, decided.freq_hz)
    np.testing.assert_array_equal(played.batch, decided.batch)
    assert np.all(step(system, state, dark, played)[1].end_reason == BATTERY)


def test_tensors_are_ready_together_alike_and_have_finite_gradients(tiny, system, conditions, decided):
    torch = pytest.importorskip("torch")
    from edgelearn_env.arrays import torch_names

    state = begun(system)
    # In some episodes somebody can never pay.
    state.battery_j[:5] = 0.0
    conditions.harvest_w[:5] = 0.0
    expected = ready_together(system, Observed(state, conditions), decided)
    np.testing.assert_array_equal(expected.freq_hz[:5], decided.freq_hz[:5])
    observed, allocation = mapped(torch.tensor, Observed(state, conditions)), mapped(torch.tensor, decided)
    for array in (allocation.freq_hz, allocation.power_w, allocation.batch):
        array.requires_grad_()
    got = ready_together(constants_of(tiny, torch_names), observed, allocation)
    assert namespace_of(got.freq_hz) is torch_names
    np.testing.assert_allclose(got.freq_hz.detach().numpy(), expected.freq_hz, rtol=1e-12)
    (got.freq_hz / 1e9).sum().backward()
    for array in (allocation.freq_hz, allocation.power_w, allocation.batch):
        assert torch.all(torch.isfinite(array.grad))
        assert torch.any(array.grad != 0)
