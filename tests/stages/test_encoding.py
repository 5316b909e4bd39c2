"""Actions become allocations, states become observations: ends, scales, ranges, and nothing lost on the way."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_scenarios import OBJECTIVES, random_policy, random_scenario, random_tape, seeds
from two_stage.golden.transcription import bound

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.encoding import DEEPEST_FADE_DB, HIGHEST_FADE_DB, Codec
from edgelearn_env.stages.limits import checked_allocation
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Conditions
from edgelearn_env.trajectory import rollout

DECIDED = Allocation._fields[1:]


def action(codec: Codec, value: float, dtype=np.float32) -> np.ndarray:
    """A batch of one action with all entries alike."""
    return np.full((1, codec.action_size), value, dtype=dtype)


def limits(scenario: Scenario, least_batch: float = 0.0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    server, devices = scenario.server, scenario.devices
    return {
        "server_freq_hz": (np.array(server.freq_min_hz), np.array(server.freq_max_hz)),
        "server_batch": (np.array(1.0), np.array(float(server.batch_max))),
        "freq_hz": (devices.freq_min_hz, devices.freq_max_hz),
        "power_w": (devices.power_min_w, devices.power_max_w),
        "batch": (np.full(scenario.num_devices, least_batch), devices.batch_max),
    }


def conditions_of(scenario, *, fade=1.0, harvest_w=0.0):
    """The same fading of every mean gain and the same harvest for all devices."""
    ones = np.ones((1, scenario.num_devices))
    return Conditions(scenario.mean_channel_gain * fade * ones, harvest_w * ones)


# Actions.


@pytest.mark.parametrize("beyond", [1.0, 1.5, 1e9])
@given(seeds)
def test_the_ends_of_an_action_are_the_limits_exactly(beyond, seed):
    scenario = random_scenario(np.random.default_rng(seed))
    codec = Codec.of(scenario)
    lowest, highest = codec.decode(action(codec, -beyond)), codec.decode(action(codec, beyond))
    for name, (low, high) in limits(scenario).items():
        np.testing.assert_array_equal(getattr(lowest, name)[0], low)
        np.testing.assert_array_equal(getattr(highest, name)[0], high)


@pytest.mark.parametrize("preset", Scenario.presets())
def test_the_middle_of_an_action_is_the_geometric_mean_of_the_limits_a_quarter_of_a_sample_for_devices(preset):
    scenario = Scenario.preset(preset)
    codec = Codec.of(scenario)
    middle = codec.decode(action(codec, 0.0))
    for name, (low, high) in limits(scenario, least_batch=0.25).items():
        expected = np.sqrt(low * high)
        if "batch" in name:
            expected = np.round(expected)
        np.testing.assert_allclose(getattr(middle, name)[0], expected, rtol=1e-12)


@pytest.mark.parametrize(("entry", "switch"), [(-1.0, False), (0.0, False), (-1e-6, False), (1e-6, True), (1.0, True)])
def test_the_first_entry_switches_where_it_is_above_zero(tiny, entry, switch):
    codec = Codec.of(tiny)
    actions = action(codec, 0.3)
    actions[0, 0] = entry
    assert codec.decode(actions).switch.dtype == bool
    np.testing.assert_array_equal(codec.decode(actions).switch, [switch])


@given(seeds, st.sampled_from([np.float32, np.float64]))
def test_every_action_decodes_to_an_allocation_within_the_limits_with_whole_batches(seed, dtype):
    rng = np.random.default_rng(seed)
    scenario, B = random_scenario(rng), 6
    codec = Codec.of(scenario)
    allocation = codec.decode(rng.uniform(-1.2, 1.2, (B, codec.action_size)).astype(dtype))
    checked = checked_allocation(scenario, allocation, B)
    assert all(same is array for same, array in zip(checked, allocation, strict=True))
    for name, (low, high) in limits(scenario).items():
        value = getattr(allocation, name)
        assert value.dtype == np.float64
        assert np.all((value >= low) & (value <= high))
    assert np.all(allocation.server_batch >= 1)
    np.testing.assert_array_equal(allocation.batch, np.round(allocation.batch))
    np.testing.assert_array_equal(allocation.server_batch, np.round(allocation.server_batch))


@given(seeds)
def test_each_entry_of_an_action_raises_its_own_quantity_and_no_other(seed):
    scenario = random_scenario(np.random.default_rng(seed))
    codec, K = Codec.of(scenario), scenario.num_devices
    places = [("server_freq_hz", ()), ("server_batch", ())]
    places += [(name, (k,)) for name in ("freq_hz", "power_w", "batch") for k in range(K)]
    before = codec.decode(action(codec, -0.5))
    for entry, (name, place) in enumerate(places, start=1):
        actions = action(codec, -0.5)
        actions[0, entry] = 0.9
        after = codec.decode(actions)
        low, high = (np.broadcast_to(end, (K,) if place else ())[place] for end in limits(scenario)[name])
        assert getattr(after, name)[0][place] > getattr(before, name)[0][place] or low == high
        for other in DECIDED:
            changed = getattr(after, other)[0] != getattr(before, other)[0]
            if other == name and place:
                changed = np.delete(changed, place[0])
            elif other == name:
                changed = np.array(False)
            assert not np.any(changed)


def test_equal_steps_of_an_action_are_equal_factors(tiny):
    codec = Codec.of(tiny)
    actions = np.repeat(np.linspace(-1, 1, 9)[:, None], codec.action_size, axis=1)
    allocation = codec.decode(actions)
    for name in ("server_freq_hz", "freq_hz", "power_w"):
        low, high = limits(tiny)[name]
        factors = getattr(allocation, name)[1:] / getattr(allocation, name)[:-1]
        np.testing.assert_allclose(factors, np.broadcast_to((high / low) ** (1 / 8), factors.shape), rtol=1e-12)


@given(seeds)
def test_every_quantity_is_monotone_in_its_entry(seed):
    scenario = random_scenario(np.random.default_rng(seed))
    codec = Codec.of(scenario)
    allocation = codec.decode(np.repeat(np.linspace(-1.1, 1.1, 45)[:, None], codec.action_size, axis=1))
    for name in DECIDED:
        assert np.all(np.diff(getattr(allocation, name), axis=0) >= 0)


@given(seeds)
def test_an_allocation_becomes_the_action_that_names_it(seed):
    rng = np.random.default_rng(seed)
    scenario, B = random_scenario(rng), 6
    codec = Codec.of(scenario)
    allocation = codec.decode(rng.uniform(-1, 1, (B, codec.action_size)))
    actions = codec.encode_action(allocation)
    assert actions.dtype == np.float32
    assert np.all(np.abs(actions) <= 1)
    again = codec.decode(actions)
    for name in ("switch", "server_batch", "batch"):
        np.testing.assert_array_equal(getattr(again, name), getattr(allocation, name))
    for name in ("server_freq_hz", "freq_hz", "power_w"):
        np.testing.assert_allclose(getattr(again, name), getattr(allocation, name), rtol=2e-6)


@given(seeds)
def test_an_action_comes_back_from_what_it_names_before_batches_are_rounded(seed):
    scenario = random_scenario(np.random.default_rng(seed))
    codec, K = Codec.of(scenario), scenario.num_devices
    actions = np.random.default_rng(seed).uniform(-1, 1, (6, codec.action_size))
    named = codec.fractional(actions)
    again = codec.encode_action(named)
    free = np.tile(np.array(codec.action_log_ratio) > 0, (6, 1))
    # Below one sample there is one, or none.
    free[:, -K:] &= named.batch > 1
    np.testing.assert_allclose(again[:, 1:][free], actions[:, 1:][free], atol=1e-6)
    np.testing.assert_array_equal(again[:, 0] > 0, actions[:, 0] > 0)
    np.testing.assert_array_equal(codec.decode(again).batch[named.batch <= 1], named.batch[named.batch <= 1])


@given(seeds)
def test_before_rounding_a_batch_is_none_or_at_least_one_sample_and_rounds_to_what_is_decoded(seed):
    rng = np.random.default_rng(seed)
    codec = Codec.of(random_scenario(rng))
    actions = rng.uniform(-1.1, 1.1, (20, codec.action_size))
    named, decoded = codec.fractional(actions), codec.decode(actions)
    assert np.all((named.batch == 0) | (named.batch >= 1))
    np.testing.assert_array_equal(np.round(named.batch), decoded.batch)
    np.testing.assert_array_equal(np.round(named.server_batch), decoded.server_batch)


@pytest.mark.parametrize("batch_max", [1, 2, 30, 128])
def test_a_batch_entry_is_silence_in_its_lowest_band_and_one_sample_in_the_next(tiny, batch_max):
    # From a quarter to a half of a sample, and from there to one and a half; half a sample itself rounds to an even 0.
    codec = Codec.of(tiny.replace(devices={"batch_max": batch_max}))

    def entry(batch):
        return 2 * np.log(batch / 0.25) / np.log(batch_max / 0.25) - 1

    bands = [(-1.0, 0), (-7.0, 0), (entry(0.26), 0), (entry(0.5) - 1e-9, 0), (entry(0.5) + 1e-9, 1), (entry(1.0), 1)]
    if batch_max > 1:
        bands += [(entry(1.5) - 1e-9, 1), (entry(1.5) + 1e-9, 2)]
    actions = np.zeros((len(bands), codec.action_size))
    actions[:, -3:] = np.array([where for where, _ in bands])[:, None]
    expected = np.array([batch for _, batch in bands], dtype=float)[:, None] * np.ones(3)
    np.testing.assert_array_equal(codec.decode(actions).batch, expected)
    assert entry(0.5) > -1 + (0.1 if batch_max == 128 else 0.15), "silence can be met with at random"


def test_silence_and_one_sample_have_actions_of_their_own(tiny):
    codec = Codec.of(tiny)
    decided = codec.decode(action(codec, 0.0))._replace(batch=np.array([[0.0, 1.0, 2.0]]))
    actions = codec.encode_action(decided)
    np.testing.assert_array_equal(actions[0, -3], -1.0)
    np.testing.assert_allclose(actions[0, -2:], 2 * np.log([4, 8]) / np.log(4 * 128) - 1, rtol=1e-6)
    np.testing.assert_array_equal(codec.decode(actions).batch, [[0, 1, 2]])


def test_what_no_action_can_name_becomes_the_nearest_action(tiny):
    codec = Codec.of(tiny)
    middle = codec.decode(action(codec, 0.0))
    whisper = codec.encode_action(middle._replace(power_w=1e-12 * middle.power_w))
    np.testing.assert_array_equal(codec.decode(whisper).power_w[0], tiny.devices.power_min_w)


def test_actions_are_not_written_to(tiny):
    codec = Codec.of(tiny)
    actions = action(codec, 2.0)
    actions.flags.writeable = False
    codec.decode(actions)
    np.testing.assert_array_equal(actions, action(codec, 2.0))


# Observations.


def test_an_observation_before_the_first_round_by_hand(tiny):
    codec = Codec.of(tiny)
    harvest_w = np.array([[0.0, 0.01, 0.005]])
    conditions = Conditions(tiny.mean_channel_gain[None], harvest_w)
    observed = codec.encode(initial_state(constants_of(tiny), 1), conditions)
    log_gain = np.log(tiny.mean_channel_gain)
    low = np.min(log_gain) + np.log(10) * DEEPEST_FADE_DB / 10
    high = np.max(log_gain) + np.log(10) * HIGHEST_FADE_DB / 10
    least, largest = np.log(tiny.bound_value_range)
    expected = [0.0, 1.0, 1.0, 1.0, (np.log(2 * 2.3 / 0.1 / (1 / 3)) - least) / (largest - least)]
    expected += [0.5, 0.5, 0.5, *((log_gain - low) / (high - low)), 0.0, 1.0, 0.5]
    assert observed.dtype == np.float32
    np.testing.assert_allclose(observed, [expected], atol=1e-6)


def test_an_observation_shows_the_stage_and_the_shares_of_the_budgets_that_are_left(tiny):
    state = initial_state(constants_of(tiny), 1)
    state = state._replace(
        finetuning=np.array([True]),
        round_index=np.array([6]),
        elapsed_s=np.array([3.0]),
        spent_j=np.array([6.0]),
        battery_j=np.array([[0.0, 0.15, 0.6]]),
    )
    observed = Codec.of(tiny).encode(state, conditions_of(tiny))
    np.testing.assert_allclose(observed[0, :4], [1.0, 1 - 6 / 30, 1 - 3 / 15, 1 - 6 / 8], atol=1e-7)
    np.testing.assert_allclose(observed[0, 5:8], [0, 0.25, 1.0], atol=1e-7)


@given(seeds)
def test_observations_of_random_rollouts_stay_between_zero_and_one(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario))
    codec, T = Codec.of(scenario), trajectory.outcomes.counted.shape[1]
    for t in range(T):
        state, conditions = mapped(lambda array, t=t: array[:, t], tuple(trajectory.observed))
        observed = codec.encode(state, conditions)
        assert observed.shape == (1, codec.observation_size) == (1, 5 + 3 * scenario.num_devices)
        assert observed.dtype == np.float32
        assert np.all((observed >= 0) & (observed <= 1))
    final = codec.encode(trajectory.final_state, conditions)
    assert np.all((final >= 0) & (final <= 1))


@pytest.mark.parametrize(("fade", "expected"), [(0.0, 0.0), (1e-300, 0.0), (1e12, 1.0)])
def test_channels_and_harvests_beyond_any_range_count_as_its_ends(tiny, fade, expected):
    codec = Codec.of(tiny)
    conditions = conditions_of(tiny, fade=fade, harvest_w=1e6 * fade)
    observed = codec.encode(initial_state(constants_of(tiny), 1), conditions)[0]
    np.testing.assert_array_equal(observed[8:], [expected] * 3 + [float(fade > 1)] * 3)


@pytest.mark.parametrize("shadowing_std_db", [0.0, 4.0])
def test_the_range_of_gains_reaches_from_the_farthest_device_s_deep_fade_to_the_nearest_one_s_best(
    tiny, shadowing_std_db
):
    scenario = tiny.replace(radio={"shadowing_std_db": shadowing_std_db})
    low, high = Codec.of(scenario).log_gain_range
    deep = 10 ** ((-40 - 3 * shadowing_std_db) / 10)
    best = 10 ** ((13 + 3 * shadowing_std_db) / 10)
    assert low == pytest.approx(np.log(1e-3 * 122.0**-3 * deep), rel=1e-12)
    assert high == pytest.approx(np.log(1e-3 * 78.0**-3 * best), rel=1e-12)


def test_observations_rise_with_gain_harvest_battery_and_bound_and_fall_with_use(tiny):
    codec, start = Codec.of(tiny), initial_state(constants_of(tiny), 1)

    def observed(state=start, **conditions):
        return codec.encode(state, conditions_of(tiny, **conditions))[0]

    def only(places, difference):
        assert np.all(difference[places] > 0)
        assert np.all(np.delete(difference, places) == 0)

    only([8, 9, 10], observed(fade=1.1) - observed())
    only([11, 12, 13], observed(harvest_w=0.002) - observed())
    only([5, 6, 7], observed(start._replace(battery_j=start.battery_j + 0.1)) - observed())
    only([3], observed() - observed(start._replace(spent_j=start.spent_j + 0.1)))
    only([2], observed() - observed(start._replace(elapsed_s=start.elapsed_s + 0.1)))
    only([1], observed() - observed(start._replace(round_index=start.round_index + 1)))
    worse = start.bound_terms._replace(pretrain_term=start.bound_terms.pretrain_term - 0.5)
    only([4], observed() - observed(start._replace(bound_terms=worse)))
    only([0], observed(start._replace(finetuning=~start.finetuning)) - observed())


def test_each_row_of_a_batch_is_encoded_and_decoded_as_if_alone(tiny, rng):
    codec, B = Codec.of(tiny), 4
    actions = rng.uniform(-1, 1, (B, codec.action_size)).astype(np.float32)
    together = codec.decode(actions)
    state = initial_state(constants_of(tiny), B)
    state = state._replace(elapsed_s=rng.uniform(0, 15, B), battery_j=rng.uniform(0, 0.6, (B, 3)))
    conditions = Conditions(rng.uniform(1e-12, 1e-8, (B, 3)), rng.uniform(0, 0.01, (B, 3)))
    observed = codec.encode(state, conditions)
    for i in range(B):
        row = slice(i, i + 1)
        for batched, single in zip(together, codec.decode(actions[row]), strict=True):
            np.testing.assert_array_equal(batched[row], single)
        alone = codec.encode(*mapped(lambda array, row=row: array[row], (state, conditions)))
        np.testing.assert_array_equal(observed[row], alone)


def test_a_device_that_never_harvests_is_observed_as_off(tiny):
    scenario = tiny.replace(energy={"harvest_mean_w": [0.005, 0.0, 0.005]})
    conditions = Conditions(tiny.mean_channel_gain[None], np.array([[0.01, 0.0, 0.0]]))
    observed = Codec.of(scenario).encode(initial_state(constants_of(scenario), 1), conditions)
    np.testing.assert_array_equal(observed[0, 11:], [1, 0, 0])


# The range of the bound.


def test_a_horizon_of_a_hundred_thousand_rounds_takes_no_more_memory_than_its_rounds(tiny):
    longer = tiny.replace(budgets={"max_rounds": 100_000})
    tracemalloc.start()
    least, largest = longer.bound_value_range
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6
    shorter = tiny.bound_value_range
    assert least <= shorter[0]
    assert largest >= shorter[1]


def test_a_bound_that_falls_to_nothing_is_refused(tiny):
    without_noise = dict.fromkeys(("distribution_gap", "server_gradient_variance", "device_gradient_variance"), 0.0)
    steps = {"smoothness": 1.0, "server_step_size": 1.0, "device_step_size": 1.0, "pl_constant": 0.93}
    with pytest.raises(
        InvalidInputError,
        match=r"learning\.objective leaves nothing to decide: within 300 rounds the bound can fall to",
    ):
        tiny.replace(learning=without_noise | steps, budgets={"max_rounds": 300})
    fast = tiny.replace(learning=without_noise | steps, budgets={"max_rounds": 100})
    assert np.all(np.isfinite(Codec.of(fast).log_bound_range))


@given(seeds)
def test_every_bound_met_in_random_rollouts_lies_in_its_range(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    low, high = Codec.of(scenario).log_bound_range
    for switch in (None, 0.0, 1.0):
        trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario, switch))
        start = scenario.bound.value(initial_state(constants_of(scenario), 1).bound_terms)
        met = np.log(np.append(trajectory.outcomes.objective, start))
        assert low - 1e-12 <= np.min(met)
        assert np.max(met) <= high + 1e-12


def values_of_all_rounds(scenario, sets, max_rounds):
    """Psi of all numbers of rounds with the same set in each, at the least and the largest batches."""
    table, devices, K = scenario.to_dict(), scenario.devices, scenario.num_devices
    return [
        bound(table, [server_batch] * M, [np.where(part, batches, 0).tolist()] * N)
        for part in sets
        for server_batch in (1, scenario.server.batch_max)
        for batches in (np.ones(K), devices.batch_max)
        for M in range(max_rounds + 1)
        for N in range(max_rounds + 1 - M)
    ]


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(seeds)
def test_the_bound_of_all_numbers_of_rounds_at_the_extreme_batch_sizes_lies_in_its_range_whoever_takes_part(
    objective, seed
):
    scenario = random_scenario(np.random.default_rng(seed), objective=objective, max_rounds=6)
    sets = list(itertools.product([False, True], repeat=scenario.num_devices))
    values, (low, high) = values_of_all_rounds(scenario, sets, 6), scenario.bound_value_range
    assert low * (1 - 1e-12) <= min(values)
    assert max(values) <= high * (1 + 1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(seeds)
def test_the_bound_of_any_sets_and_batches_lies_in_its_range(objective, seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng, objective=objective, max_rounds=6)
    devices, (low, high) = scenario.devices, scenario.bound_value_range
    for _ in range(50):
        M = int(rng.integers(7))
        shape = (int(rng.integers(7 - M)), scenario.num_devices)
        part = rng.random(shape) < rng.choice([0.2, 0.5, 0.9])
        batches = np.where(rng.random(shape) < 0.5, 1, rng.integers(1, devices.batch_max + 1, shape)) * part
        server_batches = rng.integers(1, scenario.server.batch_max + 1, M).tolist()
        assert low * (1 - 1e-12) <= bound(scenario.to_dict(), server_batches, batches.tolist()) <= high * (1 + 1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("max_rounds", [1, 7])
@pytest.mark.parametrize("server", [{}, {"batch_max": 1}])
def test_the_range_of_the_bound_is_no_wider_than_that_where_devices_are_alike(tiny, objective, max_rounds, server):
    scenario = tiny.replace(learning={"objective": objective}, budgets={"max_rounds": max_rounds}, server=server)
    everyone, one = [True] * 3, [True, False, False]
    values = values_of_all_rounds(scenario, [everyone], max_rounds)
    # A single device in a single round, if only one after the last.
    batches = (np.where(one, each, 0).tolist() for each in (np.ones(3), scenario.devices.batch_max))
    for alone, server_batch in zip(batches, (1, scenario.server.batch_max), strict=True):
        values += [bound(scenario.to_dict(), [server_batch] * M, [alone]) for M in range(max_rounds + 1)]
    np.testing.assert_allclose(scenario.bound_value_range, (min(values), max(values)), rtol=1e-12)
