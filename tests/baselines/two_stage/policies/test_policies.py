"""Policies without foresight: the largest round within a share, the equal split, myopic and random play."""

import numpy as np
import pytest
from hypothesis import given
from random_scenarios import random_scenario, random_tape, seeds
from small_systems import copies, random_system

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.baselines.stages.policies.largest_round import largest_finetune_round, largest_pretrain_round
from edgelearn_env.baselines.stages.policies.myopic import Myopic
from edgelearn_env.baselines.two_stage.ladder import LADDER
from edgelearn_env.baselines.two_stage.policies.equal_split import EqualSplit, tuned_equal_split
from edgelearn_env.baselines.two_stage.policies.fixed_plan import average_tape, fixed_plan
from edgelearn_env.model import Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state, pretrain_round
from edgelearn_env.stages.records import Allocation
from edgelearn_env.stages.synchronous import finetune_round
from edgelearn_env.tapes.seeds import tuning_seeds
from edgelearn_env.tapes.tape import Conditions, Tape, sample_tape
from edgelearn_env.trajectory import rollout

# Shares may be passed by this much, relative: rounding.
ROUNDING = 3e-9

AMPLE = {"battery_initial_j": 1e3, "battery_capacity_j": 1e3}


def lowest(scenario: Scenario, B: int) -> Allocation:
    """The least of everything, to be changed in part."""
    server, devices, K = scenario.server, scenario.devices, scenario.num_devices
    each = np.ones((B, K))
    return Allocation(
        np.ones(B, dtype=bool),
        np.full(B, server.freq_min_hz),
        np.ones(B),
        each * devices.freq_min_hz,
        each * devices.power_max_w,
        each,
    )


def fits(batch, seconds, joules, cycles, capacitance, freq_min_hz, freq_max_hz):
    """Whether some clock computes a batch within a time and an energy."""
    with np.errstate(divide="ignore", invalid="ignore"):
        slowest = np.maximum(cycles * batch / np.maximum(seconds, 0), freq_min_hz)
        fastest = np.minimum(np.sqrt(np.maximum(joules, 0) / (capacitance * cycles * batch)), freq_max_hz)
    return slowest <= fastest


# The largest round.


@given(seeds)
def test_the_largest_pretraining_round_fits_its_share_and_one_sample_more_would_not(seed):
    rng, B = np.random.default_rng(seed), 40
    system = constants_of(scenario := random_scenario(rng))
    server, a = scenario.server, scenario.server_cycles_per_sample
    duration_s = scenario.budgets.delay_s * 10 ** rng.uniform(-5, 0, B)
    energy_j = scenario.budgets.energy_j * 10 ** rng.uniform(-5, 0, B)
    chosen = largest_pretrain_round(system, duration_s, energy_j)
    np.testing.assert_array_equal(chosen.batch, np.round(chosen.batch))
    assert np.all((chosen.batch >= 1) & (chosen.batch <= server.batch_max))
    assert np.all((chosen.freq_hz >= server.freq_min_hz) & (chosen.freq_hz <= server.freq_max_hz))

    allocation = lowest(scenario, B)._replace(server_freq_hz=chosen.freq_hz, server_batch=chosen.batch)
    seconds, joules = pretrain_round(system, allocation)
    capacitance = server.overhead_factor * server.capacitance_j_s2
    limits = (a, capacitance, server.freq_min_hz, server.freq_max_hz)
    # Where not even one sample fits, one is taken all the same.
    possible = fits(1, duration_s * (1 - 1e-8), energy_j * (1 - 1e-8), *limits)
    assert np.all(seconds[possible] <= duration_s[possible] * (1 + ROUNDING))
    assert np.all(joules[possible] <= energy_j[possible] * (1 + ROUNDING))
    more = fits(chosen.batch + 1, duration_s * (1 - 1e-8), energy_j * (1 - 1e-8), *limits)
    assert not np.any(more & (chosen.batch < server.batch_max))


def observed_at_start(rng, scenario, tape, B):
    """Episodes before their first round, with batteries anywhere and the conditions of any round."""
    state = initial_state(constants_of(scenario), B)
    conditions = Tape.stack([tape] * B).conditions(rng.integers(0, scenario.budgets.max_rounds, B))
    battery_j = rng.random(state.battery_j.shape) * scenario.energy.battery_capacity_j
    return Observed(state._replace(battery_j=battery_j), conditions)


