"""The clairvoyant optimum: equal to a search through all pairs, never undercut by any policy, and proven."""

import itertools
import pickle
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from small_systems import copies, many_ways, pairs_of, random_system

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.clairvoyance import clairvoyant_batch
from edgelearn_env.baselines.priced import search as priced_search
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.clairvoyant.replayed_plan import Replayed
from edgelearn_env.baselines.stages.conic.program import EpisodeProgram
from edgelearn_env.baselines.stages.model.optimum import StagedOptimum
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction
from edgelearn_env.baselines.stages.policies.myopic import Myopic
from edgelearn_env.baselines.two_stage.clairvoyant import clairvoyant
from edgelearn_env.baselines.two_stage.policies.equal_split import EqualSplit
from edgelearn_env.errors import InvalidInputError, SolverError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

GAP = 1e-3

# Two optima of the same thing differ by less than both gaps; where small changes count, these are smaller.
SAME = 2.1 * GAP
CLOSE = 1e-4

ROUNDING = 1e-12

# No channel at all, in effect: an upload at full power takes longer than the age of the universe.
BLOCKED = 1e-30


class Solved(NamedTuple):
    scenario: Scenario
    tape: Tape
    optimum: StagedOptimum


def solved_system(seed: int, **choices) -> Solved:
    scenario, tape = random_system(seed, **choices)
    return Solved(scenario, tape, clairvoyant(scenario, tape))


# Systems of all kinds, of which a few take many programs; but not those that take the most.
SEEDS = (0, *range(3, 15), 16, 18)


@pytest.fixture(scope="module")
def optima():
    """Optima of many systems, of 3 to 5 rounds and two devices."""
    return [solved_system(seed, longest=5, num_devices=2) for seed in SEEDS]


# The search through pairs and sets.


def sets_of(num_rounds: int, num_devices: int) -> Iterator[np.ndarray]:
    """All ways to take part in so many rounds, (N, K) booleans, of which the last has participants."""
    for bits in itertools.product((False, True), repeat=num_rounds * num_devices):
        participates = np.reshape(np.array(bits, dtype=bool), (num_rounds, num_devices))
        if not num_rounds or participates[-1].any():
            yield participates


def brute_force(scenario: Scenario, tape: Tape, *, everyone: bool = False) -> float:
    """The least Phi over all numbers of rounds and all sets, each solved by itself; no round at all is one of them."""
    system = PricedEpisode(scenario, tape, UNRESTRICTED)
    found = [system.nothing()]
    for num_pretrain, num_finetune in pairs_of(scenario.budgets.max_rounds):
        shape = (num_finetune, scenario.num_devices)
        for participates in [np.ones(shape, dtype=bool)] if everyone else sets_of(*shape):
            found.append(system.planned(num_pretrain, participates))
    return min(plan.value for plan in found if plan is not None)


def assert_equal_to_brute_force(scenario: Scenario, tape: Tape):
    assert clairvoyant(scenario, tape).value == pytest.approx(brute_force(scenario, tape), rel=SAME)


@pytest.mark.parametrize("batteries", ["ample", "binding", "starved", "mixed"])
@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_the_optimum_is_the_best_of_all_pairs_and_sets(objective, batteries):
    for seed in (1, 2):
        choices = {"objective": objective, "batteries": batteries, "num_devices": 2}
        assert_equal_to_brute_force(*random_system(seed, longest=3, **choices))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_the_optimum_of_many_systems_is_the_best_of_all_pairs_and_sets(seed):
    num_rounds, num_devices = ((4, 2), (3, 3), (8, 1))[seed % 3]
    assert_equal_to_brute_force(*random_system(5000 + seed, longest=num_rounds, num_devices=num_devices))


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_one_device_and_one_round_are_enough(objective):
    for seed in range(2):
        assert_equal_to_brute_force(*random_system(seed, shortest=1, longest=1, objective=objective))
        assert_equal_to_brute_force(*random_system(seed, longest=4, num_devices=1, objective=objective))


def test_where_everyone_has_to_take_part_the_optimum_is_the_best_of_all_pairs():
    for seed in range(2):
        scenario, tape = random_system(seed, longest=5)
        optimum = clairvoyant(scenario, tape, gap=1e-6, restriction=Restriction(everyone=True))
        assert optimum.value == pytest.approx(brute_force(scenario, tape, everyone=True), rel=3e-6)
        assert np.all(optimum.plan.batch > 0)


