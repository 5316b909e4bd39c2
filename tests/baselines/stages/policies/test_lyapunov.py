"""Drift plus penalty: its queues and prices, its pre-training rounds, whole episodes, and its tuning."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from random_scenarios import random_tape, seeds
from small_systems import copies, random_system

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.stages.policies import tuned_lyapunov as tuning
from edgelearn_env.baselines.stages.policies.lyapunov import Lyapunov
from edgelearn_env.baselines.stages.policies.priced_round import hardware_now, priced_finetune_round, priced_parts
from edgelearn_env.baselines.stages.policies.tuned_lyapunov import tuned_lyapunov
from edgelearn_env.baselines.two_stage.ladder import LADDER
from edgelearn_env.baselines.two_stage.policies.equal_split import tuned_equal_split
from edgelearn_env.model import Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state, pretrain_round
from edgelearn_env.tapes.seeds import VALIDATION, tuning_seeds
from edgelearn_env.tapes.tape import Conditions, Tape, sample_tape
from edgelearn_env.trajectory import rollout

AMPLE = {"battery_initial_j": 1e3, "battery_capacity_j": 1e3}


def lyapunov(
    scenario: Scenario, num_pretrain=2, num_finetune=6, second=0.1, joule=0.5, participation=30.0, **choices
) -> Lyapunov:
    return Lyapunov(
        constants=constants_of(scenario),
        num_pretrain_rounds=num_pretrain,
        num_finetune_rounds=num_finetune,
        second_price=second,
        joule_price=joule,
        participation_price=participation,
        **choices,
    )


def finetuning(scenario: Scenario, done, elapsed_s, spent_j, battery_j=None) -> Observed:
    """One episode after `done` fine-tuning rounds."""
    state = initial_state(constants_of(scenario), 1)
    each = np.ones_like(state.battery_j)
    state = state._replace(
        finetuning=np.ones(1, dtype=bool),
        elapsed_s=np.full(1, float(elapsed_s)),
        spent_j=np.full(1, float(spent_j)),
        battery_j=state.battery_j if battery_j is None else battery_j * each,
        bound_terms=state.bound_terms._replace(num_finetune_rounds=np.full(1, float(done))),
    )
    return Observed(state, Conditions(1e-9 * each, 0.005 * each))


def cost_of_pretraining(scenario: Scenario, policy: Lyapunov):
    """Seconds and joules of its M rounds, played."""
    scenario = scenario.replace(energy=AMPLE)
    played = rollout(scenario, sample_tape(scenario, VALIDATION), policy)
    before = played.outcomes.server_j[0] > 0
    return np.sum(played.outcomes.duration_s[0, before]), np.sum(played.outcomes.server_j[0])


# Queues and prices.


@pytest.mark.parametrize("name", ["delay", "energy"])
def test_a_queue_stands_still_at_the_even_rate_and_rises_by_what_is_used_beyond_it(tiny, name):
    policy, budgets = lyapunov(tiny), tiny.budgets
    used_s, used_j = cost_of_pretraining(tiny, policy)
    assert 0.1 < used_s < 10
    assert 0.1 < used_j < 6
    worth = 0.1 * budgets.delay_s + 0.5 * budgets.energy_j
    first = 2.0 * (0.1 * budgets.delay_s if name == "delay" else 0.5 * budgets.energy_j) / worth
    for done in (0, 2, 3, 6, 9):
        share = min(done / 6, 1.0)
        even_s, even_j = used_s + share * (budgets.delay_s - used_s), used_j + share * (budgets.energy_j - used_j)
        for ahead in (-0.1, 0.0, 0.2):
            queues = policy.queues(finetuning(tiny, done, even_s + ahead * 15.0, even_j + ahead * 8.0))
            np.testing.assert_allclose(getattr(queues, name), first + ahead)


def test_queues_stand_still_while_pretraining(tiny):
    policy = lyapunov(tiny)
    state = initial_state(policy.constants, 1)
    start = finetuning(tiny, 0, *cost_of_pretraining(tiny, policy))
    for elapsed_s in (0.0, 5.0):
        queues = policy.queues(start._replace(state=state._replace(elapsed_s=np.full(1, elapsed_s))))
        np.testing.assert_allclose(queues.delay, policy.queues(start).delay)
        np.testing.assert_allclose(queues.energy, policy.queues(start).energy)


def test_on_schedule_a_second_and_a_joule_cost_what_they_were_given_to_cost(tiny):
    for weight in (0.5, 2.0):
        policy = lyapunov(tiny.replace(energy=AMPLE), weight=weight)
        prices = policy.round_prices(finetuning(tiny, 0, *cost_of_pretraining(tiny, policy), battery_j=2e3))
        np.testing.assert_allclose(prices.second, 0.1)
        np.testing.assert_allclose(prices.joule, np.full((1, 3), 0.5))
        np.testing.assert_allclose(prices.noise, tiny.gradient_noise_weight)
        # Of a participation of 1, a third each.
        np.testing.assert_allclose(prices.gain, np.full((1, 3), 30.0 / 3))


def test_prices_rise_with_their_queues_and_the_more_so_the_less_the_penalty_weighs(tiny):
    rises = []
    for weight in (1.0, 4.0):
        policy = lyapunov(tiny, weight=weight)
        even, late, dear = (
            policy.round_prices(finetuning(tiny, 3, *used, battery_j=0.6))
            for used in ((9.0, 5.0), (11.0, 5.0), (9.0, 6.5))
        )
        assert late.second[0] > even.second[0]
        np.testing.assert_array_equal(late.joule, even.joule)
        assert np.all(dear.joule > even.joule)
        np.testing.assert_array_equal(dear.second, even.second)
        rises.append(late.second[0] - even.second[0])
    np.testing.assert_allclose(rises[0], 4 * rises[1])


def test_a_device_whose_battery_is_behind_pays_more_for_its_joules_and_spends_less(tiny):
    policy = lyapunov(tiny)
    full = finetuning(tiny, 3, 9.0, 5.0, battery_j=0.5)
    behind = finetuning(tiny, 3, 9.0, 5.0, battery_j=np.array([0.5, 0.08, 0.5]))
    dearer = policy.round_prices(behind).joule > policy.round_prices(full).joule
    np.testing.assert_array_equal(dearer, [[False, True, False]])
    batches = [
        priced_finetune_round(policy.constants, at, policy.round_prices(at), hardware_now(policy.constants, at)).batch[
            0, 1
        ]
        for at in (full, behind)
    ]
    assert batches[1] < batches[0]


def test_a_battery_is_let_out_as_rounds_are_done_but_for_a_reserve(tiny):
    policy = lyapunov(tiny)
    backlogs = [policy.queues(finetuning(tiny, done, 9.0, 5.0, battery_j=0.02)).batteries[0] for done in range(8)]
    assert np.all(np.diff(backlogs[:7], axis=0) < 0)
    np.testing.assert_array_equal(backlogs[7], backlogs[6])
    # 5 % of 0.6 J, of which 0.02 J are there.
    np.testing.assert_allclose(backlogs[6], (0.03 - 0.02) / 0.6)


# Rounds.


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_no_other_pretraining_round_is_cheaper_at_its_prices(tiny, objective):
    scenario = tiny.replace(energy=AMPLE, learning={"objective": objective})
    policy = lyapunov(scenario, num_pretrain=4, second=1.0, joule=3.0)
    played = rollout(scenario, sample_tape(scenario, VALIDATION), policy).allocations
    one = scenario.bound.quotient_form(1)
    batch, freq_hz = (array.ravel() for array in np.meshgrid(np.arange(1, 513), np.geomspace(0.3e9, 3e9, 300)))
    for m in range(4):
        noise = one.pretrain_weight / one.finetune_weight * one.pretrain_decay ** (3 - m)

        def cost(batch, freq_hz, weight=noise):
            allocation = mapped(lambda array: np.repeat(array[0, :1], len(batch), axis=0), played)
            seconds, joules = pretrain_round(
                policy.constants, allocation._replace(server_batch=batch * 1.0, server_freq_hz=freq_hz)
            )
            return weight / batch + 1.0 * seconds + 3.0 * joules

        chosen = cost(played.server_batch[0, m : m + 1], played.server_freq_hz[0, m : m + 1])[0]
        assert not played.switch[0, m]
        assert 1 < played.server_batch[0, m] < 512
        assert chosen <= np.min(cost(batch, freq_hz)) * (1 + 1e-3)
    assert played.switch[0, 4]


def test_a_device_in_a_deep_fade_is_silent_for_as_long_as_it_lasts(tiny):
    scenario = tiny.replace(energy=AMPLE, budgets={"delay_s": 60.0, "energy_j": 60.0})
    shape = (scenario.budgets.max_rounds, 3)
    gain = np.full(shape, 1e-9)
    gain[3:6, 1], gain[4, :] = 1e-16, 0.0
    played = rollout(scenario, Tape(gain, np.zeros(shape)), lyapunov(scenario, num_pretrain=2))
    part = played.outcomes.devices.participates[0]
    np.testing.assert_array_equal(part[2:7], [[1, 1, 1], [1, 0, 1], [0, 0, 0], [1, 0, 1], [1, 1, 1]])
    # Nobody is waited for: a round without the second device is no longer, and one of nobody is an idle one.
    duration_s = played.outcomes.duration_s[0]
    assert duration_s[3] <= duration_s[2] * (1 + 1e-3)
    assert duration_s[4] == scenario.radio.idle_s


def test_the_more_participation_is_worth_the_more_devices_take_part(tiny):
    scenario = tiny.replace(energy=AMPLE, budgets={"delay_s": 1e3, "energy_j": 1e3})
    observed = finetuning(scenario, 0, 0.0, 0.0, battery_j=1e3)
    gain = np.array([[1e-9, 3e-14, 1e-14]])
    observed = observed._replace(conditions=observed.conditions._replace(channel_gain=gain))
    count = [
        np.sum(lyapunov(scenario, num_pretrain=0, second=0.3, participation=worth)(observed).batch >= 1)
        for worth in (0.3, 3.0, 10.0, 100.0)
    ]
    assert np.all(np.diff(count) >= 0)
    assert count[0] <= 1
    assert count[-1] == 3


def test_a_pretraining_round_that_does_not_fit_gives_way_to_fine_tuning(tiny):
    scenario = tiny.replace(energy=AMPLE, budgets={"delay_s": 3.0})
    shape = (scenario.budgets.max_rounds, 3)
    played = rollout(scenario, Tape(np.full(shape, 1e-8), np.zeros(shape)), lyapunov(scenario, num_pretrain=29))
    assert 2 < played.num_pretrain_rounds[0] < 29
    assert played.num_finetune_rounds[0] >= 1


def test_every_round_in_which_anybody_takes_part_is_counted_with_all_who_are_given_a_batch():
    silent, asked_for = 0, 0
    for seed in range(15):
        scenario, tape = random_system(seed, longest=10)
        played = rollout(scenario, tape, lyapunov(scenario, num_pretrain=1, num_finetune=5))
        tuned = played.allocations.switch[0]
        asked = played.allocations.batch[0, tuned] >= 1
        anybody = np.any(asked, axis=1)
        assert np.all(played.outcomes.counted[0, tuned][anybody])
        np.testing.assert_array_equal(played.outcomes.devices.participates[0, tuned][anybody], asked[anybody])
        asked_for, silent = asked_for + np.sum(asked), silent + np.sum(~asked)
    assert asked_for > 50
    assert silent > 10


# Episodes.


def test_an_episode_is_played_the_same_alone_and_in_a_batch():
    for seed in range(3):
        scenario, _ = random_system(seed, longest=12)
        tapes = [sample_tape(scenario, i) for i in range(4)]
        rounds, prices = np.array([[0, 1], [2, 3], [1, 9], [5, 2]]), np.geomspace(0.01, 10.0, 4)
        together = rollout(scenario, Tape.stack(tapes), lyapunov(scenario, rounds[:, 0], rounds[:, 1], prices, prices))
        for i, tape in enumerate(tapes):
            num_pretrain, num_finetune = rounds[i].tolist()
            price = float(prices[i])
            alone = rollout(scenario, tape, lyapunov(scenario, num_pretrain, num_finetune, price, price))
            T = alone.outcomes.counted.shape[1]
            for batched, single in zip(together.allocations, alone.allocations, strict=True):
                np.testing.assert_array_equal(batched[i, :T], single[0])


def test_it_does_not_see_the_future():
    changed = 0
    for seed in range(8):
        scenario, tape = random_system(seed, longest=12)
        rng = np.random.default_rng(seed)
        t = int(rng.integers(0, scenario.budgets.max_rounds))
        other = mapped(np.copy, tape)
        for array, new in zip(other[:2], random_tape(rng, scenario), strict=False):
            array[t + 1 :] = 3 * new[t + 1 :]
        first, second = (rollout(scenario, future, lyapunov(scenario)) for future in (tape, other))
        for one, another in zip(first.allocations, second.allocations, strict=True):
            np.testing.assert_array_equal(one[:, : t + 1], another[:, : t + 1])
        changed += first.objective[0] != second.objective[0]
    assert changed >= 1


@given(seeds)
@settings(max_examples=3)
def test_every_system_can_be_tuned_for_and_played(seed):
    scenario, tape = random_system(seed, shortest=1, longest=10)
    # The rollout itself refuses what is no number or beyond the scenario's limits.
    played = rollout(scenario, copies(tape, 2), tuned_lyapunov(scenario))
    assert np.all(played.final_state.ended)
    assert np.all(np.isfinite(played.objective))


@pytest.mark.parametrize("gain", [0.0, 1e-30, 1e-3])
def test_channels_without_gain_and_with_any_gain_are_played_without_a_warning(tiny, gain):
    shape = (tiny.budgets.max_rounds, 3)
    played = rollout(tiny, Tape(np.full(shape, gain), np.full(shape, 0.01)), lyapunov(tiny, num_pretrain=0))
    assert played.num_finetune_rounds[0] > 0
    assert np.any(played.outcomes.devices.participates) == (gain == 1e-3)


# Tuning.


@pytest.fixture(scope="module")
def tuned() -> Lyapunov:
    return tuned_lyapunov(Scenario.from_toml(Path(__file__).parents[3] / "tiny.toml"))


def test_tuned_it_is_better_than_the_tuned_equal_split_on_fresh_tapes(tiny, tuned):
    tapes = Tape.stack([sample_tape(tiny, VALIDATION + i) for i in range(30)])
    log, equal = (
        np.mean(np.log(rollout(tiny, tapes, policy).objective)) for policy in (tuned, tuned_equal_split(tiny))
    )
    assert log < equal - 0.05


def test_tuning_is_deterministic_and_on_tuning_tapes_only(tiny, tuned, monkeypatch):
    drawn = []

    def recorded(scenario, seed):
        drawn.append(seed)
        return sample_tape(scenario, seed)

    monkeypatch.setattr(tuning, "sample_tape", recorded)
    second = tuned_lyapunov(tiny)
    assert set(drawn) <= set(tuning_seeds(1000))
    assert drawn
    for name in ("num_pretrain_rounds", "num_finetune_rounds", "second_price", "joule_price", "participation_price"):
        np.testing.assert_array_equal(getattr(tuned, name), getattr(second, name))


def test_the_tuned_numbers_of_rounds_are_no_worse_than_others_at_the_prices_of_the_static_design(tiny, tuned):
    tapes = Tape.stack([sample_tape(tiny, seed) for seed in tuning_seeds(32)])
    pairs = np.array([(m, n) for m in (0, 4, 9, 15, 22) for n in (1, 3, 6, 15) if m + n <= 30])
    best = np.mean(np.log(rollout(tiny, tapes, tuned).objective))
    assert np.all(tuning._mean_log_objective(tiny, Lyapunov, tuning.Design(tiny, 1.0), tapes, pairs) >= best - 0.02)


def test_finer_grids_find_numbers_of_rounds_between_those_of_the_first(tiny, monkeypatch):
    sought = np.array([10, 6])
    monkeypatch.setattr(
        tuning, "_mean_log_objective", lambda scenario, kind, design, tapes, pairs: np.abs(pairs - sought).sum(axis=1)
    )
    tuned = tuned_lyapunov(tiny)
    found = np.array([tuned.num_pretrain_rounds[0], tuned.num_finetune_rounds[0]])
    centre = np.full(2, 0.5 * np.log(31))
    first = tuning._pairs(centre, centre[0] * np.linspace(-1, 1, tuning._GRIDS[0][0]), 30)
    assert np.sum(np.abs(found - sought)) < np.min(np.abs(first - sought).sum(axis=1))
    # The last grid tells numbers apart that differ by a seventh.
    assert np.all(np.abs(np.log1p(found) - np.log1p(sought)) < 1 / 7)


def test_at_its_first_prices_the_rounds_take_up_both_budgets_on_an_average_channel(tiny):
    scenario = tiny.replace(energy=AMPLE)
    (second, joule, participation), *_ = tuning._static_prices(
        scenario, tuning.Design(scenario, 1.0), np.array([[12, 6]])
    )
    policy = lyapunov(scenario, 12, 6, second, joule, participation)
    before_s, before_j = cost_of_pretraining(scenario, policy)
    observed = finetuning(scenario, 0, before_s, before_j, battery_j=2e3)
    observed = observed._replace(conditions=observed.conditions._replace(channel_gain=scenario.mean_channel_gain[None]))
    hardware = hardware_now(policy.constants, observed)
    parts = priced_parts(policy.constants, observed, policy.round_prices(observed), hardware)
    round_s, round_j = np.max(parts.finish_s) + scenario.radio.downlink_s, np.sum(parts.energy_j)
    np.testing.assert_allclose(before_s + 6 * round_s, scenario.budgets.delay_s, rtol=0.02)
    np.testing.assert_allclose(
        before_j + 6 * (round_j + scenario.radio.downlink_j), scenario.budgets.energy_j, rtol=0.02
    )


def test_prices_of_rounds_that_do_not_fit_are_high_but_finite(tiny):
    scenario = tiny.replace(budgets={"delay_s": 2.0, "energy_j": 0.5})
    fitting, beyond = tuning._static_prices(scenario, tuning.Design(scenario, 1.0), np.array([[1, 2], [10, 20]]))
    assert np.all(np.isfinite(beyond))
    assert np.sum(beyond) > np.sum(fitting)


def test_the_ladder_has_it_between_the_myopic_and_the_planning_policy():
    names = list(LADDER)
    assert names.index("myopic") < names.index("lyapunov") < names.index("mpc")
