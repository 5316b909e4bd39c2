"""Bounds for all pairs of round numbers from the multipliers of one, and the pairs that are out of reach."""

import numpy as np
import pytest
from small_systems import copies, many_ways, pairs_of, planned, random_multipliers, random_system

from edgelearn_env.baselines.two_stage.clairvoyant.bounds_of_all_counts import bounds_of_all_counts, prices_along_tape
from edgelearn_env.baselines.two_stage.clairvoyant.reach import within_reach
from edgelearn_env.baselines.two_stage.conic.dual import Multipliers, dual_bound, made_valid
from edgelearn_env.baselines.two_stage.conic.program import EpisodeProgram
from edgelearn_env.baselines.two_stage.model.closed_forms import cheapest_compute, cheapest_upload
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import rollout

# What a solver's rounding may make a value smaller than the least that can be played.
ACCURACY = 2e-5


def solve_all_pairs(scenario, tape):
    """Phi and multipliers of every pair that has a solution."""
    solved = {}
    for pair in pairs_of(scenario.budgets.max_rounds):
        episode = planned(scenario, tape, *pair)
        solution = EpisodeProgram(episode).solve()
        if solution is not None:
            times = solution.times
            solved[pair] = episode.learning_bound(times.server_batch, times.batch), solution.multipliers
    return solved


@pytest.fixture(scope="module")
def solved_systems():
    """Small systems with every pair solved."""
    choices = {
        0: {"objective": "finetune", "batteries": "ample"},
        5: {"objective": "two-stage", "batteries": "binding"},
        6: {"objective": "two-stage", "batteries": "starved"},
        3: {"objective": "finetune", "batteries": "mixed"},
    }
    systems = []
    for seed, choice in choices.items():
        scenario, tape = random_system(seed, shortest=5, longest=5, **choice)
        systems.append((scenario, tape, solve_all_pairs(scenario, tape)))
    assert sum(len(solved) for _, _, solved in systems) >= 40
    return systems


def all_bounds(episode, multipliers):
    every = np.arange(episode.scenario.budgets.max_rounds + 1)
    return bounds_of_all_counts(prices_along_tape(episode, multipliers), every, every)


# Bounds.


def test_bounds_from_any_solved_pair_hold_for_every_pair(solved_systems):
    for scenario, tape, solved in solved_systems:
        for pair, (_, multipliers) in solved.items():
            bounds = all_bounds(planned(scenario, tape, *pair), multipliers)
            assert np.all(np.isfinite(bounds[np.add.outer(np.arange(6), np.arange(6)) <= 5]))
            for other, (value, _) in solved.items():
                assert bounds[other] <= value * (1 + ACCURACY)


def test_a_solved_pair_s_own_bound_is_the_dual_function(solved_systems):
    for scenario, tape, solved in solved_systems:
        for pair, (value, multipliers) in solved.items():
            episode = planned(scenario, tape, *pair)
            own = all_bounds(episode, multipliers)[pair]
            assert own == pytest.approx(dual_bound(episode, multipliers), rel=1e-9, abs=1e-9 * value)


def test_prices_of_played_rounds_are_kept_and_stored_energy_is_worth_as_much_before_them(solved_systems):
    for scenario, tape, solved in solved_systems:
        for (num_pretrain, num_finetune), (_, multipliers) in solved.items():
            episode = planned(scenario, tape, num_pretrain, num_finetune)
            valid = made_valid(multipliers, episode.finetune_harvest_w)
            prices = prices_along_tape(episode, multipliers).multipliers
            assert (prices.time, prices.energy) == (valid.time, valid.energy)
            end = num_pretrain + num_finetune
            for along, own in zip(prices[2:6], valid[2:6], strict=True):
                np.testing.assert_allclose(along[num_pretrain:end], own, rtol=1e-12, atol=1e-300)
            np.testing.assert_array_equal(prices.carry[end:], 0)
            if num_finetune:
                np.testing.assert_array_equal(prices.carry[:num_pretrain], np.tile(valid.carry[0], (num_pretrain, 1)))


