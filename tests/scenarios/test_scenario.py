"""Scenarios: presets, files, copies with changes, and every limit of every field."""

import copy
import dataclasses
import pickle
import tomllib
from importlib import resources

import numpy as np
import pytest
import tomli_w
from hypothesis import given
from random_scenarios import random_scenario, seeds

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.quantities import Limits
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.two_stage.scenario import TwoStageScenario

PARTS = TwoStageScenario.parts()

FIELDS = [
    pytest.param(part, field.name, field.metadata["limits"], id=f"{part}.{field.name}")
    for part, kind in PARTS.items()
    for field in dataclasses.fields(kind)
    if "limits" in field.metadata
]
PER_DEVICE = [param for param in FIELDS if param.values[2].per_device]
SINGLE = [param for param in FIELDS if not param.values[2].per_device]


def with_value(scenario: Scenario, part: str, field: str, value) -> Scenario:
    return scenario.replace(**{part: {field: value}})


def violations(limits: Limits) -> list[tuple[float, str]]:
    """Values that break each declared limit by as little as a number can, and the words for it."""
    broken = [(value, "a finite number") for value in (np.nan, np.inf, -np.inf)]
    if np.isfinite(limits.above):
        broken += [(limits.above, f"above {limits.above:g}"), (limits.above - 1, f"above {limits.above:g}")]
    if np.isfinite(limits.at_least):
        below = np.nextafter(limits.at_least, -np.inf)
        broken += [(value, f"at least {limits.at_least:g}") for value in (below, limits.at_least - 1)]
    if np.isfinite(limits.at_most):
        beyond = np.nextafter(limits.at_most, np.inf)
        broken += [(value, f"at most {limits.at_most:g}") for value in (beyond, limits.at_most + 1)]
    if np.isfinite(limits.below):
        broken += [(limits.below, f"below {limits.below:g}")]
    if limits.integer:
        broken += [(2.5, "a whole number")]
    return broken


# Presets.


def test_the_presets_that_ship_are_listed():
    of_codes, of_layers = ("coded", "coded-tiny", "run-time", "stragglers"), ("layers", "layers-tiny")
    assert Scenario.presets() == tuple(sorted([*of_codes, *of_layers, "default", "large", "remote", "tiny"]))


@pytest.mark.parametrize("name", Scenario.presets())
def test_every_preset_loads_under_its_own_name(name):
    scenario = Scenario.preset(name)
    assert scenario.name == name
    assert Scenario.load(name) == scenario


@pytest.mark.parametrize(
    ("name", "num_devices", "max_rounds"), [("default", 10, 300), ("large", 50, 300), ("tiny", 3, 30)]
)
def test_presets_have_the_sizes_that_they_are_known_by(name, num_devices, max_rounds):
    scenario = Scenario.preset(name)
    assert (scenario.num_devices, scenario.budgets.max_rounds) == (num_devices, max_rounds)


def test_devices_of_the_larger_preset_begin_with_those_of_the_default():
    default, large = Scenario.preset("default"), Scenario.preset("large")
    for field in ("freq_max_hz", "capacitance_j_s2", "distance_m"):
        np.testing.assert_array_equal(getattr(large.devices, field)[:10], getattr(default.devices, field))


def test_an_unknown_preset_is_named_with_those_there_are():
    with pytest.raises(InvalidInputError) as caught:
        Scenario.preset("huge")
    assert str(caught.value) == f"unknown scenario preset 'huge': choose one of {', '.join(Scenario.presets())}"


# Files and tables.


@given(seeds)
def test_a_scenario_comes_back_from_its_tables_as_it_was(seed):
    scenario = random_scenario(np.random.default_rng(seed))
    assert Scenario.from_dict(scenario.to_dict()) == scenario


@pytest.mark.parametrize("name", Scenario.presets())
def test_a_scenario_comes_back_from_its_file_as_it_was(tmp_path, name):
    scenario, path = Scenario.preset(name), tmp_path / "made" / "scenario.toml"
    scenario.to_toml(path)
    assert Scenario.from_toml(path) == Scenario.load(path) == Scenario.load(str(path)) == scenario
    assert list(path.parent.iterdir()) == [path]