# The certificate.


def assert_certified(solved: Solved):
    scenario, tape, optimum = solved
    certificate, T = optimum.certificate, scenario.budgets.max_rounds
    assert 0 < certificate.bound <= certificate.value
    assert certificate.gap <= GAP + 1e-6
    assert certificate.gap == certificate.value / certificate.bound - 1
    assert certificate.residual <= 1e-6
    assert certificate.num_pairs == len(pairs_of(T)) + 1
    assert (optimum.value, optimum.bound) == (certificate.value, certificate.bound)
    played = rollout(scenario, tape, optimum.plan)
    assert played.objective[0] == pytest.approx(optimum.value, rel=1e-9)
    assert played.num_pretrain_rounds[0] == optimum.num_pretrain_rounds
    assert played.num_finetune_rounds[0] == optimum.num_finetune_rounds


def test_every_optimum_is_certified(optima):
    for solved in optima:
        assert_certified(solved)


def test_a_plan_in_whole_batches_achieves_no_less_than_the_bound_and_no_more_than_it_says(optima):
    for scenario, tape, optimum in optima:
        whole = optimum.whole_plan
        for batch in (whole.server_batch, whole.batch):
            np.testing.assert_array_equal(batch, np.round(batch))
        played = rollout(scenario, tape, whole)
        assert played.objective[0] == optimum.achieved
        assert optimum.achieved >= optimum.bound
        assert played.num_pretrain_rounds[0] == optimum.num_pretrain_rounds
        assert played.num_finetune_rounds[0] == optimum.num_finetune_rounds


def test_an_optimum_is_called_exact_only_where_all_its_batches_are_whole(optima):
    labels = set()
    for _, _, optimum in optima:
        batches = np.append(optimum.plan.server_batch, optimum.plan.batch)
        whole = bool(np.all(batches == np.round(batches)))
        assert optimum.certificate.label == ("exact" if whole else "relaxation")
        labels.add(optimum.certificate.label)
    assert labels == {"exact", "relaxation"}


