"""Tapes: their law, what they depend on, their files, and what is not a tape."""

import cmath
import math

import numpy as np
import pytest
from hypothesis import given
from random_scenarios import random_scenario, seeds

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.tapes.tape import Tape, sample_tape

# What a tape depends on.


def assert_same(first: Tape, second: Tape):
    np.testing.assert_array_equal(first.channel_gain, second.channel_gain)
    np.testing.assert_array_equal(first.harvest_w, second.harvest_w)


@given(seeds)
def test_the_same_arguments_give_the_same_tape(seed):
    scenario = random_scenario(np.random.default_rng(seed))
    assert_same(sample_tape(scenario, seed, 3), sample_tape(scenario, seed, 3))
    assert_same(sample_tape(scenario, seed), sample_tape(scenario, seed, 0))
    assert_same(sample_tape(scenario, seed), sample_tape(scenario, np.int64(seed)))


def test_other_seeds_and_other_episodes_give_other_tapes(tiny):
    gains = [sample_tape(tiny, seed, episode).channel_gain for seed in (0, 1) for episode in (0, 1, 2)]
    assert len({gain.tobytes() for gain in gains}) == 6


def test_a_tape_has_a_row_for_each_round_and_a_column_for_each_device(tiny, tiny_tape):
    assert tiny_tape.channel_gain.shape == tiny_tape.harvest_w.shape == (30, 3)
    assert tiny_tape.channel_gain.dtype == tiny_tape.harvest_w.dtype == np.float64
    assert np.all(tiny_tape.channel_gain > 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"budgets": {"delay_s": 99.0}},
        {"budgets": {"energy_j": 99.0}},
        {"energy": {"battery_initial_j": 0.1}},
        {"energy": {"battery_capacity_j": 9.0}},
        {"learning": {"objective": "two-stage"}},
        {"learning": {"upload_bit": 1e6}},
        {"server": {"batch_max": 7}},
        {"devices": {"power_max_w": 0.5}},
        {"radio": {"bandwidth_hz": 2e6, "downlink_s": 0.5}},
        {"name": "other"},
    ],
)
def test_what_is_no_part_of_channel_or_harvest_does_not_change_the_tape(tiny, tiny_tape, changes):
    changed = tiny.replace(**changes)
    assert changed != tiny
    assert_same(sample_tape(changed, 7), tiny_tape)


@pytest.mark.parametrize(
    ("changes", "gain_factor", "harvest_factor"),
    [({"radio": {"gain_at_1m": 2e-3}}, 2.0, 1.0), ({"energy": {"harvest_mean_w": 0.015}}, 1.0, 3.0)],
)
def test_means_scale_the_tape_and_leave_the_draws_alone(tiny, tiny_tape, changes, gain_factor, harvest_factor):
    changed = sample_tape(tiny.replace(**changes), 7)
    np.testing.assert_allclose(changed.channel_gain, gain_factor * tiny_tape.channel_gain, rtol=1e-14)
    np.testing.assert_allclose(changed.harvest_w, harvest_factor * tiny_tape.harvest_w, rtol=1e-14)


def splitmix64(state: int) -> int:
    """What the generator puts out in a state, by whole numbers without a limit."""
    z = state % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