def test_tables_hold_plain_values_only(tiny):
    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(entry) for key, entry in value.items())
        if isinstance(value, list):
            return all(type(entry) in (int, float) for entry in value)
        return type(value) in (int, float, str)

    assert plain(tiny.to_dict())


def test_a_scenario_loads_from_itself_and_from_tables(tiny):
    assert Scenario.load(tiny) is tiny
    assert Scenario.load(tiny.to_dict()) == tiny


def test_a_file_with_a_base_lists_only_what_differs(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text('preset = "tiny"\nname = "short"\n[budgets]\ndelay_s = 5.0\n', encoding="utf-8")
    assert Scenario.load(path) == Scenario.preset("tiny").replace(name="short", budgets={"delay_s": 5.0})


def test_loading_leaves_the_tables_alone():
    table = {"preset": "tiny", "budgets": {"delay_s": 5.0}}
    before = copy.deepcopy(table)
    Scenario.from_dict(table)
    assert table == before


def test_fields_with_a_default_may_be_left_out(tiny):
    table = tiny.to_dict()
    del table["radio"]["shadowing_std_db"], table["learning"]["objective"]
    assert Scenario.from_dict(table) == tiny


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table.pop("radio"), "scenario part 'radio' is missing (or name a base: preset = \"default\")"),
        (lambda table: table.pop("name"), "scenario part 'name' is missing (or name a base: preset = \"default\")"),
        (lambda table: table["radio"].pop("downlink_s"), "radio.downlink_s is missing"),
        (lambda table: table.update(radio=3), "radio must be a table of fields, got 3"),
        (
            lambda table: table.update(antennas={}),
            "unknown scenario part 'antennas': choose one of budgets, devices, energy, learning, name, radio, server",
        ),
        (
            lambda table: table["budgets"].update(delay=3),
            "unknown field of budgets 'delay': choose one of delay_s, energy_j, max_rounds",
        ),
    ],
)
def test_tables_that_lack_something_or_have_too_much_are_refused_with_its_name(tiny, change, sentence):
    table = tiny.to_dict()
    change(table)
    with pytest.raises(InvalidInputError) as caught:
        Scenario.from_dict(table)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"name = ", "is not valid TOML: "),
        (b"\xff\xfe", "is not valid TOML: "),
        (b'preset = "tiny"\n[budgets]\ndelay_s = -1', ": budgets.delay_s must be above 0, got -1"),
        (b'preset = "tin"', ": unknown scenario preset 'tin'"),
        (b'preset = "tiny"\nbudgets = 3', ": budgets must be a table of fields, got 3"),
        (b'preset = "tiny"\n[budgets]\ndelay_s = "long"', ": budgets.delay_s must be a number, got 'long'"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_the_file(tmp_path, content, complaint):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        Scenario.load(path)
    assert str(caught.value).startswith(f"scenario file {str(path)!r}")
    assert complaint in str(caught.value)


def test_a_missing_scenario_file_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"scenario file '.*nowhere\.toml' does not exist"):
        Scenario.load(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("name", ["default", "large", "tiny"])
def test_a_shipped_file_lists_every_field_so_that_it_can_be_copied_as_a_template(name):
    text = (resources.files("edgelearn_env.two_stage") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    written, read = tomllib.loads(text), Scenario.preset(name).to_dict()
    assert {part: set(written[part]) for part in PARTS} == {part: set(read[part]) for part in PARTS}


# Copies with changes.


def test_a_copy_differs_in_what_was_changed_and_in_nothing_else(tiny):
    before, expected = tiny.to_dict(), tiny.to_dict()
    changed = tiny.replace(name="short", budgets={"delay_s": 5.0}, radio={"downlink_j": 0.0})
    expected["name"], expected["budgets"]["delay_s"], expected["radio"]["downlink_j"] = "short", 5.0, 0.0
    assert changed.to_dict() == expected
    assert tiny.to_dict() == before != expected


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"antennas": {}}, "unknown scenario part 'antennas': choose one of budgets, devices, energy"),
        ({"budgets": {"delay": 3.0}}, "unknown field of budgets 'delay': choose one of delay_s, energy_j, max_rounds"),
        ({"budgets": 3.0}, "budgets must be a table of fields, got 3.0"),
        ({"budgets": {"delay_s": 0.0}}, "budgets.delay_s must be above 0, got 0"),
    ],
)
def test_changes_that_do_not_fit_are_refused_with_their_name(tiny, changes, sentence):
    with pytest.raises(InvalidInputError) as caught:
        tiny.replace(**changes)
    assert str(caught.value).startswith(sentence)