@given(seeds)
def test_the_largest_finetuning_round_fits_its_share_and_one_sample_more_would_not_at_any_power_tried(seed):
    rng, B = np.random.default_rng(seed), 20
    system = constants_of(scenario := random_scenario(rng))
    devices, radio = scenario.devices, scenario.radio
    observed = observed_at_start(rng, scenario, random_tape(rng, scenario), B)
    duration_s = scenario.budgets.delay_s * 10 ** rng.uniform(-3, 0, B)
    energy_j = np.minimum(scenario.budgets.energy_j, scenario.energy.battery_capacity_j) * 10 ** rng.uniform(
        -3, 0, (B, scenario.num_devices)
    )
    chosen = largest_finetune_round(system, observed, duration_s, energy_j)
    np.testing.assert_array_equal(chosen.batch, np.round(chosen.batch))
    assert np.all((chosen.batch >= 0) & (chosen.batch <= devices.batch_max))
    assert np.all((chosen.freq_hz >= devices.freq_min_hz) & (chosen.freq_hz <= devices.freq_max_hz))
    assert np.all((chosen.power_w > 0) & (chosen.power_w <= devices.power_max_w))

    allocation = lowest(scenario, B)._replace(freq_hz=chosen.freq_hz, power_w=chosen.power_w, batch=chosen.batch)
    done = finetune_round(system, observed.state.battery_j, observed.conditions, allocation)
    # Who is given a batch can take part.
    np.testing.assert_array_equal(done.participates, chosen.batch >= 1)
    energy_j = np.minimum(energy_j, observed.state.battery_j)
    limits = (scenario.device_cycles_per_sample, devices.capacitance_j_s2, devices.freq_min_hz, devices.freq_max_hz)
    power_w = np.geomspace(1e-4, 1, 33)[:, None, None] * devices.power_max_w
    power_w = np.maximum(power_w, devices.power_min_w)
    snr = power_w * observed.conditions.channel_gain / (radio.noise_w_per_hz * radio.bandwidth_hz)
    upload_s = scenario.learning.upload_bit / (radio.bandwidth_hz * np.log2(1 + snr))
    seconds, joules = duration_s[:, None] - upload_s, energy_j - power_w * upload_s
    seconds, joules = seconds - 1e-7 * duration_s[:, None], joules - 1e-7 * energy_j
    # And whoever could take a sample at a power tried is given one.
    assert np.all((chosen.batch >= 1) | ~np.any(fits(1, seconds, joules, *limits), axis=0))
    lasted, spent = done.compute_s + done.upload_s, done.compute_j + done.upload_j
    assert np.all(lasted <= duration_s[:, None] * (1 + ROUNDING))
    assert np.all(spent <= energy_j * (1 + ROUNDING))
    more = np.any(fits(chosen.batch + 1, seconds, joules, *limits), axis=0)
    assert not np.any(more & (chosen.batch < devices.batch_max))


def test_a_finer_choice_of_powers_would_allow_hardly_larger_batches(tiny):
    system, devices, radio = constants_of(tiny), tiny.devices, tiny.radio
    gain = np.geomspace(1e-11, 1e-8, 30)[:, None] * np.ones(3)
    observed = Observed(initial_state(system, 30), Conditions(gain, np.zeros((30, 3))))
    duration_s, energy_j = np.full(30, 1.5), np.full((30, 3), 0.05)
    chosen = largest_finetune_round(system, observed, duration_s, energy_j)
    power_w = np.geomspace(1e-5, 1, 4001)[:, None, None] * devices.power_max_w
    upload_s = 3.2e6 / (radio.bandwidth_hz * np.log2(1 + power_w * gain / (radio.noise_w_per_hz * 1e6)))
    limits = (7.5e6, devices.capacitance_j_s2, devices.freq_min_hz, devices.freq_max_hz)
    larger = np.floor(chosen.batch * 1.05) + 2
    assert not np.any(fits(larger, 1.5 - upload_s, 0.05 - power_w * upload_s, *limits))
    assert np.any(chosen.batch > 20)


@pytest.mark.parametrize("short", ["time", "energy", "battery", "gain"])
def test_a_device_for_which_no_sample_fits_is_silent(tiny, short):
    # The second device lacks something in the first episode, nobody in the second.
    lacks = np.array([[1.0, 1e-6, 1.0], [1.0, 1.0, 1.0]])
    state, each = initial_state(constants_of(tiny), 2), np.ones((2, 3))
    battery_j, energy_j = 0.3 * each, 0.1 * each
    gain = 1e-9 * (lacks if short in ("time", "gain") else each)
    if short == "battery":
        battery_j = battery_j * lacks
    if short == "energy":
        energy_j = energy_j * lacks
    observed = Observed(state._replace(battery_j=battery_j), Conditions(gain, 0.0 * each))
    chosen = largest_finetune_round(constants_of(tiny), observed, np.full(2, 1.0), energy_j)
    np.testing.assert_array_equal(chosen.batch >= 1, [[True, False, True], [True, True, True]])
    assert np.all((chosen.freq_hz >= 0.1e9) & (chosen.power_w >= 1e-4) & (chosen.power_w <= 0.2))