@pytest.mark.parametrize(("seed", "episode"), [(0, 0), (3_000_017, 5), (2**63 - 1, 0)])
def test_a_seed_names_the_same_tape_in_every_version_on_every_machine(tiny, seed, episode):
    golden, num_devices, num_words = 0x9E3779B97F4A7C15, 3, 5
    shadowed = tiny.replace(radio={"shadowing_std_db": 4.0})
    tape, radio, energy = sample_tape(shadowed, seed, episode), shadowed.radio, shadowed.energy
    key = splitmix64(splitmix64(seed + golden) + (episode + 1) * golden)

    def row(index):
        words = [splitmix64(key + (index * num_words + j + 1) * golden) for j in range(num_words)]
        halves = [word >> 32 for word in words] + [word % 2**32 for word in words]
        return [(half + 0.5) / 2**32 for half in halves]

    def normal(numbers, k):
        return math.sqrt(-math.log(numbers[k])) * cmath.exp(2j * math.pi * (numbers[num_devices + k] - 0.5))

    for k in range(num_devices):
        c, on = normal(row(0), k), row(0)[2 * num_devices + k] < 0.5
        shadowing = 10 ** (4.0 * math.sqrt(2) * normal(row(1), k).real / 10)
        for t in range(30):
            numbers = row(t + 2)
            r = radio.fading_correlation
            c = r * c + math.sqrt(1 - r**2) * normal(numbers, k)
            on ^= numbers[2 * num_devices + k] < energy.harvest_flip_probability
            expected = shadowed.mean_channel_gain[k] * shadowing * abs(c) ** 2
            assert tape.channel_gain[t, k] == pytest.approx(expected, rel=1e-9)
            assert tape.harvest_w[t, k] == 2 * energy.harvest_mean_w[k] * on


@pytest.mark.parametrize("argument", ["seed", "episode"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "7", None, 2**63])
def test_a_seed_or_episode_that_is_no_whole_number_of_63_bits_is_refused(tiny, argument, value):
    with pytest.raises(InvalidInputError) as caught:
        sample_tape(tiny, **{"seed": 0} | {argument: value})
    assert str(caught.value) == f"{argument} must be a whole number from 0 to 2^63 - 1, got {value!r}"


# A batch of tapes.


def test_conditions_of_a_batch_are_those_of_each_episode_s_own_round(tiny):
    tapes = Tape.stack([sample_tape(tiny, seed) for seed in (1, 2, 3)])
    assert tapes.channel_gain.shape == (3, 30, 3)
    conditions = tapes.conditions(np.array([0, 4, 29]))
    for i, t in enumerate((0, 4, 29)):
        np.testing.assert_array_equal(conditions.channel_gain[i], tapes.channel_gain[i, t])
        np.testing.assert_array_equal(conditions.harvest_w[i], tapes.harvest_w[i, t])


def test_after_the_last_round_its_conditions_are_repeated(tiny_tape):
    tapes = Tape.stack([tiny_tape])
    np.testing.assert_array_equal(tapes.conditions(np.array([30])).channel_gain[0], tiny_tape.channel_gain[-1])


def test_conditions_are_no_window_into_the_tape(tiny_tape):
    tapes = Tape.stack([tiny_tape])
    conditions = tapes.conditions(np.array([2]))
    assert not np.shares_memory(conditions.channel_gain, tapes.channel_gain)
    assert not np.shares_memory(conditions.harvest_w, tapes.harvest_w)


# Fitting a scenario.


def test_a_tape_that_fits_comes_back_as_float64(tiny, tiny_tape):
    assert_same(tiny_tape.checked(tiny), tiny_tape)
    lists = Tape(tiny_tape.channel_gain.tolist(), tiny_tape.harvest_w.tolist())
    assert_same(lists.checked(tiny), tiny_tape)
    whole = Tape(np.ones((30, 3), dtype=int), np.zeros((30, 3), dtype=np.float32)).checked(tiny)
    assert whole.channel_gain.dtype == whole.harvest_w.dtype == np.float64
    Tape.stack([tiny_tape, tiny_tape]).checked(tiny)


@pytest.mark.parametrize("shape", [(29, 3), (30, 2), (3, 30), (90,), (), (1, 1, 30, 3), (2, 30, 4)])
@pytest.mark.parametrize("name", ["channel_gain", "harvest_w"])
def test_a_tape_of_a_wrong_shape_is_refused_with_both_shapes(tiny, tiny_tape, name, shape):
    with pytest.raises(InvalidInputError) as caught:
        tiny_tape._replace(**{name: np.ones(shape)}).checked(tiny)
    sentence = f"tape.{name} must have shape (30, 3) (budgets.max_rounds, devices.num_devices)"
    assert str(caught.value) == f"{sentence}, got {shape}"