def test_scenarios_are_equal_when_every_value_is(tiny):
    assert Scenario.preset("default") == Scenario.preset("default")
    assert tiny == Scenario.from_dict(tiny.to_dict())
    assert tiny != Scenario.preset("default")
    assert tiny != tiny.replace(devices={"distance_m": [112.0, 78.0, 122.5]})
    assert tiny != "tiny"
    assert tiny.radio != tiny.energy


# Values.


@pytest.mark.parametrize(("part", "field", "limits"), FIELDS)
def test_every_limit_of_every_field_is_enforced_with_field_and_value_in_the_sentence(tiny, part, field, limits):
    for value, words in violations(limits):
        with pytest.raises(InvalidInputError) as caught:
            with_value(tiny, part, field, value)
        assert str(caught.value) == f"{part}.{field} must be {words}, got {value:g}"


@pytest.mark.parametrize(("part", "field", "limits"), PER_DEVICE)
def test_every_limit_holds_for_each_device(tiny, part, field, limits):
    valid = getattr(getattr(tiny, part), field).tolist()
    for value, words in violations(limits):
        with pytest.raises(InvalidInputError) as caught:
            with_value(tiny, part, field, [valid[0], value, valid[2]])
        assert str(caught.value) == f"{part}.{field} must be {words}, got [{valid[0]:g}, {value:g}, {valid[2]:g}]"


@pytest.mark.parametrize(("part", "field", "limits"), FIELDS)
def test_every_field_has_a_symbol_a_meaning_and_its_unit_in_its_name(part, field, limits):
    assert limits.symbol
    assert limits.meaning
    suffixes = {
        "s": "_s",
        "J": "_j",
        "W": "_w",
        "Hz": "_hz",
        "bit": "_bit",
        "m": "_m",
        "dB": "_db",
        "W/Hz": "_w_per_hz",
    }
    if limits.unit in suffixes:
        assert field.endswith(suffixes[limits.unit])


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("radio", "downlink_j", 0.0),
        ("radio", "fading_correlation", 0.0),
        ("radio", "fading_correlation", 1.0),
        ("energy", "harvest_flip_probability", 1.0),
        ("energy", "harvest_mean_w", 0.0),
        ("server", "overhead_factor", 1.0),
        ("server", "batch_max", 1),
        ("learning", "distribution_gap", 0.0),
        ("budgets", "max_rounds", 1),
    ],
)
def test_a_value_at_an_end_that_belongs_to_its_range_is_taken(tiny, part, field, value):
    assert np.all(getattr(getattr(with_value(tiny, part, field, value), part), field) == value)


@pytest.mark.parametrize(("part", "field", "limits"), FIELDS)
def test_no_field_takes_a_negative_number_and_no_count_takes_zero(tiny, part, field, limits):
    for value in (-1e-12, *([0] if limits.integer else [])):
        with pytest.raises(InvalidInputError, match=rf"^{part}\.{field} must be a"):
            with_value(tiny, part, field, value)


@pytest.mark.parametrize(("part", "field"), [("radio", "fading_correlation"), ("energy", "harvest_flip_probability")])
def test_correlations_and_probabilities_do_not_exceed_one(tiny, part, field):
    with pytest.raises(InvalidInputError, match=rf"^{part}\.{field} must be at most 1, got 1\.1"):
        with_value(tiny, part, field, 1.1)


