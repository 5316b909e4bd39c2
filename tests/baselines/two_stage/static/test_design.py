"""The static design: equal to brute force and to the conic program, proven, monotone, playable, quick to refuse."""

import numpy as np
import pytest
from random_scenarios import random_scenario
from small_systems import pairs_of

from edgelearn_env import InvalidInputError, Scenario, Tape, rollout
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.model.restriction import Restriction
from edgelearn_env.baselines.stages.static.round_counts import Prices, RoundCounts, solve_pair
from edgelearn_env.baselines.stages.static.rounds import StaticConstants, average_tape
from edgelearn_env.baselines.stages.static.search import pair_bounds
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.baselines.two_stage.static.design import StaticDesign, static_design, with_ample_batteries
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.physics.uplink import uplink_rate_bps, upload_time_s

OBJECTIVES = ("two-stage", "finetune")
PRESETS = ("tiny", "default", "large")


def preset(name: str, objective: str, **parts) -> Scenario:
    parts["learning"] = {"objective": objective} | parts.get("learning", {})
    return Scenario.preset(name).replace(**parts)


def random_system(seed: int, **choices) -> Scenario:
    return random_scenario(np.random.default_rng(seed), **choices)


def usage(design: StaticDesign) -> tuple[float, float]:
    """Time and energy that the design takes, from the model's own equations."""
    scenario, M, N = design.scenario, design.num_pretrain_rounds, design.num_finetune_rounds
    server, devices, radio = scenario.server, scenario.devices, scenario.radio
    cycles = scenario.server_cycles_per_sample
    server_s = np.sum(compute_time_s(cycles, design.server_batch, design.server_freq_hz))
    server_j = compute_energy_j(server.capacitance_j_s2, cycles, design.server_batch, design.server_freq_hz)
    rate = uplink_rate_bps(design.power_w, scenario.mean_channel_gain, radio.bandwidth_hz, radio.noise_w_per_hz)
    upload_s = upload_time_s(scenario.learning.upload_bit, rate)
    cycles = scenario.device_cycles_per_sample
    device_j = compute_energy_j(devices.capacitance_j_s2, cycles, design.batch, design.freq_hz)
    device_j = device_j + design.power_w * upload_s
    finish_s = np.max(compute_time_s(cycles, design.batch, design.freq_hz) + upload_s)
    assert len(design.server_batch) == M
    round_j = np.sum(device_j) + radio.downlink_j
    return server_s + N * (finish_s + radio.downlink_s), server.overhead_factor * np.sum(server_j) + N * round_j


def learning_bound(design: StaticDesign) -> float:
    """Phi of the design's batches."""
    form = design.scenario.bound.quotient_form(design.num_pretrain_rounds).at(design.num_finetune_rounds)
    before_switch = np.arange(design.num_pretrain_rounds)[::-1]
    noise = np.sum(design.scenario.gradient_noise_weight / design.batch) * design.num_finetune_rounds
    pretraining = np.sum(form.pretrain_decay**before_switch / design.server_batch)
    return float(form.constant + form.pretrain_weight * pretraining + form.finetune_weight * noise)


def one_device(objective: str, **budgets) -> Scenario:
    """A system small enough to try everything: one device, at most four rounds."""
    table = Scenario.preset("tiny").to_dict()
    for part in table.values():
        if isinstance(part, dict):
            part.update({name: value[0] for name, value in part.items() if isinstance(value, list)})
    table["devices"]["num_devices"] = 1
    table["learning"] |= {"objective": objective, "device_weight": 1.0, "pl_constant": 5.0}
    table["budgets"] = {"delay_s": 3.0, "energy_j": 0.6, "max_rounds": 4} | budgets
    return Scenario.from_dict(table)


def brute_force(scenario: Scenario, M: int, N: int, fineness: int = 81) -> float:
    """Least Phi of one device on a grid of shares of both budgets, and of clocks and powers; rounds are alike."""
    share = np.linspace(0.005, 0.995, 199) if M and N else np.array([1.0 if M else 0.0])
    time_s, energy_j = (array.ravel() for array in np.meshgrid(share, share, indexing="ij"))
    time_s, energy_j = time_s * scenario.budgets.delay_s, energy_j * scenario.budgets.energy_j
    form = scenario.bound.quotient_form(M).at(N)
    value = np.full(time_s.shape, form.constant)
    if M:
        server, cycles = scenario.server, scenario.server_cycles_per_sample
        clock = np.geomspace(server.freq_min_hz, server.freq_max_hz, fineness)[:, None]
        a_joule = server.overhead_factor * server.capacitance_j_s2 * cycles * clock**2
        batch = np.max(np.minimum(time_s / M * clock / cycles, energy_j / M / a_joule), axis=0)
        value += M * form.pretrain_weight / np.clip(batch, 1, server.batch_max) + forbidden(batch)
    if N:
        batch = largest_device_batch(scenario, time_s, energy_j, N, fineness)
        value += N * form.finetune_weight * scenario.gradient_noise_weight[0] / np.maximum(batch, 1) + forbidden(batch)
    return float(np.min(value))