def test_the_optimum_of_a_system_is_the_same_every_time():
    scenario, tape = random_system(3)
    first, second = clairvoyant(scenario, tape), clairvoyant(scenario, tape)
    assert first.certificate == second.certificate
    for one, other in zip(first.plan.allocations, second.plan.allocations, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_wider_gap_takes_no_more_solves_and_still_holds():
    for seed in range(3):
        scenario, tape = random_system(seed, longest=6)
        close, wide = clairvoyant(scenario, tape), clairvoyant(scenario, tape, gap=0.05)
        assert wide.certificate.num_solved <= close.certificate.num_solved
        assert close.certificate.gap <= GAP + 1e-6
        assert wide.certificate.gap <= 0.05 + 1e-6
        assert wide.bound <= close.value
        assert close.bound <= wide.value


# No policy is below the bound.


def disturbed(rng, scenario: Scenario, allocations: Allocation, batch_size: int):
    """A policy of B plans near the given one, some of them very near."""
    noise = rng.choice([1e-7, 1e-5, 1e-3, 1e-1], batch_size)
    server, devices = scenario.server, scenario.devices
    limits = {
        "server_freq_hz": (server.freq_min_hz, server.freq_max_hz),
        "server_batch": (1.0, server.batch_max),
        "freq_hz": (devices.freq_min_hz, devices.freq_max_hz),
        "power_w": (1e-18 * devices.power_max_w, devices.power_max_w),
        "batch": (1.0, devices.batch_max),
    }
    silent = allocations.batch == 0
    plans = {"switch": np.repeat(allocations.switch[None], batch_size, axis=0)}
    for name, (low, high) in limits.items():
        value = getattr(allocations, name)
        factor = np.exp(noise.reshape(-1, *[1] * value.ndim) * rng.normal(size=(batch_size, *value.shape)))
        plans[name] = np.clip(value * factor, low, high)
    plans["batch"] = np.where(silent, 0.0, plans["batch"])

    def decide(observed):
        row = np.minimum(observed.state.round_index, len(allocations.switch) - 1)
        return mapped(lambda array: array[np.arange(batch_size), row], Allocation(**plans))

    return decide


def assert_no_policy_is_below_the_bound(solved: Solved, seed: int):
    scenario, tape, optimum = solved
    rng, system = np.random.default_rng(seed), constants_of(scenario)
    pairs = np.array(pairs_of(scenario.budgets.max_rounds))
    policies = [
        (16, many_ways(rng, scenario, 16)),
        (16, many_ways(rng, scenario, 16, whole=False)),
        (16, disturbed(rng, scenario, optimum.plan.allocations, 16)),
        (16, disturbed(rng, scenario, optimum.whole_plan.allocations, 16)),
        (len(pairs), EqualSplit(constants=system, num_pretrain_rounds=pairs[:, 0], num_finetune_rounds=pairs[:, 1])),
        (1, Myopic(constants=system)),
    ]
    for batch_size, policy in policies:
        assert np.min(rollout(scenario, copies(tape, batch_size), policy).objective) >= optimum.bound


def test_no_policy_is_below_the_bound(optima):
    for seed, solved in enumerate(optima):
        assert_no_policy_is_below_the_bound(solved, seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(10_000, 10_400, 50))
def test_no_policy_is_below_the_bound_of_any_of_many_systems(first):
    proven = 0
    for seed in range(first, first + 50):
        scenario, tape = random_system(seed, longest=6, num_devices=1 + seed % 3)
        try:
            optimum = clairvoyant(scenario, tape)
            proven += 1
        except SolverError as error:
            optimum = error.found
        assert_no_policy_is_below_the_bound(Solved(scenario, tape, optimum), seed)
    # Of the others the bound holds too, but is further from the plan.
    assert proven >= 45


# More of anything useful never hurts.


def larger(part, *names, factor=1.5):
    return lambda scenario, tape: (
        scenario.replace(**{part: {name: getattr(getattr(scenario, part), name) * factor for name in names}}),
        tape,
    )


RELAXATIONS = {
    "more time": larger("budgets", "delay_s"),
    "more energy": larger("budgets", "energy_j"),
    "larger batteries": larger("energy", "battery_capacity_j"),
    "larger and fuller batteries": larger("energy", "battery_capacity_j", "battery_initial_j"),
    "more harvest": lambda scenario, tape: (scenario, tape._replace(harvest_w=1.5 * tape.harvest_w + 1e-4)),
    "better channels": lambda scenario, tape: (scenario, tape._replace(channel_gain=1.5 * tape.channel_gain)),
    "closer general data": larger("learning", "distribution_gap", factor=0.5),
    "less gradient noise": larger("learning", "device_gradient_variance", factor=0.7),
    "faster clocks": larger("devices", "freq_max_hz"),
    "slower clocks": larger("devices", "freq_min_hz", factor=0.7),
    "a faster server": larger("server", "freq_max_hz"),
    "less overhead": larger("radio", "downlink_s", "downlink_j", factor=0.5),
    "larger batches": larger("devices", "batch_max", factor=2),
    "a smaller upload": larger("learning", "upload_bit", factor=0.7),
    "more alike devices": larger("learning", "dissimilarity", factor=0.5),
}


@pytest.fixture(scope="module")
def tuned():
    """Optima of systems chosen so that each relaxation is of use to one of them."""
    chosen = [("binding", 1, 5), ("binding", 6, 4), ("ample", 3, 4), ("ample", 7, 5)]
    systems = [random_system(seed, longest=longest, batteries=kind, num_devices=2) for kind, seed, longest in chosen]
    return [Solved(scenario, tape, clairvoyant(scenario, tape, gap=CLOSE)) for scenario, tape in systems]


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_more_of_anything_useful_is_never_worse(tuned, relaxation):
    better = 0
    for scenario, tape, optimum in tuned:
        value = clairvoyant(*RELAXATIONS[relaxation](scenario, tape), gap=CLOSE).value
        assert value <= optimum.value * (1 + 1.1 * CLOSE)
        better += value < optimum.value * (1 - 1.1 * CLOSE)
    assert better >= 1


def test_one_more_round_on_the_tape_is_never_worse(optima):
    for scenario, tape, optimum in optima[4:10]:
        longer = scenario.replace(budgets={"max_rounds": scenario.budgets.max_rounds + 1})
        tape = mapped(lambda array: np.concatenate([array, array[-1:]]), tape)
        assert clairvoyant(longer, tape).value <= optimum.value * (1 + SAME)


def test_the_order_of_devices_changes_nothing():
    # Systems whose optima fine-tune.
    for seed in (0, 2, 6, 7):
        scenario, tape = random_system(seed, longest=5, num_devices=4)
        order = np.roll(np.arange(4), 1)
        table = scenario.to_dict()
        for part in table.values():
            if isinstance(part, dict):
                part |= {name: [v[k] for k in order] for name, v in part.items() if isinstance(v, list)}
        reordered = Scenario.from_dict(table)
        optimum = clairvoyant(scenario, tape)
        other = clairvoyant(reordered, mapped(lambda array, order=order: array[:, order], tape))
        assert other.value == pytest.approx(optimum.value, rel=SAME)
        assert optimum.num_finetune_rounds > 0


def test_seconds_and_joules_may_be_counted_in_other_units():
    # A system that takes 7 times as long for everything and a third of the energy.
    for seed in range(3):
        scenario, tape = random_system(seed, longest=5)
        slow, dear = 7.0, 1 / 3.0
        server, devices, radio = scenario.server, scenario.devices, scenario.radio
        scaled = scenario.replace(
            server={
                "freq_min_hz": server.freq_min_hz / slow,
                "freq_max_hz": server.freq_max_hz / slow,
                "capacitance_j_s2": server.capacitance_j_s2 * slow**2 * dear,
            },
            devices={
                "freq_min_hz": devices.freq_min_hz / slow,
                "freq_max_hz": devices.freq_max_hz / slow,
                "capacitance_j_s2": devices.capacitance_j_s2 * slow**2 * dear,
                "power_min_w": devices.power_min_w * dear / slow / 1.001,
                "power_max_w": devices.power_max_w * dear / slow,
            },
            radio={
                "bandwidth_hz": radio.bandwidth_hz / slow,
                "noise_w_per_hz": radio.noise_w_per_hz * dear,
                "downlink_s": radio.downlink_s * slow,
                "downlink_j": radio.downlink_j * dear,
            },
            energy={
                "battery_initial_j": scenario.energy.battery_initial_j * dear,
                "battery_capacity_j": scenario.energy.battery_capacity_j * dear,
            },
            budgets={"delay_s": scenario.budgets.delay_s * slow, "energy_j": scenario.budgets.energy_j * dear},
        )
        other = clairvoyant(scaled, tape._replace(harvest_w=tape.harvest_w * dear / slow))
        assert other.value == pytest.approx(clairvoyant(scenario, tape).value, rel=SAME)


# Of every budget, what a preset has times these, over twelve decades; below, budgets are refused as too small.
DECADES = {
    "tiny": {
        "delay_s": (2e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e4, 1e7, 1e10),
        "energy_j": (5e-3, 3e-2, 0.1, 1.0, 10.0, 100.0, 1e4, 1e7, 1e10),
        "battery_capacity_j": (1e-6, 3e-2, 0.1, 1.0, 10.0, 1e3, 1e6),
    },
    "default": {
        "delay_s": (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e4, 1e7, 1e9),
        "energy_j": (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e4, 1e7, 1e9),
        "battery_capacity_j": (0.1, 1.0, 10.0, 100.0, 1e4, 1e8, 1e12),
    },
}


def with_budget(scenario: Scenario, name: str, factor: float) -> Scenario:
    """The scenario with so many times a budget, or with batteries so many times as large, no fuller than they are."""
    if name != "battery_capacity_j":
        return scenario.replace(budgets={name: factor * getattr(scenario.budgets, name)})
    capacity_j = factor * np.asarray(scenario.energy.battery_capacity_j)
    initial_j = np.minimum(scenario.energy.battery_initial_j, capacity_j)
    return scenario.replace(energy={"battery_capacity_j": capacity_j, "battery_initial_j": initial_j})


@pytest.mark.parametrize("preset", ["tiny", pytest.param("default", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", DECADES["tiny"])
def test_over_decades_of_a_budget_more_of_it_is_never_worse(preset, name):
    scenario = Scenario.preset(preset)
    tape = sample_tape(scenario, seed=2)
    values = []
    for factor in DECADES[preset][name]:
        optimum = clairvoyant(with_budget(scenario, name, factor), tape)
        assert optimum.certificate.gap <= GAP + 1e-6
        values.append(optimum.value)
    assert np.all(np.diff(values) <= GAP * np.array(values[1:]))
    assert values[-1] < 0.9 * values[0]


# Degenerate systems.


AMPLE = {"battery_initial_j": 1e3, "battery_capacity_j": 1e3}


def short(tiny: Scenario, **parts) -> Scenario:
    return tiny.replace(**{"budgets": {"max_rounds": 6}, "energy": AMPLE} | parts)


# Slower than any delay budget for a single sample.
USELESS_SERVER = {"flops_per_cycle": 1e-6}


@pytest.mark.parametrize(("objective", "psi_0"), [("finetune", 2 * 2.3 / 0.1 * 3), ("two-stage", 2 * 2.3 / 0.1 * 3)])
def test_where_no_round_can_be_done_the_optimum_is_to_do_none(tiny, objective, psi_0):
    # The quotient's floor is the weight of one device of three.
    scenario = short(tiny, server=USELESS_SERVER, learning={"objective": objective})
    tape = Tape(np.full((6, 3), BLOCKED), np.zeros((6, 3)))
    optimum = clairvoyant(scenario, tape)
    assert (optimum.num_pretrain_rounds, optimum.num_finetune_rounds) == (0, 0)
    assert optimum.value == pytest.approx(psi_0, rel=1e-14)
    assert optimum.achieved == pytest.approx(psi_0, rel=1e-14)
    assert optimum.bound <= optimum.value <= optimum.bound * (1 + GAP + 1e-6)


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_where_no_upload_arrives_the_optimum_is_to_pretrain(tiny, objective):
    scenario = short(tiny, learning={"objective": objective})
    optimum = clairvoyant(scenario, Tape(np.full((6, 3), BLOCKED), np.zeros((6, 3))))
    assert (optimum.num_pretrain_rounds, optimum.num_finetune_rounds) == (6, 0)
    assert optimum.certificate.gap <= GAP + 1e-6


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_where_the_server_is_useless_the_optimum_is_to_finetune(tiny, tiny_tape, objective):
    scenario = short(tiny, server=USELESS_SERVER, learning={"objective": objective})
    optimum = clairvoyant(scenario, mapped(lambda array: array[:6], tiny_tape))
    assert optimum.num_pretrain_rounds == 0
    assert optimum.num_finetune_rounds > 0
    assert optimum.certificate.gap <= GAP + 1e-6


@pytest.mark.parametrize(("fade", "gain"), [(0, BLOCKED), (3, 0.0), (3, BLOCKED), (5, 0.0)])
def test_a_device_in_a_deep_fade_is_silent_while_others_go_on(tiny, tiny_tape, fade, gain):
    scenario = short(tiny)
    channel_gain = tiny_tape.channel_gain[:6].copy()
    channel_gain[fade, 1] = gain
    tape = Tape(channel_gain, tiny_tape.harvest_w[:6])
    optimum = clairvoyant(scenario, tape, stages="finetune")
    assert_certified(Solved(scenario, tape, optimum))
    participates = optimum.plan.batch > 0
    assert not participates[fade, 1]
    assert participates[fade].any()


@pytest.mark.parametrize(
    "change",
    [
        {"learning": {"server_gradient_variance": 0.0}},
        {"learning": {"device_gradient_variance": 0.0}},
        {"learning": {"distribution_gap": 0.0}},
        {"learning": {"pl_constant": 10.0}},
        {"server": {"batch_max": 1}, "devices": {"batch_max": 1}},
        {"server": {"freq_min_hz": 3e9}, "devices": {"freq_min_hz": 0.58e9, "freq_max_hz": 0.58e9}},
        {"radio": {"downlink_j": 0.0}},
        {"energy": {"battery_initial_j": 0.0}},
        {"budgets": {"delay_s": 0.65}},
        {"budgets": {"energy_j": 0.04}},
    ],
    ids=str,
)
@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_constants_at_their_ends_leave_the_optimum_certified(tiny, tiny_tape, change, objective):
    few = {"budgets": {"max_rounds": 4}, "learning": {"objective": objective}}
    scenario = short(tiny).replace(**change).replace(**few)
    tape = mapped(lambda array: array[:4], tiny_tape)
    assert_certified(Solved(scenario, tape, clairvoyant(scenario, tape)))


# One stage alone, many tapes, and wrong input.


def test_one_stage_alone_is_no_better_than_both_and_its_bound_holds_for_such_plans(optima):
    for scenario, tape, both in optima[1:6]:
        rng = np.random.default_rng(1)
        played = rollout(scenario, copies(tape, 32), many_ways(rng, scenario, 32))
        for stages, unplayed in (("pretrain", "num_finetune_rounds"), ("finetune", "num_pretrain_rounds")):
            alone = clairvoyant(scenario, tape, stages=stages)
            assert getattr(alone, unplayed) == 0
            assert alone.certificate.gap <= GAP + 1e-6
            assert alone.value >= both.bound
            if getattr(both, unplayed) == 0:
                assert alone.value == pytest.approx(both.value, rel=SAME)
            assert np.all(played.objective[getattr(played, unplayed) == 0] >= alone.bound)


def test_an_unknown_stage_is_refused(tiny, tiny_tape):
    with pytest.raises(Exception, match="stages"):
        clairvoyant(tiny, tiny_tape, stages="warm-up")


def test_a_batch_of_tapes_is_refused(tiny, tiny_tape):
    with pytest.raises(InvalidInputError, match=r"must have shape \(T, K\)"):
        clairvoyant(tiny, copies(tiny_tape, 2))


def test_a_tape_that_does_not_fit_is_refused(tiny, tiny_tape):
    with pytest.raises(InvalidInputError, match=r"tape\.channel_gain"):
        clairvoyant(tiny, mapped(lambda array: array[:-1], tiny_tape))


def test_many_tapes_are_solved_in_their_order_as_each_alone():
    scenario, _ = random_system(4)
    tapes = [sample_tape(scenario, seed) for seed in range(3)]
    together = list(clairvoyant_batch(scenario, Tape.stack(tapes), num_workers=1))
    assert [optimum.certificate for optimum in together] == [clairvoyant(scenario, tape).certificate for tape in tapes]


def test_many_tapes_need_a_batch_axis_and_at_least_one_worker(tiny, tiny_tape):
    with pytest.raises(InvalidInputError, match="must have shape"):
        clairvoyant_batch(tiny, tiny_tape)
    with pytest.raises(InvalidInputError, match=r"^num_workers must be a whole number, at least 1, got 0$"):
        clairvoyant_batch(tiny, copies(tiny_tape, 2), num_workers=0)


def test_the_tape_is_left_as_it_was(tiny, tiny_tape):
    before = mapped(np.copy, tiny_tape)
    clairvoyant(tiny, tiny_tape)
    for array, copy in zip(tiny_tape, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_search_whose_first_programs_have_no_solution_starts_elsewhere_and_is_certified(tiny, tiny_tape, monkeypatch):
    solve, asked = EpisodeProgram.solve, []

    def reluctant(program, *arguments):
        pair = (program.episode.num_pretrain_rounds, program.episode.num_finetune_rounds)
        asked.append(pair)
        return None if len(dict.fromkeys(asked)) <= 2 else solve(program, *arguments)

    monkeypatch.setattr(EpisodeProgram, "solve", reluctant)
    certificate = clairvoyant(tiny, tiny_tape).certificate
    assert certificate.gap <= GAP + 1e-6
    first, second, third = list(dict.fromkeys(asked))[:3]
    assert 3 * sum(second) <= 2 * sum(first)
    assert 3 * sum(third) <= 2 * sum(second)


def test_a_plan_that_cannot_be_replayed_is_no_optimum_but_the_error_keeps_what_was_had(tiny, tiny_tape, monkeypatch):
    optimum = clairvoyant(tiny, tiny_tape)
    monkeypatch.setattr(Replayed, "succeeds", property(lambda replayed: False))
    with pytest.raises(SolverError, match="the best plan cannot be replayed") as caught:
        clairvoyant(tiny, tiny_tape)
    kept = pickle.loads(pickle.dumps(caught.value))
    assert kept.value == pytest.approx(optimum.value, rel=1e-3)
    assert kept.bound == optimum.bound
    assert rollout(tiny, tiny_tape, kept.plan).objective[0] == pytest.approx(kept.value, rel=1e-6)


def test_a_gap_that_is_not_reached_is_an_error_that_keeps_what_was_had(monkeypatch):
    scenario, tape = random_system(14, longest=10)
    monkeypatch.setattr(priced_search, "_MOST_DECISIONS", 0)
    with pytest.raises(SolverError, match="no plan was found within") as caught:
        clairvoyant(scenario, tape)
    found = caught.value.found
    assert 0 < found.bound < found.value
    assert_no_policy_is_below_the_bound(Solved(scenario, tape, found), 0)
    assert rollout(scenario, tape, found.plan).objective[0] == pytest.approx(found.value, rel=1e-6)
    monkeypatch.undo()
    branched = clairvoyant(scenario, tape)
    assert found.bound <= branched.value <= found.value
