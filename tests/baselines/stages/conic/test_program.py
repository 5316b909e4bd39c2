"""The conic program against the dynamics themselves: nothing that can be played is better, and a search comes close.

The search samples allocations around the best playable ones, through the one `step`, and knows nothing of cones.
"""

import dataclasses

import numpy as np
import pytest
from small_systems import copies, planned, random_participants, random_system

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.stages.model.plan_from_times import plan_from_times
from edgelearn_env.baselines.stages.model.planned_episode import Batches, PlannedEpisode, PlanStart
from edgelearn_env.baselines.stages.model.restriction import Restriction
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import rollout

# What the program's margins and tolerances may make it worse than the best that can be played.
ACCURACY = 1e-5


def solved_value(episode) -> float:
    """Phi of the program's batch sizes."""
    solution = EpisodeProgram(episode).solve()
    assert solution is not None
    return episode.learning_bound(solution.times.server_batch, solution.times.batch)


def scripted(participates, num_pretrain, limits, choices):
    """A policy that plays (B, choices) numbers between 0 and 1, in order, then asks for what cannot be counted.

    Args:
        participates: who is given a batch in each fine-tuning round, (N, K).
        num_pretrain: M.
        limits: low and high ends of (f_s, b_s) and of (f, p, b), the latter arrays (3, K).
        choices: 2 numbers a pre-training round and 3 K a fine-tuning round.
    """
    (server_low, server_high), (low, high) = limits
    B, (N, K), split = len(choices), participates.shape, 2 * num_pretrain
    server = server_low * (server_high / server_low) ** choices[:, :split].reshape(B, num_pretrain, 2)
    devices = low * (high / low) ** choices[:, split:].reshape(B, N, 3, K)
    devices[:, :, 2] *= participates

    def decide(observed):
        t = observed.state.round_index
        episode, over = np.arange(B), t >= num_pretrain + N
        first = np.broadcast_to(server_low, (B, 2))
        of_server = server[episode, np.minimum(t, num_pretrain - 1)] if num_pretrain else first
        tuning = np.clip(t - num_pretrain, 0, max(N - 1, 0))
        of_devices = devices[episode, tuning] if N else np.broadcast_to(low, (B, 3, K))
        power_w = np.where(over[:, None], 1e-15 * high[1], of_devices[:, 1])
        batch = np.where(over[:, None], 1.0, of_devices[:, 2])
        return Allocation(t >= num_pretrain, of_server[:, 0], of_server[:, 1], of_devices[:, 0], power_w, batch)

    return decide


def searched_value(episode: PlannedEpisode, rng) -> float:
    """The least Phi of any way to play an episode that a random search finds; batch sizes are real numbers."""
    scenario, (M, (N, K)) = episode.scenario, (episode.num_pretrain_rounds, episode.participates.shape)
    server, devices = scenario.server, scenario.devices
    limits = (
        np.array([[server.freq_min_hz, 1.0], [server.freq_max_hz, server.batch_max]]),
        np.array(
            [
                [devices.freq_min_hz, 1e-7 * devices.power_max_w, np.ones(K)],
                [devices.freq_max_hz, devices.power_max_w, devices.batch_max],
            ]
        ),
    )
    size, B = 2 * M + 3 * K * N, 500
    best, kept = np.full((20, size), 0.5), np.full(20, np.inf)
    tapes = copies(episode.tape, B)
    for generation in range(80):
        spread = 0.5 * 0.89**generation
        steps = spread * rng.normal(size=(B, size)) * (rng.random((B, size)) < max(0.3, 1.5 / size))
        choices = np.clip(best[rng.integers(len(best), size=B)] + steps, 0.0, 1.0)
        if generation == 0:
            choices = np.vstack([rng.random((B - 1, size)), np.zeros((1, size))])
        played = rollout(scenario, tapes, scripted(episode.participates, M, limits, choices))
        agreed = as_planned(played, episode)
        objective = np.where(agreed == 1, played.objective, 1e9 - 1e6 * agreed)
        every, merit = np.vstack([best, choices]), np.append(kept, objective)
        order = np.argsort(merit, kind="stable")[: len(best)]
        best, kept = every[order], merit[order]
    return float(kept[0])