def test_devices_finish_together_at_the_prices_of_rounds_that_were_not_played(solved_systems):
    together = []
    for scenario, tape, solved in solved_systems:
        for pair, (_, multipliers) in solved.items():
            episode = planned(scenario, tape, *pair)
            prices = prices_along_tape(episode, multipliers)
            finish, everything = prices.multipliers.finish, prices.episode
            seconds = cheapest_compute(episode.device_noise_price, finish, prices.joule, everything.devices).seconds
            seconds = seconds + cheapest_upload(finish, prices.joule, everything.uplink).seconds
            worth = np.sum(finish, axis=1)
            outside = (np.arange(5) < pair[0]) | (np.arange(5) >= sum(pair))
            mean_s = np.sum(finish * seconds, axis=1) / np.where(worth > 0, worth, 1)
            late = np.sum(finish * np.abs(seconds - mean_s[:, None]), axis=1)
            counted = outside & (worth > 1e-6 * prices.multipliers.time) & (prices.multipliers.time > 0)
            together.extend((late[counted] / (worth * mean_s)[counted]).tolist())
    assert len(together) >= 100
    assert np.median(together) < 0.02


def test_bounds_of_neighbours_are_close_enough_to_prune_most_pairs(solved_systems):
    # The point of the whole construction: from the best pair, most others are ruled out without a solve.
    shares = []
    for scenario, tape, solved in solved_systems:
        best = min(solved, key=lambda pair: solved[pair][0])
        bounds = all_bounds(planned(scenario, tape, *best), solved[best][1])
        others = [pair for pair in pairs_of(5) if pair != best]
        shares.append(np.mean([bounds[pair] >= solved[best][0] for pair in others]))
    assert np.mean(shares) >= 0.9


def test_no_episode_is_below_the_bounds_at_any_multipliers():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scenario, tape = random_system(seed, longest=6)
        played = rollout(scenario, copies(tape, 64), many_ways(rng, scenario, 64, whole=False))
        pairs = played.num_pretrain_rounds.astype(int), played.num_finetune_rounds.astype(int)
        episode = planned(scenario, tape, *pairs_of(scenario.budgets.max_rounds)[seed % 9])
        for _ in range(3):
            bounds = all_bounds(episode, random_multipliers(rng, episode))
            assert np.all(bounds[pairs] <= played.objective * (1 + 1e-12))


@pytest.mark.parametrize("seed", range(30))
def test_every_pair_s_bound_is_the_dual_function_at_the_prices_of_its_own_rounds(seed):
    rng = np.random.default_rng(seed)
    scenario, tape = random_system(seed, shortest=5, longest=7)
    T = scenario.budgets.max_rounds
    episode = planned(scenario, tape, 1, int(rng.integers(1, T)))
    prices = prices_along_tape(episode, random_multipliers(rng, episode))
    every = np.arange(T + 1)
    bounds = bounds_of_all_counts(prices, every, every)
    end_of_prices = 1 + episode.num_finetune_rounds
    for num_pretrain, num_finetune in pairs_of(T):
        rounds = slice(num_pretrain, num_pretrain + num_finetune)
        if num_finetune == 0 and num_pretrain < end_of_prices:
            continue
        if num_finetune and num_pretrain + num_finetune < end_of_prices:
            continue
        # Past the last round with a price of stored energy, nothing is owed for what a battery is left with.
        own = Multipliers(*prices.multipliers[:2], *(array[rounds] for array in prices.multipliers[2:6]))
        by_itself = dual_bound(planned(scenario, tape, num_pretrain, num_finetune), own)
        magnitude = abs(by_itself) + own.time * scenario.budgets.delay_s + own.energy * scenario.budgets.energy_j
        magnitude += np.sum(prices.multipliers.carry * scenario.energy.battery_capacity_j) * T
        assert bounds[num_pretrain, num_finetune] == pytest.approx(by_itself, rel=1e-9, abs=1e-11 * magnitude)


def test_many_pairs_at_once_are_bounded_by_chords_just_below_what_each_gets_alone():
    chords = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        scenario, tape = random_system(seed, shortest=20, longest=20, objective="two-stage", batteries="binding")
        episode = planned(scenario, tape, 8, 8)
        prices = prices_along_tape(episode, random_multipliers(rng, episode))
        every = np.arange(21)
        together = bounds_of_all_counts(prices, every, every)
        for pair in rng.permutation(pairs_of(20))[:40]:
            alone = bounds_of_all_counts(prices, pair[:1], pair[1:])[0, 0]
            magnitude = abs(alone) + abs(together[tuple(pair)])
            assert together[tuple(pair)] <= alone + 1e-12 * magnitude
            assert together[tuple(pair)] >= alone - 1e-2 * magnitude
            chords += together[tuple(pair)] < alone - 1e-9 * magnitude
    assert chords >= 20


def test_pairs_beyond_the_tape_get_infinity(solved_systems):
    scenario, tape, solved = solved_systems[0]
    pair, (_, multipliers) = next(iter(solved.items()))
    bounds = bounds_of_all_counts(
        prices_along_tape(planned(scenario, tape, *pair), multipliers), np.array([0, 3]), np.array([2, 3, 5])
    )
    np.testing.assert_array_equal(np.isinf(bounds), [[False, False, False], [False, True, True]])