NO_NUMBERS = [
    pytest.param(value, id=repr(value).replace(" ", ""))
    for value in ("fast", "1.0", b"1", None, True, False, np.True_, 1j, np.complex128(1 + 0j), {}, {1.0}, object)
]


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize(
    ("field", "kind"), [("freq_max_hz", "a number, or one for each device"), ("num_devices", "a number")]
)
def test_what_is_no_number_is_refused_as_such(tiny, field, kind, value):
    with pytest.raises(InvalidInputError) as caught:
        with_value(tiny, "devices", field, value)
    assert str(caught.value) == f"devices.{field} must be {kind}, got {value!r}"


@pytest.mark.parametrize(
    "value",
    [
        ["1e9", "1e9", "1e9"],
        [True, True, True],
        [None, 1e9, 1e9],
        [1e9, 1e9, 1j],
        [[1e9, 1e9, 1e9]],
        [[1e9], [1e9, 1e9]],
        [],
        np.array([1e9, 1e9, 1e9 + 0j]),
        np.array([True, True, True]),
        np.array(["1e9"] * 3),
        np.ones((3, 1)),
    ],
    ids=repr,
)
def test_a_list_of_something_else_than_numbers_is_refused_as_such(tiny, value):
    with pytest.raises(InvalidInputError) as caught:
        with_value(tiny, "devices", "freq_max_hz", value)
    sentence = "devices.freq_max_hz must be a number, or one for each device"
    assert str(caught.value) == f"{sentence}, got {value!r}"


@pytest.mark.parametrize(("part", "field", "limits"), SINGLE)
def test_a_list_is_refused_where_one_number_belongs(tiny, part, field, limits):
    with pytest.raises(InvalidInputError) as caught:
        with_value(tiny, part, field, [1.0, 2.0])
    assert str(caught.value) == f"{part}.{field} must be a number, got [1.0, 2.0]"


@pytest.mark.parametrize(("part", "field", "limits"), PER_DEVICE)
def test_a_wrong_number_of_devices_is_refused_with_the_count(tiny, part, field, limits):
    value = getattr(getattr(tiny, part), field)[0]
    with pytest.raises(InvalidInputError, match=rf"^{part}\.{field} must be one number or 3 numbers .*, got 2: \["):
        with_value(tiny, part, field, [value, value])


@pytest.mark.parametrize(
    "value", [1e9, 1_000_000_000, np.float32(1e9), np.int64(10**9), np.array(1e9), np.array(10**9)]
)
def test_numbers_of_any_kind_become_float64(tiny, value):
    array = with_value(tiny, "devices", "freq_max_hz", value).devices.freq_max_hz
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [1e9, 1e9, 1e9])
    assert type(with_value(tiny, "server", "freq_max_hz", value).server.freq_max_hz) is float


@pytest.mark.parametrize("value", [12, 12.0, np.int32(12), np.array(12.0)])
def test_whole_numbers_of_any_kind_become_int(tiny, value):
    max_rounds = with_value(tiny, "budgets", "max_rounds", value).budgets.max_rounds
    assert max_rounds == 12
    assert type(max_rounds) is int


@pytest.mark.parametrize("value", [10**30, 10**400, -(10**400)], ids=["fits", "too-large", "too-small"])
def test_a_whole_number_too_large_for_the_machine_is_taken_or_refused_like_any_other(tiny, value):
    if value < 10**300 and value > 0:
        assert with_value(tiny, "budgets", "energy_j", value).budgets.energy_j == 1e30
    else:
        with pytest.raises(InvalidInputError, match=r"budgets\.energy_j must be a"):
            with_value(tiny, "budgets", "energy_j", value)


def test_an_objective_that_is_no_bound_is_refused_with_those_there_are(tiny):
    for value in ("sharpest", "", 3, None, ["finetune"], {}):
        with pytest.raises(InvalidInputError) as caught:
            tiny.replace(learning={"objective": value})
        shown = f"{value:g}" if value == 3 else repr(value)
        assert str(caught.value) == f"learning.objective must be one of finetune, two-stage, got {shown}"