@pytest.mark.parametrize("number", [(3, 1), (2, 3), (0, 0)])
def test_gains_and_harvests_of_different_numbers_of_episodes_or_of_none_are_refused(tiny, tiny_tape, number):
    gains, harvests = (np.stack([array] * 3)[:count] for array, count in zip(tiny_tape[:2], number, strict=True))
    with pytest.raises(InvalidInputError, match=r"tape\.harvest_w must|tape\.channel_gain must"):
        Tape(gains, harvests).checked(tiny)
    with pytest.raises(InvalidInputError, match=r"tape\.harvest_w must"):
        Tape(np.stack([tiny_tape.channel_gain]), tiny_tape.harvest_w).checked(tiny)


@pytest.mark.parametrize(("value", "text"), [(np.nan, "nan"), (np.inf, "inf"), (-1e-9, "-1e-09")])
@pytest.mark.parametrize("name", ["channel_gain", "harvest_w"])
def test_a_tape_with_a_value_that_is_not_finite_or_negative_is_refused_with_it(tiny, tiny_tape, name, value, text):
    array = getattr(tiny_tape, name).copy()
    array[11, 2] = value
    with pytest.raises(InvalidInputError) as caught:
        tiny_tape._replace(**{name: array}).checked(tiny)
    assert str(caught.value) == f"tape.{name} must hold finite numbers of at least 0, got {text}"


@pytest.mark.parametrize("what", [np.full((30, 3), "x"), np.full((30, 3), None), np.ones((30, 3)) * 1j])
def test_a_tape_of_something_else_than_numbers_is_refused(tiny, tiny_tape, what):
    with pytest.raises(InvalidInputError, match=r"tape\.harvest_w must hold finite numbers of at least 0"):
        tiny_tape._replace(harvest_w=what).checked(tiny)


# Files.


def test_a_tape_comes_back_from_its_file_as_it_was(tmp_path, tiny_tape):
    for name, tape in (("one", tiny_tape), ("two", Tape.stack([tiny_tape, tiny_tape]))):
        path = tmp_path / "tapes" / f"{name}.npz"
        tape.save(path)
        assert_same(Tape.load(path), tape)
        assert [file.name for file in path.parent.glob(f"*{name}*")] == [f"{name}.npz"]


def test_a_failure_while_saving_leaves_the_old_tape(tmp_path, tiny_tape, monkeypatch):
    path = tmp_path / "tape.npz"
    tiny_tape.save(path)

    def fail_midway(file, **arrays):
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail_midway)
    with pytest.raises(OSError, match="no space left"):
        Tape(tiny_tape.channel_gain + 1, tiny_tape.harvest_w).save(path)
    assert_same(Tape.load(path), tiny_tape)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["tape", "tape.npy", "tape.npz.bak"])
def test_a_tape_is_only_saved_under_the_suffix_that_says_what_it_is(tmp_path, tiny_tape, name):
    with pytest.raises(InvalidInputError, match=r"tape path must end in \.npz, got '.*" + name):
        tiny_tape.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tape_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"tape file '.*nowhere\.npz' does not exist"):
        Tape.load(tmp_path / "nowhere.npz")


def write_empty(path, tape):
    path.write_bytes(b"")


def write_text(path, tape):
    path.write_text("channel_gain = 1", encoding="utf-8")


def write_first_half(path, tape):
    tape.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_flipped(path, tape):
    tape.save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 40] = b"\xff" * 40
    path.write_bytes(bytes(content))


def write_single_array(path, tape):
    with path.open("wb") as file:
        np.save(file, tape.channel_gain)


def write_other_arrays(path, tape):
    np.savez(path, channel_gain=tape.channel_gain)