def test_bounds_do_not_depend_on_what_else_is_asked_for(solved_systems):
    for scenario, tape, solved in solved_systems[:4]:
        pair, (value, multipliers) = next(iter(solved.items()))
        prices = prices_along_tape(planned(scenario, tape, *pair), multipliers)
        every = np.arange(6)
        whole = bounds_of_all_counts(prices, every, every)
        part = bounds_of_all_counts(prices, every[1:4:2], every[:3])
        np.testing.assert_allclose(part, whole[1:4:2, :3], rtol=1e-9, atol=1e-9 * value)


# Reach.


def test_every_pair_that_has_a_solution_is_within_reach(solved_systems):
    for scenario, tape, solved in solved_systems:
        reach = within_reach(planned(scenario, tape, 0, 5))
        for pair in solved:
            assert reach[pair]


def test_every_pair_that_was_played_is_within_reach():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        scenario, tape = random_system(seed, longest=12)
        reach = within_reach(planned(scenario, tape, 0, scenario.budgets.max_rounds))
        played = rollout(scenario, copies(tape, 32), many_ways(rng, scenario, 32))
        assert np.all(reach[played.num_pretrain_rounds.astype(int), played.num_finetune_rounds.astype(int)])


def test_some_pairs_of_random_systems_are_out_of_reach():
    shares = []
    for seed in range(50):
        scenario, tape = random_system(seed, longest=12)
        reach = within_reach(planned(scenario, tape, 0, scenario.budgets.max_rounds))
        pairs = pairs_of(scenario.budgets.max_rounds)
        shares.append(np.mean([not reach[pair] for pair in pairs]))
    assert 0.02 < np.mean(shares) < 0.5


# Reach by hand: three devices whose clocks are at most 1.18, 1.30 and 0.58 GHz, a = 7.5e6 cycles a sample; a server of
# 0.3 to 3 GHz, a_s = 937500 cycles. What does not matter is ample.
AMPLE = {"battery_initial_j": 1e3, "battery_capacity_j": 1e3}
UNLIMITED = {"delay_s": 1e6, "energy_j": 1e6, "max_rounds": 6}


def reach_of(tiny: Scenario, *, budgets=None, energy=None, harvest_w: float = 0.0, gain: float = 1e-9) -> np.ndarray:
    scenario = tiny.replace(budgets=UNLIMITED | (budgets or {}), energy=AMPLE | (energy or {}))
    tape = Tape(np.full((6, 3), gain), np.full((6, 3), harvest_w))
    return within_reach(planned(scenario, tape, 0, 6))


def least_upload_s(gain: float = 1e-9) -> float:
    return 3.2e6 / (1e6 * np.log2(1 + 0.2 * gain / (1.2589254117941673e-20 * 1e6)))


UPLOAD_J = 1.2589254117941673e-20 * 3.2e6 * np.log(2) / 1e-9
SAMPLE_J = np.array([8.70e-28, 1.50e-27, 8.40e-28]) * 7.5e6 * 0.1e9**2


def test_with_ample_budgets_all_that_fits_on_the_tape_is_within_reach(tiny):
    np.testing.assert_array_equal(reach_of(tiny), np.add.outer(np.arange(7), np.arange(7)) <= 6)


@pytest.mark.parametrize(("margin", "most"), [(1.001, 3), (0.999, 2)])
def test_time_limits_both_kinds_of_rounds(tiny, margin, most):
    finetune_s = 7.5e6 / 0.58e9 + least_upload_s() + 0.02
    reach = reach_of(tiny, budgets={"delay_s": 3 * finetune_s * margin})
    assert np.max(np.flatnonzero(reach[0])) == most
    # A pre-training round of one sample takes 937500 / 3e9 s and is worth adding where there is time for it.
    one_less = reach_of(tiny, budgets={"delay_s": (most * finetune_s + 937500 / 3e9) * margin})
    assert one_less[1, most] == (margin > 1)


@pytest.mark.parametrize(("margin", "most"), [(1.001, 3), (0.999, 2)])
def test_energy_limits_both_kinds_of_rounds(tiny, margin, most):
    finetune_j = np.sum(SAMPLE_J + UPLOAD_J) + 0.01
    reach = reach_of(tiny, budgets={"energy_j": 3 * finetune_j * margin})
    assert np.max(np.flatnonzero(reach[0])) == most
    pretrain_j = 1.2 * 2e-26 * 937500 * 0.3e9**2
    one_more = reach_of(tiny, budgets={"energy_j": (2 * finetune_j + pretrain_j) * margin})
    assert one_more[1, 2] == (margin > 1)