# Values that have to fit each other.


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"server": {"freq_min_hz": 4e9}}, "server.freq_max_hz must be at least server.freq_min_hz, got 3e+09"),
        (
            {"devices": {"freq_min_hz": [1e8, 1e8, 6e8]}},
            "devices.freq_max_hz must be at least devices.freq_min_hz, got [1.18e+09, 1.3e+09, 5.8e+08]",
        ),
        (
            {"devices": {"power_min_w": 0.3}},
            "devices.power_max_w must be at least devices.power_min_w, got [0.2, 0.2, 0.2]",
        ),
        (
            {"energy": {"battery_initial_j": [0.3, 0.7, 0.3]}},
            "energy.battery_initial_j must be at most energy.battery_capacity_j, got [0.3, 0.7, 0.3]",
        ),
        (
            {"learning": {"server_step_size": 0.11}},
            "learning.server_step_size must be at most 1/learning.smoothness = 0.1, got 0.11",
        ),
        (
            {"learning": {"device_step_size": 0.2}},
            "learning.device_step_size must be at most 1/learning.smoothness = 0.1, got 0.2",
        ),
        ({"learning": {"pl_constant": 10.5}}, "learning.pl_constant must be at most learning.smoothness, got 10.5"),
        (
            {"learning": {"device_weight": [0.5, 0.3, 0.3]}},
            "learning.device_weight must sum to 1 (the sum is 1.1), got [0.5, 0.3, 0.3]",
        ),
        ({"learning": {"device_weight": 1.0}}, "learning.device_weight must sum to 1 (the sum is 3), got [1, 1, 1]"),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_a_sentence(tiny, changes, sentence):
    with pytest.raises(InvalidInputError) as caught:
        tiny.replace(**changes)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("smoothness", [1.0, 3.0, 7.0, 9.81, 49.0])
def test_step_sizes_may_be_the_reciprocal_of_the_smoothness(tiny, smoothness):
    eta = 1 / smoothness
    tiny.replace(
        learning={"smoothness": smoothness, "server_step_size": eta, "device_step_size": eta, "pl_constant": smoothness}
    )


def test_a_third_each_sums_to_one_and_equal_ends_of_a_range_are_a_range(tiny):
    assert np.sum(tiny.learning.device_weight) == pytest.approx(1, abs=1e-12)
    tiny.replace(devices={"freq_min_hz": tiny.devices.freq_max_hz}, energy={"battery_initial_j": 0.6})


def test_files_of_before_silence_mean_idle_rounds_of_a_second_and_data_that_are_alike(tiny):
    table = tiny.to_dict()
    assert (table["radio"].pop("idle_s"), table["learning"].pop("dissimilarity")) == (1.0, 0.0)
    assert Scenario.from_dict(table) == tiny


@pytest.mark.parametrize(
    ("part", "field", "value", "limit"),
    [
        ("radio", "idle_s", 0.0, "above 0"),
        ("radio", "idle_s", -1.0, "above 0"),
        ("learning", "dissimilarity", -0.1, "at least 0"),
    ],
)
def test_an_idle_round_takes_time_and_dissimilarity_is_a_square(tiny, part, field, value, limit):
    with pytest.raises(InvalidInputError, match=rf"{part}\.{field} must be .*{limit}"):
        with_value(tiny, part, field, value)