def forbidden(batch):
    return np.where(batch >= 1, 0.0, np.inf)


def largest_device_batch(scenario, time_s, energy_j, N, fineness):
    devices, radio, cycles = scenario.devices, scenario.radio, scenario.device_cycles_per_sample[0]
    left_s = (scenario.budgets.delay_s - time_s) / N - radio.downlink_s
    left_j = (scenario.budgets.energy_j - energy_j) / N - radio.downlink_j
    batch = np.zeros_like(time_s)
    for power_w in np.geomspace(1e-4, 1, 2 * fineness) * devices.power_max_w[0]:
        rate = uplink_rate_bps(power_w, scenario.mean_channel_gain[0], radio.bandwidth_hz[0], radio.noise_w_per_hz)
        upload_s = upload_time_s(scenario.learning.upload_bit, rate)
        compute_s, compute_j = left_s - upload_s, left_j - power_w * upload_s
        # A faster clock does more in the time and less with the energy: best is where neither has anything left.
        even = np.cbrt(compute_j / np.maximum(compute_s, 1e-12) / devices.capacitance_j_s2[0])
        clock = np.clip(even, devices.freq_min_hz[0], devices.freq_max_hz[0])
        paid = compute_j / (devices.capacitance_j_s2[0] * cycles * clock**2)
        batch = np.maximum(batch, np.minimum(compute_s * clock / cycles, paid))
    return np.minimum(batch, devices.batch_max[0])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_pair_of_a_small_system_equals_a_fine_brute_force_grid(objective):
    scenario = one_device(objective)
    system = StaticConstants.of(scenario)
    worth = float(system.start[1, 1])
    for M, N in [(0, 1), (0, 2), (0, 3), (1, 1), (1, 3)]:
        first = Prices(np.array([worth / scenario.budgets.delay_s]), worth / scenario.budgets.energy_j)
        prices, rounds = solve_pair(RoundCounts(system, M, N), first, np.inf)
        value = system.unit[M, N] * (system.start[M, N] + rounds.noise)
        assert value == pytest.approx(pair_bounds(system, prices)[M, N], rel=1e-8)
        grid = brute_force(scenario, M, N)
        assert value <= grid * (1 + 1e-9)
        assert value >= grid * (1 - 3e-3)


def test_the_two_stage_design_of_a_small_system_is_no_worse_than_brute_force_over_all_pairs():
    # With this objective all pre-training rounds are alike, so the grid may have any number of them.
    scenario = one_device("two-stage")
    design = static_design(scenario)
    grid = {(M, N): brute_force(scenario, M, N, 41) for M, N in pairs_of(4)}
    best = min(grid, key=lambda pair: grid[pair])
    assert (design.num_pretrain_rounds, design.num_finetune_rounds) == best
    assert grid[best] * (1 - 5e-3) <= design.value <= grid[best]


@pytest.mark.parametrize("seed", range(6))
def test_a_pair_has_the_value_of_the_conic_program(seed):
    rng = np.random.default_rng(seed)
    scenario = with_ample_batteries(random_scenario(rng, max_rounds=6))
    system, tape = StaticConstants.of(scenario), average_tape(scenario)
    M, N = pairs_of(6)[int(rng.integers(20))]
    N = max(N, 1)
    M = min(M, 6 - N)
    episode = PlannedEpisode(scenario=scenario, tape=tape, num_pretrain_rounds=M, num_finetune_rounds=N)
    solution = EpisodeProgram(episode).solve()
    worth = float(system.start[M, N]) / 3
    split = np.full(scenario.num_devices, worth / scenario.budgets.delay_s / scenario.num_devices)
    rounds = solve_pair(RoundCounts(system, M, N), Prices(split, worth / scenario.budgets.energy_j), 1e6 * worth)[1]
    assert (solution is None) == (rounds is None)
    if solution is not None:
        conic = episode.learning_bound(solution.times.server_batch, solution.times.batch)
        assert system.unit[M, N] * (system.start[M, N] + rounds.noise) == pytest.approx(conic, rel=2e-5)