@pytest.mark.parametrize(("margin", "allowed"), [(1.001, True), (0.999, False)])
def test_no_battery_may_be_too_small_for_one_round(tiny, margin, allowed):
    capacity_j = np.max(SAMPLE_J + UPLOAD_J) * margin
    reach = reach_of(tiny, energy={"battery_initial_j": 0.0, "battery_capacity_j": capacity_j}, harvest_w=1.0)
    assert np.any(reach[:, 1:]) == allowed
    assert np.all(reach[:, 0])


@pytest.mark.parametrize(("margin", "most"), [(1.001, 4), (0.999, 3)])
def test_what_is_stored_and_harvested_limits_finetuning(tiny, margin, most):
    stored_j = 4 * np.max(SAMPLE_J + UPLOAD_J) * margin
    reach = reach_of(tiny, energy={"battery_initial_j": stored_j})
    assert np.max(np.flatnonzero(reach[0])) == most
    # The same joules harvested in all the time there is.
    budgets = {"delay_s": 100.0}
    reach = reach_of(tiny, energy={"battery_initial_j": 0.0}, harvest_w=stored_j / 100.0, budgets=budgets)
    assert np.max(np.flatnonzero(reach[0])) == most


def test_a_harvest_that_comes_before_a_round_ends_counts_for_it(tiny):
    scenario = tiny.replace(budgets=UNLIMITED, energy=AMPLE | {"battery_initial_j": 0.0})
    harvest_w = np.zeros((6, 3))
    harvest_w[2] = 1.0
    reach = within_reach(planned(scenario, Tape(np.full((6, 3), 1e-9), harvest_w), 0, 6))
    # Nothing is stored for a fine-tuning round in 0 or 1; in round 2 a device can wait, later ones find it stored.
    np.testing.assert_array_equal(reach[:, 1], [False, False, True, True, True, True, False])


def test_a_blocked_channel_is_played_in_no_finetuning_round(tiny):
    scenario = tiny.replace(budgets=UNLIMITED | {"delay_s": 1e3}, energy=AMPLE)
    gain = np.full((6, 3), 1e-9)
    gain[2, 1] = 1e-30
    reach = within_reach(planned(scenario, Tape(gain, np.zeros((6, 3))), 0, 6))
    for num_pretrain, num_finetune in pairs_of(6):
        meets = num_pretrain <= 2 < num_pretrain + num_finetune
        assert reach[num_pretrain, num_finetune] == (not meets)


# A round that is all but blocked takes so long that, in a sum over rounds, nothing is left of the others' digits.
FADES = [0.0, *10.0 ** -np.arange(10, 36)]


@pytest.mark.parametrize("margin", [1.0001, 0.9999])
def test_a_fade_rules_out_no_other_round(tiny, margin):
    finetune_s = 7.5e6 / 0.58e9 + least_upload_s() + 0.02
    finetune_j = np.sum(SAMPLE_J + UPLOAD_J) + 0.01
    pretrain_s, pretrain_j = 937500 / 3e9, 1.2 * 2e-26 * 937500 * 0.3e9**2
    delay_s, energy_j = pretrain_s + 3 * finetune_s, pretrain_j + 3 * finetune_j
    for limit in ({"delay_s": delay_s * margin}, {"energy_j": energy_j * margin}):
        scenario = tiny.replace(budgets=UNLIMITED | limit, energy=AMPLE)
        for fade in FADES:
            gain = np.full((6, 3), 1e-9)
            gain[0, 1] = fade
            reach = within_reach(planned(scenario, Tape(gain, np.zeros((6, 3))), 0, 6))
            assert reach[1, 2]
            assert reach[1, 3] == (margin > 1)


def test_a_fade_changes_no_bound_of_pairs_without_it():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        scenario, tape = random_system(seed, shortest=6, longest=6)
        multipliers = random_multipliers(rng, planned(scenario, tape, 1, 4))
        every = np.arange(7)
        clear = bounds_of_all_counts(prices_along_tape(planned(scenario, tape, 1, 4), multipliers), every, every)
        for fade in FADES:
            gain = tape.channel_gain.copy()
            gain[0, 0] = fade
            faded = planned(scenario, Tape(gain, tape.harvest_w), 1, 4)
            bounds = bounds_of_all_counts(prices_along_tape(faded, multipliers), every, every)
            np.testing.assert_allclose(bounds[1:], clear[1:], rtol=1e-9)
            assert np.all(np.isfinite(bounds[0]))