# Policies.


def policies_of(scenario: Scenario, num_pretrain=2, num_finetune=3):
    system = constants_of(scenario)
    return {
        "equal": EqualSplit(constants=system, num_pretrain_rounds=num_pretrain, num_finetune_rounds=num_finetune),
        "myopic": Myopic(constants=system),
    }


def constant_tape(scenario: Scenario, gain: float = 1e-9) -> Tape:
    shape = (scenario.budgets.max_rounds, scenario.num_devices)
    return Tape(np.full(shape, gain), np.zeros(shape))


@pytest.mark.parametrize(("num_pretrain", "num_finetune"), [(6, 10), (0, 8), (1, 1), (20, 5)])
@pytest.mark.parametrize("budgets", [{"delay_s": 12.0, "energy_j": 1e3}, {"delay_s": 30.0, "energy_j": 4.0}])
def test_an_equal_split_completes_its_rounds_and_spends_evenly(tiny, num_pretrain, num_finetune, budgets):
    scenario = tiny.replace(energy=AMPLE, budgets=budgets)
    policy = policies_of(scenario, num_pretrain, num_finetune)["equal"]
    played = rollout(scenario, constant_tape(scenario), policy)
    planned = num_pretrain + num_finetune
    assert played.num_pretrain_rounds[0] == num_pretrain
    assert played.num_finetune_rounds[0] >= num_finetune
    duration_s, energy_j = (values[0, :planned] for values in (played.outcomes.duration_s, played.outcomes.energy_j))
    left_s = budgets["delay_s"] - np.concatenate([[0.0], np.cumsum(duration_s)[:-1]])
    left_j = budgets["energy_j"] - np.concatenate([[0.0], np.cumsum(energy_j)[:-1]])
    rounds_left = planned - np.arange(planned)
    # No round takes more than its share of what is left of either budget.
    assert np.all(duration_s <= left_s / rounds_left * (1 + ROUNDING))
    assert np.all(energy_j <= left_j / rounds_left * (1 + ROUNDING))
    largest = np.append(played.allocations.server_batch[0, :num_pretrain], 0).max() == 512
    if not largest:
        used = np.maximum(duration_s / (left_s / rounds_left), energy_j / (left_j / rounds_left))
        full = np.all(played.allocations.batch[0, num_pretrain:planned] == 128, axis=1)
        assert np.all(used[:num_pretrain] > 0.8)
        assert np.all(full | (used[num_pretrain:] > 0.8))


def test_an_equal_split_switches_after_its_last_pretraining_round(tiny):
    scenario = tiny.replace(energy=AMPLE, budgets={"delay_s": 60.0, "energy_j": 60.0})
    played = rollout(scenario, constant_tape(scenario), policies_of(scenario, 4, 5)["equal"])
    np.testing.assert_array_equal(played.allocations.switch[0], np.arange(played.allocations.switch.shape[1]) >= 4)


def test_no_device_of_an_equal_split_spends_more_than_its_share_of_the_battery(tiny):
    scenario = tiny.replace(energy={"battery_initial_j": 0.3, "battery_capacity_j": 0.3, "harvest_mean_w": 0.0})
    played = rollout(scenario, constant_tape(scenario), policies_of(scenario, 0, 5)["equal"])
    devices = played.outcomes.devices
    spent = (devices.compute_j + devices.upload_j)[0, :5]
    battery_j = played.observed.state.battery_j[0, :5]
    assert played.num_finetune_rounds[0] >= 5
    assert np.all(spent <= battery_j / np.arange(5, 0, -1)[:, None] * (1 + ROUNDING))


def test_numbers_of_rounds_may_differ_between_episodes(tiny):
    scenario = tiny.replace(energy=AMPLE)
    tape, pairs = constant_tape(scenario), np.array([[0, 3], [2, 2], [5, 1]])
    together = rollout(scenario, copies(tape, 3), policies_of(scenario, pairs[:, 0], pairs[:, 1])["equal"])
    for i, (num_pretrain, num_finetune) in enumerate(pairs):
        alone = rollout(scenario, tape, policies_of(scenario, int(num_pretrain), int(num_finetune))["equal"])
        assert together.objective[i] == alone.objective[0]
        assert together.num_pretrain_rounds[i] == alone.num_pretrain_rounds[0]