@pytest.mark.parametrize(("field", "unit"), [("delay_s", "s"), ("energy_j", "J")])
def test_a_budget_that_cannot_pay_one_round_of_one_sample_of_one_device_is_called_infeasible(tiny, field, unit):
    cycles, devices = 3e7 / 4, tiny.devices
    least = {
        "delay_s": 0.02 + min(cycles / devices.freq_max_hz),
        "energy_j": 0.01 + min(devices.capacitance_j_s2 * cycles * devices.freq_min_hz**2),
    }[field]
    with pytest.raises(InvalidInputError) as caught:
        with_value(tiny, "budgets", field, 0.75 * least)
    assert str(caught.value) == (
        f"budgets.{field} is infeasible, too small by {0.25 * least:.3g} {unit}: one fine-tuning round of one sample "
        f"takes {least:.3g} {unit} before any upload, got {0.75 * least:g}"
    )
    with pytest.raises(InvalidInputError, match="infeasible"):
        with_value(tiny, "budgets", field, least)
    with_value(tiny, "budgets", field, least * (1 + 1e-9))


# Derived values.


def test_derived_values_follow_from_the_fields(tiny):
    uneven = tiny.replace(devices={"flops_per_cycle": [1.0, 2.0, 4.0]}, radio={"path_loss_exponent": 2.0})
    assert uneven.num_devices == 3
    assert uneven.server_cycles_per_sample == 3e7 / 32
    np.testing.assert_array_equal(uneven.device_cycles_per_sample, [3e7, 1.5e7, 7.5e6])
    np.testing.assert_allclose(uneven.mean_channel_gain, [1e-3 / d**2 for d in (112, 78, 122)], rtol=1e-14)


# Arrays are nobody's but the scenario's.


def per_device_arrays(scenario):
    return {
        f"{part}.{field}": getattr(getattr(scenario, part), field)
        for part, field, _ in (param.values for param in PER_DEVICE)
    }


@pytest.mark.parametrize(
    "remade",
    [
        lambda scenario: scenario,
        lambda scenario: pickle.loads(pickle.dumps(scenario)),
        copy.copy,
        copy.deepcopy,
        lambda scenario: scenario.replace(name="again"),
        lambda scenario: Scenario.from_dict(scenario.to_dict()),
    ],
    ids=["itself", "pickled", "copied", "deep-copied", "replaced", "reread"],
)
def test_every_per_device_value_is_a_read_only_array_of_one_number_a_device(tiny, remade):
    scenario = remade(tiny)
    assert scenario.replace(name="tiny") == tiny
    for name, array in per_device_arrays(scenario).items():
        assert array.shape == (3,), name
        assert array.dtype == np.float64, name
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


@pytest.mark.parametrize(("part", "field", "limits"), PER_DEVICE)
def test_arrays_that_are_handed_in_are_copied(tiny, part, field, limits):
    mine = np.array(getattr(getattr(tiny, part), field))
    before = mine.copy()
    scenario = with_value(tiny, part, field, mine)
    mine *= 0.5
    np.testing.assert_array_equal(getattr(getattr(scenario, part), field), before)


def test_a_scenario_cannot_be_changed_in_place(tiny):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny.name = "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny.budgets.delay_s = 1.0


@given(seeds)
def test_random_scenarios_survive_pickling(seed):
    scenario = random_scenario(np.random.default_rng(seed))
    assert pickle.loads(pickle.dumps(scenario)) == scenario


def test_a_scenario_file_may_begin_with_a_byte_order_mark_as_editors_write_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "tiny"\nname = "mine"\n', encoding="utf-8-sig", newline="\r\n")
    assert Scenario.from_toml(path) == Scenario.preset("tiny").replace(name="mine")


@pytest.mark.parametrize("name", ["2025-01-01", "5", "true", '["a"]', '""', '" "'])
def test_a_name_that_is_no_text_is_refused_with_its_value(tmp_path, name):
    for file, content in (
        ("changed.toml", f'preset = "tiny"\nname = {name}\n'),
        ("whole.toml", tomli_w.dumps(Scenario.preset("tiny").to_dict()).replace('name = "tiny"', f"name = {name}")),
    ):
        (tmp_path / file).write_text(content)
        with pytest.raises(InvalidInputError, match=rf"{file}': name must be a text, got "):
            Scenario.from_toml(tmp_path / file)