def as_planned(played, episode) -> np.ndarray:
    """The share of the planned rounds that were counted with those devices that are to take part, (B,)."""
    M, (N, K) = episode.num_pretrain_rounds, episode.participates.shape
    took_part = np.zeros((len(played.objective), M + N, K), dtype=bool)
    counted = np.zeros(took_part.shape[:2], dtype=bool)
    length = min(M + N, played.outcomes.counted.shape[1])
    took_part[:, :length] = played.outcomes.devices.participates[:, :length]
    counted[:, :length] = played.outcomes.counted[:, :length]
    planned_part = np.concatenate([np.zeros((M, K), dtype=bool), episode.participates])
    share: np.ndarray = np.mean(counted[:, :, None] & (took_part == planned_part), axis=(1, 2))
    return share


def assert_nothing_beats_the_program_and_a_search_comes_close(sizes, batteries, closeness, count, seed, silent=0.0):
    """For `count` random systems with (K, M, N) = `sizes`, drawn from `seed` on; some devices are silent."""
    num_devices, num_pretrain, num_finetune = sizes
    while count:
        seed += 1
        scenario, tape = random_system(seed, num_devices=num_devices, batteries=batteries)
        rng = np.random.default_rng(seed)
        participates = random_participants(rng, (num_finetune, num_devices), silent)
        episode = planned(scenario, tape, num_pretrain, num_finetune, participates)
        if EpisodeProgram(episode).solve() is None:
            continue
        value, least = solved_value(episode), searched_value(episode, rng)
        assert least >= value * (1 - ACCURACY)
        assert least <= value * (1 + closeness)
        count -= 1


SIZES = [
    ((1, 0, 1), 2e-4),
    ((1, 1, 0), 1e-4),
    ((1, 2, 0), 1e-3),
    ((1, 1, 1), 2e-3),
    ((1, 0, 2), 5e-3),
    ((2, 1, 2), 3e-2),
]


# Of each number of rounds and devices, the batteries that matter to it.
CASES = [
    ((1, 1, 0), "ample"),
    ((1, 2, 0), "ample"),
    ((1, 1, 1), "binding"),
    ((2, 1, 2), "binding"),
    *(((1, 0, N), batteries) for N, batteries in ((1, "starved"), (2, "ample"), (2, "binding"), (2, "starved"))),
]


@pytest.mark.parametrize(("sizes", "batteries"), CASES, ids=str)
def test_a_search_through_the_dynamics_never_beats_the_program_and_comes_close(sizes, batteries):
    closeness = dict(SIZES)[sizes]
    assert_nothing_beats_the_program_and_a_search_comes_close(sizes, batteries, closeness, count=1, seed=0)