@pytest.mark.parametrize("name", ["equal", "myopic"])
def test_an_episode_is_played_the_same_alone_and_in_a_batch(name):
    for seed in range(6):
        scenario, _ = random_system(seed, longest=12)
        tapes = [sample_tape(scenario, i) for i in range(4)]
        policy = policies_of(scenario)[name]
        # The rollout itself refuses what is beyond the scenario's limits.
        together = rollout(scenario, Tape.stack(tapes), policy)
        for i, tape in enumerate(tapes):
            alone = rollout(scenario, tape, policy)
            T = alone.outcomes.counted.shape[1]
            assert together.objective[i] == alone.objective[0]
            for batched, single in zip(together.allocations, alone.allocations, strict=True):
                np.testing.assert_array_equal(batched[i, :T], single[0])


@pytest.mark.parametrize("name", ["equal", "myopic", "random"])
def test_policies_do_not_see_the_future(name):
    changed = 0
    for seed in range(1, 15):
        scenario, tape = random_system(seed, longest=12)
        rng = np.random.default_rng(seed)
        t = int(rng.integers(0, scenario.budgets.max_rounds))
        other = mapped(np.copy, tape)
        for array, new in zip(other[:2], random_tape(rng, scenario), strict=False):
            array[t + 1 :] = 3 * new[t + 1 :]
        first, second = (
            rollout(scenario, future, (policies_of(scenario) | {"random": RandomPlay(scenario, seed=1)})[name])
            for future in (tape, other)
        )
        for one, another in zip(first.allocations, second.allocations, strict=True):
            np.testing.assert_array_equal(one[:, : t + 1], another[:, : t + 1])
        changed += first.objective[0] != second.objective[0]
    assert changed >= 1


@pytest.mark.parametrize("name", ["equal", "myopic"])
def test_who_is_given_a_batch_takes_part_and_who_cannot_pay_is_not_given_one(name):
    silent = 0
    for seed in range(20):
        scenario, tape = random_system(seed, longest=12)
        played = rollout(scenario, tape, policies_of(scenario)[name])
        tuned = played.outcomes.counted[0] & played.allocations.switch[0]
        asked = played.allocations.batch[0, tuned] >= 1
        np.testing.assert_array_equal(played.outcomes.devices.participates[0, tuned], asked)
        silent += np.sum(~asked)
    assert silent >= 5


@pytest.mark.parametrize("name", ["equal", "myopic"])
def test_a_device_in_a_deep_fade_is_silent_and_the_others_play_on(name, tiny):
    scenario = tiny.replace(energy=AMPLE)
    clear, gain = constant_tape(scenario), np.full((30, 3), 1e-9)
    gain[:, 1] = 1e-16
    faded = rollout(scenario, Tape(gain, clear.harvest_w), policies_of(scenario)[name])
    tuned = faded.outcomes.counted[0] & faded.allocations.switch[0]
    assert np.sum(tuned) >= 2
    np.testing.assert_array_equal(faded.allocations.batch[0, tuned] >= 1, np.tile([True, False, True], (sum(tuned), 1)))
    # Waiting for it would leave no fine-tuning round at all.
    assert (
        faded.objective[0]
        < rollout(scenario, Tape(0 * gain, clear.harvest_w), policies_of(scenario)[name]).objective[0]
    )


def test_myopic_play_beats_random_play_on_nearly_all_systems():
    better = []
    for seed in range(20):
        scenario, tape = random_system(seed, longest=12)
        myopic = rollout(scenario, tape, policies_of(scenario)["myopic"]).objective[0]
        at_random = rollout(scenario, copies(tape, 16), RandomPlay(scenario, seed=seed)).objective
        better.append(myopic <= np.median(at_random) * (1 + 1e-9))
    assert np.mean(better) >= 0.9


def test_myopic_play_of_identical_rounds_spends_its_budgets(tiny):
    scenario = tiny.replace(energy=AMPLE)
    played = rollout(scenario, constant_tape(scenario), policies_of(scenario)["myopic"])
    used_s = played.final_state.elapsed_s[0] / scenario.budgets.delay_s
    used_j = played.final_state.spent_j[0] / scenario.budgets.energy_j
    assert max(used_s, used_j) > 0.85
    assert played.num_pretrain_rounds[0] > 0
    assert played.num_finetune_rounds[0] > 1


