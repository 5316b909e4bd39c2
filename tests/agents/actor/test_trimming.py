"""The last step of agents that know the model."""

import numpy as np
import pytest

from edgelearn_env.agents.actor.trimming import ready_together, trimmed, worth_waiting_for
from edgelearn_env.arrays.namespaces import namespace_of
from edgelearn_env.arrays.records import mapped
from edgelearn_env.model import Observed
from edgelearn_env.physics.budgets import RUNNING
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.records import Allocation, State
from edgelearn_env.stages.synchronous import finetune_round
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.two_stage.dynamics import planned_round, step

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
        # Near enough to each other that it is worth to wait for the last.
        freq_hz=0.2e9 * rng.uniform(0.9, 1.1, shape),
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
    return devices.compute_s + devices.upload_s


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


def test_a_device_that_is_silent_stays_as_decided_and_nobody_waits_for_it(system, conditions, decided):
    silent = left_for(system, conditions, decided, 1.4)
    silent.battery_j[: SIZE // 2, 1] = 0.0
    decided.batch[SIZE // 2 :, 1] = 0.0
    # It would be the last, and cost the most.
    decided.freq_hz[:, 1] = system.scenario.devices.freq_min_hz[1]
    played = trimmed(system, system.scenario.budgets, Observed(silent, conditions), decided)
    np.testing.assert_array_equal(played.batch[:, 1], decided.batch[:, 1])
    np.testing.assert_array_equal(played.freq_hz[:, 1], decided.freq_hz[:, 1])
    # The two others do what they would do in a system that knows nothing of it.
    _, outcome = step(system, silent, conditions, played)
    assert np.all(outcome.end_reason == RUNNING)
    assert np.all(outcome.devices.participates == [True, False, True])
    after = finish_s(system, silent, conditions, played)
    np.testing.assert_allclose(after[:, 0], after[:, 2], rtol=1e-9)
    assert np.all(outcome.duration_s > 0.4 * (system.scenario.budgets.delay_s - silent.elapsed_s))


def test_a_round_of_nobody_stays_as_it_was_decided(system, conditions, decided):
    state = begun(system)
    state.battery_j[:] = 0.0
    played = trimmed(system, system.scenario.budgets, Observed(state, conditions), decided)
    np.testing.assert_array_equal(played.freq_hz, decided.freq_hz)
    np.testing.assert_array_equal(played.batch, decided.batch)
    _, outcome = step(system, state, conditions, played)
    np.testing.assert_array_equal(outcome.duration_s, system.scenario.radio.idle_s)


def test_the_devices_of_a_round_are_those_with_which_rounds_alike_would_lead_to_the_least_bound(
    rng, system, conditions, decided
):
    budgets = system.scenario.budgets
    # Fades from none to such that a device takes a minute.
    conditions.channel_gain[:] *= 10 ** rng.uniform(-5.0, 0.0, conditions.channel_gain.shape)
    state = left_for(system, conditions, decided, 6.0)
    terms = state.bound_terms
    state = state._replace(
        bound_terms=terms._replace(participation=terms.participation + 4.0, num_finetune_rounds=terms[1] + 4.0)
    )
    observed = Observed(state, conditions)
    kept = worth_waiting_for(system, budgets, observed, decided)
    finish = finish_s(system, state, conditions, decided)
    values, sets = [], []
    for last in range(system.scenario.num_devices):
        alone = decided._replace(batch=np.where(finish <= finish[:, last : last + 1], decided.batch, 0.0))
        done = planned_round(system, state, conditions, ready_together(system, observed, alone))
        in_time = (budgets.delay_s - state.elapsed_s) / done.duration_s
        in_energy = (budgets.energy_j - state.spent_j) / done.energy_j
        num = np.minimum(2 / (1 / in_time + 1 / in_energy), budgets.max_rounds - state.round_index)
        weight = system.device_weight * done.devices.participates
        noise = np.sum(weight**2 * 50.0 / decided.batch, axis=1)
        numerator = 2 * state.bound_terms.pretrain_term / 0.1 + num * 10.0 * 0.1 * noise
        values.append(numerator / (4.0 + num * weight.sum(axis=1)))
        sets.append(done.devices.participates)
    best = np.argmin(values, axis=0)
    able = finetune_round(system, state.battery_j, conditions, decided).participates
    assert np.all(kept[~able])
    np.testing.assert_array_equal(kept & able, np.array(sets)[best, np.arange(SIZE)])
    # Sets of every size are met.
    assert set((kept & able).sum(axis=1)) == {1, 2, 3}


def test_a_device_in_a_deep_fade_sits_out_and_one_of_many_does_not(system, conditions, decided):
    # With charge enough, it is not its battery that decides.
    budgets, state = system.scenario.budgets, begun(system, battery_j=np.full((SIZE, 3), 10.0))
    assert np.all(worth_waiting_for(system, budgets, Observed(state, conditions), decided))
    faded = conditions._replace(channel_gain=conditions.channel_gain * [1.0, 1e-5, 1.0])
    kept = worth_waiting_for(system, budgets, Observed(state, faded), decided)
    assert np.all(kept == [True, False, True])
    played = trimmed(system, budgets, Observed(state, faded), decided)
    np.testing.assert_array_equal(played.batch, decided.batch * kept)
    faded = conditions._replace(channel_gain=conditions.channel_gain * 1e-5)
    assert np.mean(worth_waiting_for(system, budgets, Observed(state, faded), decided)) > 0.5


def test_tensors_are_ready_together_alike_and_have_finite_gradients(tiny, system, conditions, decided):
    torch = pytest.importorskip("torch")
    from edgelearn_env.arrays import torch_names

    state = begun(system)
    # In some episodes nobody can take part, in others not all, for want of charge, of a channel or by choice.
    state.battery_j[:5], state.battery_j[5:10, 0] = 0.0, 0.0
    conditions.channel_gain[10:15, 1], decided.batch[15:20, 2] = 0.0, 0.0
    expected = ready_together(system, Observed(state, conditions), decided)
    np.testing.assert_array_equal(expected.freq_hz[:5], decided.freq_hz[:5])
    assert np.all(expected.freq_hz[5:] <= decided.freq_hz[5:] * (1 + 1e-12))
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