@pytest.mark.parametrize("batteries", ["ample", "binding"])
def test_where_devices_are_silent_a_search_never_beats_the_program_and_comes_close(batteries):
    assert_nothing_beats_the_program_and_a_search_comes_close((2, 0, 2), batteries, 3e-2, count=1, seed=20, silent=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("silent", [0.0, 0.5])
@pytest.mark.parametrize("batteries", ["ample", "binding", "starved", "mixed"])
@pytest.mark.parametrize("sizes", [sizes for sizes, _ in SIZES], ids=str)
def test_many_searches_through_the_dynamics_never_beat_the_program(sizes, batteries, silent):
    # Some of these systems leave so little room that a search hardly finds any plan.
    assert_nothing_beats_the_program_and_a_search_comes_close(sizes, batteries, np.inf, 8, 100, silent)


# Cases worked out by hand. One device, or none at work; what does not bind is made ample.


AMPLE = {"battery_initial_j": 1e3, "battery_capacity_j": 1e3}


@pytest.fixture
def single(tiny: Scenario) -> Scenario:
    """The tiny system with its first device only, ample batteries and six rounds."""
    devices = {name: getattr(tiny.devices, name) for name in ("freq_max_hz", "capacitance_j_s2", "distance_m")}
    table = tiny.to_dict()
    table["devices"] |= {"num_devices": 1} | {name: float(value[0]) for name, value in devices.items()}
    for part in ("devices", "radio", "energy", "learning"):
        for name, value in table[part].items():
            if isinstance(value, list):
                table[part][name] = value[0]
    table["learning"]["device_weight"] = 1.0
    table["energy"] |= AMPLE
    table["budgets"] |= {"max_rounds": 6}
    return Scenario.from_dict(table)


def constant_tape(scenario: Scenario, gain: float = 1e-9, harvest_w: float = 0.0) -> Tape:
    shape = (scenario.budgets.max_rounds, scenario.num_devices)
    return Tape(np.full(shape, gain), np.full(shape, harvest_w))


# a_s = 3e7 / 32, kappa_s = 2e-26, rho = 1.2; G_0 = 2.3, mu eta_0 = 0.3, eta_0 delta^2 / 2 = 0.0025,
# L eta_0^2 sigma_0^2 / 2 = 2.5; Phi = 2 G_M / (eta N) with N counted as 1.
SERVER_CYCLES = 3e7 / 32


def phi_after_one_pretraining_round(batch: float) -> float:
    return 2 * (0.7 * 2.3 + 0.0025 + 2.5 / batch) / 0.1


def test_a_pretraining_round_short_of_time_only_runs_at_the_highest_clock(single):
    scenario = single.replace(budgets={"delay_s": 0.1, "energy_j": 1e4})
    times = EpisodeProgram(planned(scenario, constant_tape(scenario), 1, 0)).solve().times
    # b = f_max T / a_s = 3e9 * 0.1 / 937500 = 320 samples.
    assert times.server_s[0] == pytest.approx(0.1, rel=5e-5)
    assert times.server_batch[0] == pytest.approx(320, rel=5e-5)
    assert solved_value(planned(scenario, constant_tape(scenario), 1, 0)) == pytest.approx(
        phi_after_one_pretraining_round(320), rel=1e-6
    )


def test_a_pretraining_round_short_of_energy_only_runs_at_the_lowest_clock(single):
    scenario = single.replace(budgets={"delay_s": 1e3, "energy_j": 0.2}, radio={"downlink_j": 0.0})
    times = EpisodeProgram(planned(scenario, constant_tape(scenario), 1, 0)).solve().times
    # b = E / (rho kappa a f_min^2) = 0.2 / (1.2 * 2e-26 * 937500 * 9e16) = 98.77 samples.
    batch = 0.2 / (1.2 * 2e-26 * SERVER_CYCLES * 9e16)
    assert times.server_batch[0] == pytest.approx(batch, rel=5e-5)
    assert times.server_s[0] == pytest.approx(SERVER_CYCLES * batch / 0.3e9, rel=1e-4)


def test_a_pretraining_round_short_of_time_and_energy_uses_up_both(single):
    scenario = single.replace(budgets={"delay_s": 0.2, "energy_j": 2.0})
    times = EpisodeProgram(planned(scenario, constant_tape(scenario), 1, 0)).solve().times
    # a b / f = T and rho kappa a b f^2 = E, so f = (E / (rho kappa T))^(1/3).
    freq_hz = (2.0 / (1.2 * 2e-26 * 0.2)) ** (1 / 3)
    assert 0.3e9 < freq_hz < 3e9
    assert times.server_batch[0] == pytest.approx(freq_hz * 0.2 / SERVER_CYCLES, rel=5e-5)
    assert times.server_s[0] == pytest.approx(0.2, rel=5e-5)


def test_with_all_it_can_use_every_round_has_the_largest_batch(single):
    scenario = single.replace(budgets={"delay_s": 1e3, "energy_j": 1e4})
    times = EpisodeProgram(planned(scenario, constant_tape(scenario), 1, 2)).solve().times
    assert times.server_batch[0] == pytest.approx(512, rel=5e-5)
    np.testing.assert_allclose(times.batch, 128, rtol=5e-5)
    # Phi = 2 (1.6125 + 2.5 / 512) / (0.1 * 2) + (10 * 0.1 / 2) * 2 * 50 / 128.
    by_hand = 2 * (1.6125 + 2.5 / 512) / 0.2 + 50 / 128
    assert solved_value(planned(scenario, constant_tape(scenario), 1, 2)) == pytest.approx(by_hand, rel=1e-6)


def test_a_finetuning_round_short_of_time_only_computes_and_uploads_as_fast_as_it_can(single):
    scenario = single.replace(budgets={"delay_s": 1.0, "energy_j": 1e4})
    times = EpisodeProgram(planned(scenario, constant_tape(scenario), 0, 1)).solve().times
    # SNR = p g / (N_0 W) at full power; what the upload and the downlink leave is computing at f_max = 1.18 GHz.
    upload_s = 3.2e6 / (1e6 * np.log2(1 + 0.2 * 1e-9 / (1.2589254117941673e-20 * 1e6)))
    assert times.upload_s[0, 0] == pytest.approx(upload_s, rel=1e-4)
    assert times.compute_s[0, 0] == pytest.approx(1.0 - 0.02 - upload_s, rel=5e-5)
    assert times.batch[0, 0] == pytest.approx(1.18e9 * (0.98 - upload_s) / 7.5e6, rel=5e-5)


def test_a_battery_that_is_refilled_pays_twice_for_what_it_holds_once(single):
    # Starved of energy, with all the time it wants, a device computes at the lowest clock and all but whispers: its
    # samples cost kappa a f_min^2 each, its upload N_0 Q ln 2 / g, and nothing is wasted on waiting.
    energy = {"battery_initial_j": 0.02, "battery_capacity_j": 0.02}
    scenario = single.replace(budgets={"delay_s": 1e5, "energy_j": 1e4}, energy=energy)
    upload_j, sample_j = 1.2589254117941673e-20 * 3.2e6 * np.log(2) / 1e-9, 8.7e-28 * 7.5e6 * 1e16
    for harvest_w, num_rounds, available_j in ((0.0, 1, 0.02), (0.0, 2, 0.01), (1.0, 2, 0.02)):
        tape = constant_tape(scenario, harvest_w=harvest_w)
        batch = EpisodeProgram(planned(scenario, tape, 0, num_rounds)).solve().times.batch
        expected = min((available_j - upload_j) / sample_j, 128)
        np.testing.assert_allclose(batch, expected, rtol=2e-4)


def test_pretraining_gives_a_battery_time_to_fill(single):
    # One round of 10 s at most, at the lowest clock by choice: 10 s of 0.5 mW make 5 mJ for the fine-tuning round.
    scenario = single.replace(
        budgets={"delay_s": 1e4, "energy_j": 1e4},
        energy={"battery_initial_j": 0.0, "battery_capacity_j": 0.1},
        server={"freq_min_hz": 48e6, "freq_max_hz": 48e6},
    )
    gain, harvest_w = np.full((6, 1), 1e-9), np.zeros((6, 1))
    harvest_w[0] = 5e-4
    times = EpisodeProgram(planned(scenario, Tape(gain, harvest_w), 1, 1)).solve().times
    # 512 samples take 937500 * 512 / 48e6 = 10 s.
    assert times.server_s[0] == pytest.approx(10.0, rel=1e-4)
    upload_j, sample_j = 1.2589254117941673e-20 * 3.2e6 * np.log(2) / 1e-9, 8.7e-28 * 7.5e6 * 1e16
    assert times.batch[0, 0] == pytest.approx((0.005 - upload_j) / sample_j, rel=1e-3)


def test_rounds_alike_are_planned_alike(tiny):
    scenario = tiny.replace(
        learning={"objective": "two-stage"}, budgets={"delay_s": 3.0, "energy_j": 2.0}, energy=AMPLE
    )
    times = EpisodeProgram(planned(scenario, constant_tape(scenario), 3, 3)).solve().times
    np.testing.assert_allclose(times.server_batch, times.server_batch[0], rtol=1e-3)
    np.testing.assert_allclose(times.batch, np.broadcast_to(times.batch[0], (3, 3)), rtol=1e-3)


def test_a_later_pretraining_round_gets_the_larger_batch_where_earlier_noise_is_forgotten(single):
    scenario = single.replace(budgets={"delay_s": 0.1, "energy_j": 1e4})
    times = EpisodeProgram(planned(scenario, constant_tape(scenario), 2, 0)).solve().times
    # minimise 0.7 / b_0 + 1 / b_1 subject to b_0 + b_1 = 320: b_1 / b_0 = sqrt(1 / 0.7).
    assert times.server_batch[1] / times.server_batch[0] == pytest.approx(np.sqrt(1 / 0.7), rel=1e-3)
    assert np.sum(times.server_batch) == pytest.approx(320, rel=5e-5)


# Devices that are silent.


def random_silence(seed: int, **choices) -> PlannedEpisode:
    """A random episode of one pre-training round and some fine-tuning rounds, in which about half are silent."""
    scenario, tape = random_system(seed, shortest=5, **choices)
    participates = random_participants(np.random.default_rng(seed), (4, scenario.num_devices), 0.5)
    return planned(scenario, tape, 1, 4, participates)


def test_the_channel_of_a_silent_device_changes_nothing():
    compared = 0
    for seed in range(8):
        episode = random_silence(seed)
        if EpisodeProgram(episode).solve() is None:
            continue
        value = solved_value(episode)
        for gain in (0.0, 1.0):
            channel_gain = episode.tape.channel_gain.copy()
            channel_gain[1:5][~episode.participates] = gain
            other = planned(episode.scenario, Tape(channel_gain, episode.tape.harvest_w), 1, 4, episode.participates)
            assert solved_value(other) == pytest.approx(value, rel=2e-5)
        compared += 1
    assert compared >= 5


def test_the_clock_and_the_battery_of_a_device_that_is_always_silent_change_nothing():
    compared = 0
    for seed in range(8):
        scenario, tape = random_system(seed, num_devices=3, shortest=4)
        participates = np.array([[True, True, False]] * 3)
        episode = planned(scenario, tape, 1, 3, participates)
        if EpisodeProgram(episode).solve() is None:
            continue
        value, last = solved_value(episode), np.array([1.0, 1.0, 1e-3])
        energy, devices = scenario.energy, scenario.devices
        other = scenario.replace(
            energy={"battery_initial_j": energy.battery_initial_j * [1, 1, 0]},
            devices={
                "freq_min_hz": devices.freq_min_hz * last,
                "freq_max_hz": devices.freq_max_hz * last,
                "batch_max": [*devices.batch_max[:2].tolist(), 1],
            },
        )
        assert solved_value(planned(other, tape, 1, 3, participates)) == pytest.approx(value, rel=2e-5)
        compared += 1
    assert compared >= 5


def without_last_device(scenario: Scenario) -> Scenario:
    table = scenario.to_dict()
    for part in table.values():
        if isinstance(part, dict):
            part.update({name: value[:-1] for name, value in part.items() if isinstance(value, list)})
    table["devices"]["num_devices"] -= 1
    return Scenario.from_dict(table)


def test_a_device_without_weight_that_is_silent_might_as_well_not_be_there():
    compared = 0
    for seed in range(8):
        scenario, tape = random_system(seed, num_devices=3, shortest=4)
        scenario = scenario.replace(learning={"device_weight": [0.4, 0.6, 0.0]})
        episode = planned(scenario, tape, 1, 3, np.array([[True, True, False]] * 3))
        fewer = planned(without_last_device(scenario), mapped(lambda array: array[:, :2], tape), 1, 3)
        solutions = [EpisodeProgram(each).solve() for each in (episode, fewer)]
        assert (solutions[0] is None) == (solutions[1] is None)
        if solutions[0] is not None:
            assert solved_value(episode) == pytest.approx(solved_value(fewer), rel=2e-5)
            compared += 1
    assert compared >= 5


def test_a_silent_device_that_could_only_whisper_at_its_fixed_power_holds_up_nobody(tiny):
    # At 0.1 mW over 3 km an upload takes two hours, at full power 5 s.
    far = tiny.replace(energy=AMPLE, budgets={"delay_s": 3.0, "energy_j": 1e3}, devices={"distance_m": [112, 78, 3000]})
    values = []
    for last_w in (1e-4, 0.2):
        episode = PlannedEpisode(
            scenario=far,
            tape=constant_tape(far),
            num_pretrain_rounds=0,
            num_finetune_rounds=2,
            given_participates=np.array([[True, True, False]] * 2),
            restriction=Restriction(power_w=np.array([0.2, 0.2, last_w])),
        )
        values.append(solved_value(episode))
    assert values[0] == pytest.approx(values[1], rel=2e-5)


def test_an_idle_round_fills_a_battery_and_takes_its_time(single):
    # 2 s of 2.5 mW make 5 mJ; what is left of 3 s after the idle round is all that the other round may last.
    scenario = single.replace(
        radio={"idle_s": 2.0},
        budgets={"delay_s": 3.0, "energy_j": 1e4},
        energy={"battery_initial_j": 0.0, "battery_capacity_j": 0.1},
    )
    episode = planned(scenario, constant_tape(scenario, 1e-7, 2.5e-3), 0, 2, np.array([[False], [True]]))
    times = EpisodeProgram(episode).solve().times
    assert times.duration_s[0] + 0.02 == pytest.approx(2.0, rel=1e-6)
    assert times.duration_s[1] + 0.02 == pytest.approx(1.0, rel=1e-4)
    upload_j = 1.2589254117941673e-20 * 1e6 / 1e-7 * np.expm1(2.218 / times.upload_s[1, 0]) * times.upload_s[1, 0]
    compute_j = 8.7e-28 * (7.5e6 * times.batch[1, 0]) ** 3 / times.compute_s[1, 0] ** 2
    assert upload_j + compute_j == pytest.approx(0.005, rel=1e-3)


def test_an_idle_round_costs_the_downlink_s_energy(single):
    # Of 0.06 J, three downlinks leave 0.03 J for the only sample-taking round.
    scenario = single.replace(budgets={"delay_s": 1e5, "energy_j": 0.06})
    episode = planned(scenario, constant_tape(scenario), 0, 3, np.array([[False], [False], [True]]))
    batch = EpisodeProgram(episode).solve().times.batch[2, 0]
    upload_j, sample_j = 1.2589254117941673e-20 * 3.2e6 * np.log(2) / 1e-9, 8.7e-28 * 7.5e6 * 1e16
    assert batch == pytest.approx(min((0.03 - upload_j) / sample_j, 128), rel=1e-3)


# Batches that are given.


def test_given_batches_leave_only_the_least_share_of_the_budgets_to_be_found(single):
    # 160 samples at 3 GHz take 0.05 s of 0.2 s; all that they cost is a small share of 1e4 J.
    scenario = single.replace(budgets={"delay_s": 0.2, "energy_j": 1e4})
    episode = given_batches(planned(scenario, constant_tape(scenario), 1, 0), [160.0], np.zeros((0, 1)))
    solution = EpisodeProgram(episode, thrifty=True).solve()
    assert solution.share == pytest.approx(0.25, rel=1e-4)
    assert solution.times.server_batch == pytest.approx(160.0, rel=1e-6)


def given_batches(episode: PlannedEpisode, server, devices) -> PlannedEpisode:
    return dataclasses.replace(episode, given_batches=Batches(np.array(server), np.array(devices, dtype=float)))


@pytest.mark.parametrize(("batch", "fits"), [(1.001, False), (0.999, True)])
def test_a_share_above_one_proves_that_given_batches_are_too_large(single, batch, fits):
    scenario = single.replace(budgets={"delay_s": 1.0, "energy_j": 1e4})
    episode = planned(scenario, constant_tape(scenario), 0, 1)
    largest = EpisodeProgram(episode).solve().times.batch
    assert 1 < largest[0, 0] < 128
    solution = EpisodeProgram(given_batches(episode, [], batch * largest), thrifty=True).solve()
    assert (solution.share <= 1) == fits


def test_batches_that_a_program_chose_use_all_of_a_budget():
    compared = 0
    for seed in range(8):
        episode = random_silence(seed, batteries="ample")
        solution = EpisodeProgram(episode).solve()
        if solution is None or episode.fixed_batches is not None:
            continue
        times = solution.times
        largest = np.all(times.server_batch >= episode.scenario.server.batch_max * (1 - 1e-3))
        at_most = episode.scenario.devices.batch_max * (1 - 1e-3)
        if largest and np.all((times.batch >= at_most)[episode.participates]):
            continue
        given = given_batches(episode, times.server_batch, np.maximum(times.batch, 1))
        assert EpisodeProgram(given, thrifty=True).solve().share == pytest.approx(1.0, abs=1e-4)
        compared += 1
    assert compared >= 3


# Episodes that begin elsewhere than at their start.


def test_the_rest_of_an_optimal_plan_is_the_optimal_plan_of_the_rest():
    checked = 0
    for seed in range(10):
        scenario, tape = random_system(seed, shortest=5)
        participates = random_participants(np.random.default_rng(seed), (3, scenario.num_devices), 0.3)
        whole = planned(scenario, tape, 2, 3, participates)
        if (solution := EpisodeProgram(whole).solve()) is None:
            continue
        played = rollout(scenario, tape, plan_from_times(whole, solution.times))
        for done in (1, 2, 3):
            state = mapped(lambda array, t=done: array[0, t], played.observed.state)
            budgets = scenario.budgets
            left = budgets.delay_s - float(state.elapsed_s), budgets.energy_j - float(state.spent_j)
            rest = PlannedEpisode(
                scenario=scenario,
                tape=mapped(lambda array, t=done: array[t:], tape),
                num_pretrain_rounds=max(2 - done, 0),
                num_finetune_rounds=min(5 - done, 3),
                given_participates=participates[max(done - 2, 0) :],
                given_start=PlanStart(*left, state.battery_j, BoundTerms(*map(float, state.bound_terms))),
            )
            assert solved_value(rest) == pytest.approx(played.objective[0], rel=3e-5)
        checked += 1
    assert checked >= 3


# Programs without a solution.


def test_more_rounds_than_the_budgets_allow_have_no_solution_and_the_least_share_says_how_much_they_lack(single):
    scenario = single.replace(budgets={"delay_s": 0.6, "energy_j": 1e4})
    episode = planned(scenario, constant_tape(scenario), 0, 5)
    assert EpisodeProgram(episode).solve() is None
    # Downlinks apart, five rounds of one sample each take so many times what is left.
    upload_s = 3.2e6 / (1e6 * np.log2(1 + 0.2 * 1e-9 / (1.2589254117941673e-20 * 1e6)))
    lacking = 5 * (7.5e6 / 1.18e9 + upload_s) / (0.6 - 5 * 0.02)
    assert lacking > 1
    assert EpisodeProgram(episode, thrifty=True).solve().share == pytest.approx(lacking, rel=1e-4)


def test_no_budget_makes_up_for_a_battery_that_does_not_cover_a_round(single):
    scenario = single.replace(energy={"battery_initial_j": 1e-7, "battery_capacity_j": 1.0})
    for program in ({}, {"thrifty": True}):
        assert EpisodeProgram(planned(scenario, constant_tape(scenario), 0, 1), **program).solve() is None
    # A silent device need not be able to.
    assert EpisodeProgram(planned(scenario, constant_tape(scenario), 1, 1, np.array([[False]]))).solve() is not None


def test_what_can_be_paid_for_is_not_overdrawn():
    for seed in range(6):
        scenario, tape = random_system(seed, batteries="ample")
        episode = planned(scenario, tape, 1, 1)
        overdrawn = EpisodeProgram(episode, overdraft_price=1e4).solve()
        value = episode.learning_bound(overdrawn.times.server_batch, overdrawn.times.batch)
        assert value == pytest.approx(solved_value(episode), rel=2e-5)