@pytest.mark.parametrize("preset", ["tiny", "coded", "layers-tiny"])
@pytest.mark.parametrize("num_devices", [4, 20])
def test_another_number_of_devices_takes_the_first_ones_or_all_again_and_again(preset, num_devices):
    scenario = Scenario.preset(preset)
    changed = scenario.replace(devices={"num_devices": num_devices})
    assert changed.num_devices == num_devices
    for part in ("devices", "radio", "energy", "learning"):
        for field in dataclasses.fields(getattr(scenario, part)):
            before, after = (getattr(getattr(system, part), field.name) for system in (scenario, changed))
            if isinstance(before, np.ndarray) and field.name != "device_weight":
                np.testing.assert_array_equal(after, np.resize(before, num_devices))
    assert np.sum(changed.learning.device_weight) == pytest.approx(1.0)
    assert Scenario.load(preset, devices={"num_devices": num_devices}) == changed


def test_weights_of_another_number_of_devices_keep_their_ratios():
    scenario = Scenario.preset("tiny").replace(learning={"device_weight": [0.5, 0.3, 0.2]})
    weight = scenario.replace(devices={"num_devices": 2}).learning.device_weight
    np.testing.assert_allclose(weight, [0.625, 0.375])


def test_what_is_given_by_device_beside_their_number_is_taken_as_it_is(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text('preset = "tiny"\nname = "two"\n[devices]\nnum_devices = 2\ndistance_m = [50.0, 60.0]\n')
    scenario = Scenario.load(path)
    np.testing.assert_array_equal(scenario.devices.distance_m, [50.0, 60.0])
    np.testing.assert_array_equal(scenario.devices.freq_max_hz, Scenario.preset("tiny").devices.freq_max_hz[:2])
    with pytest.raises(InvalidInputError, match=r"devices.distance_m must be one number or 4 numbers .* got 3"):
        scenario.replace(devices={"num_devices": 4, "distance_m": [1.0, 2.0, 3.0]})


@pytest.mark.parametrize("num_devices", [0, -1, 2.5, "4", True, None])
def test_a_number_of_devices_that_is_none_is_refused(num_devices):
    with pytest.raises(InvalidInputError, match=r"^devices\.num_devices must be"):
        Scenario.preset("tiny").replace(devices={"num_devices": num_devices})


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"learning": 3}, "learning must be a table of fields, got 3"),
        ({"learning": [1]}, "learning must be a table of fields"),
        ({"devices": {"distance_m": [1.0, [2.0, 3.0], 4.0]}}, "devices.distance_m must be a number, or one for each"),
        ({"devices": {"distance_m": [True, 50.0, 60.0]}}, "devices.distance_m must be a number, or one for each"),
        ({"devices": {"distance_m": [50.0, 60.0]}}, "devices.distance_m must be one number or 4 numbers"),
        ({"learning": {"device_weight": [0.5, 0.5]}}, "learning.device_weight must be one number or 4 numbers"),
        ({"learning": {"device_weight": [[0.5, 0.5, 0.0]]}}, "learning.device_weight must be"),
        ({"learning": {"device_weight": [1.0, 1.0, 1.0]}}, "learning.device_weight must sum to 1 (the sum is 3)"),
        ({"learning": {"device_weight": [0.5, 0.5, float("inf")]}}, "learning.device_weight must be a finite number"),
        ({"learning": {"device_weight": "even"}}, "learning.device_weight must be"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_for_another_number_of_devices_too(table, sentence):
    with pytest.raises(InvalidInputError) as caught:
        Scenario.from_dict({"preset": "tiny", **table}, devices={"num_devices": 4})
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("changes", [{"system": "two-stage"}, {"preset": "default"}, {"nonsense": {}}])
@pytest.mark.parametrize("size", [{}, {"devices": {"num_devices": 4}}])
def test_changes_are_parts_of_the_scenario_whatever_its_size(changes, size):
    (part,) = changes
    for changed in (Scenario.preset("tiny").replace, lambda **changes: Scenario.load("tiny", **changes)):
        with pytest.raises(InvalidInputError, match=f"unknown scenario part '{part}'"):
            changed(**changes, **size)