@pytest.mark.parametrize("seed", range(8))
def test_a_design_is_the_optimum_of_a_constant_tape_with_ample_batteries_if_everyone_takes_part(seed):
    scenario = with_ample_batteries(random_system(seed, max_rounds=8))
    gain = average_tape(scenario).channel_gain
    best = clairvoyant(scenario, Tape(gain, np.zeros_like(gain)), gap=1e-4, restriction=Restriction(everyone=True))
    design = static_design(scenario)
    assert design.value >= best.bound * (1 - 1e-9)
    assert design.value <= best.value * (1 + 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_designs_are_clairvoyant_optima_of_constant_tapes(seed):
    test_a_design_is_the_optimum_of_a_constant_tape_with_ample_batteries_if_everyone_takes_part(seed)


def test_a_plan_that_may_leave_devices_silent_is_never_worse_than_the_design():
    for seed in range(4):
        scenario = with_ample_batteries(random_system(seed, max_rounds=5, num_devices=2))
        gain = average_tape(scenario).channel_gain
        best = clairvoyant(scenario, Tape(gain, np.zeros_like(gain)), gap=0.01)
        assert best.bound <= static_design(scenario).value
        assert best.value <= static_design(scenario).value * 1.01


def assert_proven_and_affordable(design: StaticDesign) -> None:
    budgets, server, devices = design.scenario.budgets, design.scenario.server, design.scenario.devices
    assert 0 < design.bound <= design.value
    assert design.value == pytest.approx(learning_bound(design), rel=1e-12)
    assert design.num_pretrain_rounds + design.num_finetune_rounds <= budgets.max_rounds
    seconds, joules = usage(design)
    assert seconds <= budgets.delay_s
    assert joules <= budgets.energy_j
    for value, low, high in (
        (design.server_batch, 1, server.batch_max),
        (design.server_freq_hz, server.freq_min_hz, server.freq_max_hz),
        (design.batch, 1, devices.batch_max),
        (design.freq_hz, devices.freq_min_hz, devices.freq_max_hz),
        (design.power_w, 0, devices.power_max_w),
    ):
        assert np.all((value >= low) & (value <= high))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", PRESETS)
def test_designs_of_the_presets_are_within_all_limits_and_proven(name, objective):
    design = static_design(preset(name, objective))
    assert_proven_and_affordable(design)
    assert design.num_solved <= 20
    if objective == "finetune":
        assert design.integer_loss <= 1e-8
    elif design.num_pretrain_rounds + design.num_finetune_rounds > 100:
        assert design.integer_loss <= 1e-4


def test_designs_of_random_systems_are_within_all_limits_and_proven():
    losses = {objective: [] for objective in OBJECTIVES}
    for seed in range(50):
        design = static_design(random_system(seed))
        assert_proven_and_affordable(design)
        losses[design.scenario.learning.objective].append(design.integer_loss)
    assert max(losses["finetune"]) <= 1e-8
    # A real-valued number of rounds is worth something only where the tape does not set it.
    assert np.quantile(losses["two-stage"], 0.8) <= 1e-3


def test_prices_of_one_pair_bound_every_other_from_below():
    rng = np.random.default_rng(3)
    for seed in range(4):
        scenario = random_system(seed, max_rounds=6)
        system = StaticConstants.of(scenario)
        values = {(0, 0): system.unit[0, 0] * system.start[0, 0]}
        worth = float(np.median(system.start))
        first = Prices(
            np.full(scenario.num_devices, worth / scenario.budgets.delay_s), worth / scenario.budgets.energy_j
        )
        for M, N in pairs_of(6):
            rounds = solve_pair(RoundCounts(system, M, N), first, 1e6 * worth)[1] if N else None
            if rounds is not None:
                values[M, N] = system.unit[M, N] * (system.start[M, N] + rounds.noise)
        for _ in range(20):
            scale = np.exp(rng.uniform(-8, 4, scenario.num_devices + 1)) * (rng.random(scenario.num_devices + 1) < 0.9)
            bounds = pair_bounds(system, Prices(first.finish * scale[1:], first.energy * float(scale[0])))
            for pair, value in values.items():
                assert bounds[pair] <= value * (1 + 1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_larger_budget_and_a_smaller_distribution_gap_are_never_worse(objective):
    for seed in range(5):
        scenario = random_system(seed, objective=objective)
        value, budgets = static_design(scenario).value, scenario.budgets
        for looser in (
            {"budgets": {"delay_s": 1.3 * budgets.delay_s}},
            {"budgets": {"energy_j": 1.3 * budgets.energy_j}},
            {"budgets": {"max_rounds": budgets.max_rounds + 2}},
            {"learning": {"distribution_gap": 0.5 * scenario.learning.distribution_gap}},
        ):
            assert static_design(scenario.replace(**looser)).value <= value * (1 + 1e-8)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_order_of_the_devices_changes_nothing(objective):
    scenario = random_system(11, objective=objective, num_devices=4)
    order = np.array([2, 0, 3, 1])
    table = scenario.to_dict()
    for part in table.values():
        if isinstance(part, dict):
            part.update({name: np.array(v)[order].tolist() for name, v in part.items() if isinstance(v, list)})
    design, permuted = static_design(scenario), static_design(Scenario.from_dict(table))
    assert permuted.value == pytest.approx(design.value, rel=1e-8)
    np.testing.assert_allclose(permuted.batch, design.batch[order], rtol=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_pretraining_is_dropped_where_its_drift_is_too_strong(objective):
    design = static_design(preset("tiny", objective, learning={"distribution_gap": 1e3}))
    assert design.num_pretrain_rounds == 0
    assert design.num_finetune_rounds > 0
    assert_proven_and_affordable(design)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_finetuning_is_dropped_where_its_noise_is_too_strong(objective):
    noisy = {"device_gradient_variance": 1e7, "distribution_gap": 0.0}
    design = static_design(preset("tiny", objective, learning=noisy))
    assert design.num_finetune_rounds == 0
    assert design.num_pretrain_rounds > 0
    assert design.duration_s == 0
    assert_proven_and_affordable(design)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_round_at_all_is_a_design_where_all_do_harm(objective):
    harmful = {"device_gradient_variance": 1e9, "server_gradient_variance": 1e9, "initial_gap": 1e-3}
    design = static_design(preset("tiny", objective, learning=harmful))
    assert (design.num_pretrain_rounds, design.num_finetune_rounds) == (0, 0)
    # 2 G_0 / eta, and the least that a round could weigh: a third.
    assert design.value == pytest.approx(2 * 1e-3 / 0.1 / (1 / 3), rel=1e-14)
    played = rollout(design.scenario, average_tape(design.scenario), design.plan)
    assert played.objective[0] == pytest.approx(design.value, rel=1e-14)


@pytest.mark.parametrize("seed", range(30))
def test_the_plan_played_on_a_constant_tape_reaches_the_value_of_its_whole_batches(seed):
    scenario = with_ample_batteries(random_system(seed))
    design = static_design(scenario)
    plan = design.plan
    for whole, planned in ((plan.server_batch, design.server_batch), (plan.batch, design.batch)):
        np.testing.assert_array_equal(whole, np.round(whole))
        assert np.all((whole <= planned + 1e-6) & (whole > planned - 1 - 1e-6))
    played = rollout(scenario, average_tape(scenario), plan)
    assert played.num_pretrain_rounds[0] == design.num_pretrain_rounds
    assert played.num_finetune_rounds[0] == design.num_finetune_rounds
    episode = PlannedEpisode(
        scenario=scenario,
        tape=average_tape(scenario),
        num_pretrain_rounds=design.num_pretrain_rounds,
        num_finetune_rounds=design.num_finetune_rounds,
    )
    assert played.objective[0] == pytest.approx(episode.learning_bound(plan.server_batch, plan.batch), rel=1e-12)
    assert played.objective[0] >= design.value * (1 - 1e-9)


def test_a_budget_that_cannot_pay_for_one_round_is_named_with_what_it_lacks():
    scenario = Scenario.preset("tiny").replace(learning={"upload_bit": 3.2e9})
    devices, radio = scenario.devices, scenario.radio
    rate = uplink_rate_bps(devices.power_max_w, scenario.mean_channel_gain, radio.bandwidth_hz, radio.noise_w_per_hz)
    least_s = 0.02 + np.max(7.5e6 / devices.freq_max_hz + 3.2e9 / rate)
    with pytest.raises(InvalidInputError, match=f"^budgets.delay_s = 15 s is too small by {least_s - 15:.3g} s: "):
        static_design(scenario)
    scenario = Scenario.preset("tiny")
    with pytest.raises(InvalidInputError, match=r"^budgets.energy_j = 0.05 J is too small by .* J: .* within 15 s$"):
        static_design(scenario.replace(budgets={"energy_j": 0.05}, learning={"upload_bit": 1e8}))


def test_the_budgets_named_as_needed_are_enough():
    scenario = Scenario.preset("tiny").replace(budgets={"energy_j": 0.05}, learning={"upload_bit": 1e8})
    with pytest.raises(InvalidInputError) as refusal:
        static_design(scenario)
    needed = float(str(refusal.value).split("at least ")[1].split()[0])
    assert static_design(scenario.replace(budgets={"energy_j": 1.001 * needed})).value > 0
    with pytest.raises(InvalidInputError, match="too small by"):
        static_design(scenario.replace(budgets={"energy_j": 0.998 * needed}))