def test_myopic_play_asks_for_no_longer_round_than_there_is_time_for(tiny):
    budgets = {"delay_s": 5.0, "energy_j": 1e3, "max_rounds": 200}
    # With so little noise any round more is good.
    scenario = tiny.replace(energy=AMPLE, budgets=budgets, learning={"device_gradient_variance": 0.01})
    played = rollout(scenario, constant_tape(scenario), policies_of(scenario)["myopic"])
    upload_s = 3.2e6 / (1e6 * np.log2(1 + 0.2 * 1e-9 / (scenario.radio.noise_w_per_hz * 1e6)))
    fastest_s = 0.02 + 7.5e6 / 1.30e9 + upload_s
    # It ends when no device can do another round, not before.
    assert scenario.budgets.delay_s - played.final_state.elapsed_s[0] < fastest_s
    assert played.num_finetune_rounds[0] > 0


def test_myopic_play_never_goes_back_to_pretraining():
    for seed in range(10):
        scenario, tape = random_system(seed, longest=12)
        switch = rollout(scenario, tape, policies_of(scenario)["myopic"]).allocations.switch[0]
        assert np.all(np.diff(switch.astype(int)) >= 0)


def test_random_play_is_decided_by_its_seed_and_covers_the_action_space(tiny, tiny_tape):
    first, again, other = (rollout(tiny, copies(tiny_tape, 64), RandomPlay(tiny, seed=seed)) for seed in (1, 1, 2))
    for one, same, different in zip(first.allocations, again.allocations, other.allocations, strict=True):
        np.testing.assert_array_equal(one, same)
        assert one.shape != different.shape or np.any(one != different)
    share = np.log(first.allocations.power_w / tiny.devices.power_min_w) / np.log(
        tiny.devices.power_max_w / tiny.devices.power_min_w
    )
    np.testing.assert_allclose(np.quantile(share, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.06)
    assert 0.3 < np.mean(first.allocations.switch[:, 0]) < 0.7


# Policies that are tuned or designed beforehand.


def test_the_tuned_equal_split_is_no_worse_than_other_numbers_of_rounds(tiny):
    tuned = tuned_equal_split(tiny)
    tapes = [sample_tape(tiny, seed) for seed in tuning_seeds(8)]

    def mean_log(num_pretrain, num_finetune):
        policy = policies_of(tiny, num_pretrain, num_finetune)["equal"]
        return np.mean(np.log(rollout(tiny, Tape.stack(tapes), policy).objective))

    best = mean_log(tuned.num_pretrain_rounds, tuned.num_finetune_rounds)
    for num_pretrain in (0, 1, 4, 9, 15, 22):
        for num_finetune in (1, 3, 8, 15, 22):
            if num_pretrain + num_finetune <= 30:
                assert mean_log(num_pretrain, num_finetune) >= best - 0.02
    again = tuned_equal_split(tiny)
    assert (again.num_pretrain_rounds, again.num_finetune_rounds) == (
        tuned.num_pretrain_rounds,
        tuned.num_finetune_rounds,
    )


@pytest.mark.parametrize("max_rounds", [1, 2, 3])
def test_the_shortest_tapes_can_be_tuned_for(tiny, max_rounds):
    tuned = tuned_equal_split(tiny.replace(budgets={"max_rounds": max_rounds}))
    assert tuned.num_finetune_rounds >= 1
    assert 0 <= tuned.num_pretrain_rounds <= max_rounds - tuned.num_finetune_rounds


def test_the_average_tape_has_mean_gains_and_harvests_in_every_round(tiny):
    tape = average_tape(tiny)
    assert tape.channel_gain.shape == tape.harvest_w.shape == (30, 3)
    np.testing.assert_allclose(tape.channel_gain, np.tile(1e-3 * np.array([112.0, 78.0, 122.0]) ** -3, (30, 1)))
    np.testing.assert_array_equal(tape.harvest_w, np.full((30, 3), 0.005))


def test_the_fixed_plan_plays_the_same_in_whatever_happens():
    for seed in range(5):
        scenario, tape = random_system(seed, batteries="ample")
        plan = fixed_plan(scenario)
        played = rollout(scenario, Tape.stack([tape, average_tape(scenario)]), plan)
        rounds = int(played.outcomes.counted.sum(axis=1).min())
        assert rounds > 0
        for array in played.allocations:
            np.testing.assert_array_equal(array[0, :rounds], array[1, :rounds])


def test_every_rung_of_the_ladder_plays_whole_episodes():
    scenario, tape = random_system(6)
    assert list(LADDER)[:4] == ["random", "fixed", "equal", "myopic"]
    for make in LADDER.values():
        played = rollout(scenario, copies(tape, 3), make(scenario))
        assert np.all(played.final_state.ended)
        assert np.all(np.isfinite(played.objective))