def write_objects(path, tape):
    np.savez(path, channel_gain=np.array([{}], dtype=object), harvest_w=tape.harvest_w)


@pytest.mark.parametrize(
    "write",
    [write_empty, write_text, write_first_half, write_flipped, write_single_array, write_other_arrays, write_objects],
)
def test_a_damaged_file_is_named_and_called_damaged(tmp_path, tiny_tape, write):
    path = tmp_path / "broken.npz"
    write(path, tiny_tape)
    with pytest.raises(InvalidInputError, match=r"tape file '.*broken\.npz' is damaged or not a tape$"):
        Tape.load(path)


@pytest.mark.parametrize("position", range(0, 100, 4))
def test_damage_anywhere_in_a_file_is_never_an_error_of_another_kind(tmp_path, tiny_tape, position):
    path = tmp_path / "tape.npz"
    tiny_tape.save(path)
    content = bytearray(path.read_bytes())
    start = len(content) * position // 100
    content[start : start + 8] = bytes(255 - byte for byte in content[start : start + 8])
    path.write_bytes(bytes(content))
    try:
        loaded = Tape.load(path)
    except InvalidInputError:
        return
    # Some bytes are never read, such as dates.
    assert_same(loaded, tiny_tape)


def test_trace_files_hold_a_line_a_round_and_a_number_a_device(tmp_path, tiny):
    gain, harvest = tmp_path / "gain.csv", tmp_path / "harvest.csv"
    gain.write_text("# device 0, device 1\n1e-9, 2e-9\n\n3e-9,4e-9\n", encoding="utf-8")
    harvest.write_text("0,0.5\n0.25,1 # dusk\n", encoding="utf-8")
    tape = Tape.from_csv(gain, harvest)
    np.testing.assert_array_equal(tape.channel_gain, [[1e-9, 2e-9], [3e-9, 4e-9]])
    np.testing.assert_array_equal(tape.harvest_w, [[0, 0.5], [0.25, 1]])


def test_a_trace_may_begin_with_a_byte_order_mark_as_spreadsheets_write_it(tmp_path):
    gain, harvest = tmp_path / "gain.csv", tmp_path / "harvest.csv"
    for path in (gain, harvest):
        path.write_text("1.5,2.5\n3.5,4.5\n", encoding="utf-8-sig", newline="\r\n")
    np.testing.assert_array_equal(Tape.from_csv(gain, harvest).channel_gain, [[1.5, 2.5], [3.5, 4.5]])


def test_a_trace_of_one_device_or_of_one_round_keeps_two_axes(tmp_path):
    gain, harvest = tmp_path / "gain.csv", tmp_path / "harvest.csv"
    gain.write_text("1\n2\n3\n", encoding="utf-8")
    harvest.write_text("1,2,3\n", encoding="utf-8")
    tape = Tape.from_csv(gain, harvest)
    assert tape.channel_gain.shape == (3, 1)
    assert tape.harvest_w.shape == (1, 3)


@pytest.mark.parametrize("content", ["1,two\n", "1,2\n3\n", "1;2\n", "", "# nothing but words\n"])
def test_a_trace_that_is_no_table_of_numbers_is_named(tmp_path, content):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("1,2\n", encoding="utf-8")
    bad.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"^harvest trace file '.*bad\.csv' is not a table of numbers: .+"):
        Tape.from_csv(good, bad)
    with pytest.raises(InvalidInputError, match=r"^channel gain trace file '.*bad\.csv'"):
        Tape.from_csv(bad, good)


def test_a_trace_in_an_unknown_encoding_is_named(tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"\xff\xfe1,2\n")
    with pytest.raises(InvalidInputError, match=r"bad\.csv' is not a table of numbers"):
        Tape.from_csv(bad, bad)


def test_a_missing_trace_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"channel gain trace file '.*nowhere\.csv' does not exist"):
        Tape.from_csv(tmp_path / "nowhere.csv", tmp_path / "nowhere.csv")
