"""What coded rounds hide: its law, that it has random numbers of its own, and tapes that hold it."""

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_codings import random_coded_tape, random_coding
from random_scenarios import seeds

from edgelearn_env.arrays.records import arrays_of, mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.hidden import Hidden, HiddenLaw, before_first_round, next_rounds
from edgelearn_env.gradient_coding.kernels import model_of
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.reader import TapeReader
from edgelearn_env.tapes.tape import Tape, sample_tape

TINY = Scenario.preset("coded-tiny")
# Statistics are within this many standard errors of their formulas: a failure by chance is a matter of 1 in 16 000.
ERRORS = 4.0


def assert_mean(samples, expected):
    """Independent samples have the expected mean, as far as their number can tell."""
    samples = np.ravel(samples)
    error = np.std(samples, ddof=1) / np.sqrt(samples.size)
    assert abs(np.mean(samples) - expected) <= ERRORS * error
    assert ERRORS * error < 0.2 * max(abs(expected), 0.1), "too few samples to tell anything"


def drawn(num_episodes: int, num_rounds: int, **stragglers) -> Hidden:
    """Many episodes of the smallest scenario: arrays (T, K, B) and (T, n, B)."""
    law = HiddenLaw.of(TINY.replace(stragglers=stragglers))
    key = stream_keys(np.arange(num_episodes), np.zeros(num_episodes, dtype=np.int64))
    return next_rounds(law, before_first_round(law, key), np.zeros(num_episodes, dtype=np.int64), num_rounds)[1]


# The law.


@pytest.mark.parametrize(("begin", "end"), [(0.2, 0.5), (0.1, 0.2), (0.9, 0.8)])
def test_devices_are_slowed_by_a_markov_chain_that_is_stationary_from_the_first_round_on(begin, end):
    slowdown = drawn(60_000, 6, slow_factor=3.0, slow_begin=begin, slow_end=end).slowdown[:, 0]
    assert set(np.unique(slowdown)) == {1.0, 3.0}
    slow = slowdown > 1
    for t in (0, 5):
        assert_mean(slow[t], begin / (begin + end))
        assert_mean(slowdown[t], 1 + 2 * begin / (begin + end))
    assert_mean(slow[3][~slow[2]], begin)
    assert_mean(~slow[3][slow[2]], end)
    # The chain forgets: what it does next does not depend on how it came here.
    assert_mean(slow[3][~slow[2] & slow[1]], begin)


@pytest.mark.parametrize(("begin", "end", "slow"), [(1.0, 0.0, True), (0.0, 1.0, False), (0.0, 0.0, False)])
def test_a_device_may_be_slowed_for_good_or_never(begin, end, slow):
    slowdown = drawn(50, 20, slow_factor=1.33, slow_begin=begin, slow_end=end).slowdown
    np.testing.assert_allclose(slowdown, 1.33 if slow else 1.0, rtol=1e-15)


def test_stalls_are_exponential():
    stall_s = drawn(40_000, 2, stall_s=[0.1, 0.2, 0.0, 1.0]).stall_s
    for device, mean_s in ((0, 0.1), (1, 0.2), (3, 1.0)):
        unit = stall_s[1, device] / mean_s
        assert_mean(unit, 1.0)
        assert_mean(unit**2, 2.0)
        assert_mean(unit > 1.0, np.exp(-1.0))
    assert np.all(stall_s[:, 2] == 0)
    assert np.all(stall_s >= 0)


def test_tries_are_geometric_and_one_where_nothing_is_erased():
    hidden = drawn(40_000, 2, erasure=[0.1, 0.0, 0.5, 0.9], edge_erasure=0.3)
    for tries, erasure in ((hidden.tries[1, 0], 0.1), (hidden.tries[1, 2], 0.5), (hidden.edge_tries[1, 1], 0.3)):
        assert np.all((tries >= 1) & (tries == np.round(tries)))
        assert_mean(tries, 1 / (1 - erasure))
        assert_mean(tries > 1, erasure)
        assert_mean(tries > 2, erasure**2)
    assert np.all(hidden.tries[:, 1] == 1)
    assert_mean(hidden.tries[1, 3], 10.0)


def test_devices_rounds_and_kinds_are_independent():
    hidden = drawn(40_000, 2, slow_begin=0.5, slow_end=0.5, stall_s=1.0, erasure=0.5, edge_erasure=0.5)
    slow, stall_s = (hidden.slowdown > 1) - 0.5, hidden.stall_s - 1.0
    again, edge_again = (hidden.tries > 1) - 0.5, (hidden.edge_tries > 1) - 0.5
    pairs = [(slow[0, 0], slow[0, 1]), (slow[0, 0], slow[1, 0]), (slow[1, 0], stall_s[1, 0]), (slow[1, 0], again[1, 0])]
    pairs += [(stall_s[0, 0], stall_s[1, 0]), (again[0, 2], again[0, 3]), (again[1, 0], edge_again[1, 0])]
    for left, right in pairs:
        assert_mean(left * right, 0.0)


def test_an_outlier_of_one_device_leaves_the_draws_of_all_others_alone():
    plain, changed = (drawn(5, 20, slow_factor=factor) for factor in (3.0, [18.0, 3.0, 3.0, 3.0]))
    np.testing.assert_array_equal(plain.slowdown[:, 1:], changed.slowdown[:, 1:])
    np.testing.assert_allclose((changed.slowdown - 1)[:, 0], 17 / 2 * (plain.slowdown - 1)[:, 0])
    mapped(np.testing.assert_array_equal, plain[1:], changed[1:])


@given(seed=seeds, first=st.integers(1, 20), size=st.integers(1, 5))
@settings(max_examples=20)
def test_a_round_is_the_same_however_many_are_drawn_with_it_and_whatever_its_batch(seed, first, size):
    scenario = random_coding(np.random.default_rng(seed))
    law, horizon = model_of(scenario), scenario.budgets.max_rounds
    state = law.before_first_round(stream_keys(np.arange(seed, seed + size), np.full(size, 3)))
    first = min(first, horizon)
    state, early = law.next_rounds(state, first)
    parts = [early] if first == horizon else [early, law.next_rounds(state, horizon - first)[1]]
    together = mapped(lambda *arrays: np.concatenate(arrays)[:, :, -1], *parts)
    mapped(np.testing.assert_array_equal, tuple(together), tuple(sample_tape(scenario, seed + size - 1, 3)))


@given(seeds)
@settings(max_examples=20)
def test_gains_and_harvests_of_a_seed_are_those_of_the_two_stage_scenario_alike(seed):
    scenario = random_coding(np.random.default_rng(seed))
    alike = {name: table for name, table in scenario.to_dict().items() if name not in ("coding", "stragglers")}
    plain = sample_tape(Scenario.from_dict(alike | {"system": "two-stage"}), seed, 2)
    coded = sample_tape(scenario, seed, 2)
    np.testing.assert_array_equal(coded.channel_gain, plain.channel_gain)
    np.testing.assert_array_equal(coded.harvest_w, plain.harvest_w)
    assert plain.hidden == ()


def test_hidden_values_do_not_go_with_what_is_seen():
    scenario = TINY.replace(
        budgets={"max_rounds": 4000}, stragglers={"slow_begin": 0.5, "slow_end": 0.5, "stall_s": 1.0}
    )
    tapes = Tape.stack([sample_tape(scenario.replace(radio={"fading_correlation": 0.0}), seed) for seed in range(5)])
    power = tapes.channel_gain / scenario.mean_channel_gain - 1
    assert_mean(power * (tapes.hidden.slowdown > 1) - 0.5 * power, 0.0)
    assert_mean(power * (tapes.hidden.stall_s - 1), 0.0)


@pytest.fixture(params=["array_api_strict", "torch"], scope="module")
def xp(request):
    if request.param == "array_api_strict":
        return array_api_strict
    pytest.importorskip("torch")
    from edgelearn_env.arrays import torch_names

    return torch_names


@given(seed=seeds)
@settings(max_examples=10)
def test_it_is_the_same_in_other_array_libraries(xp, seed):
    scenario = random_coding(np.random.default_rng(seed))
    key, t = stream_keys(np.arange(3), np.zeros(3, dtype=np.int64)), np.array([0, 4, 9])
    ours, theirs = HiddenLaw.of(scenario), HiddenLaw.of(scenario, xp)
    expected = next_rounds(ours, before_first_round(ours, key), t, 5)
    found = next_rounds(theirs, before_first_round(theirs, xp.asarray(key)), xp.asarray(t), 5)
    for array, other in zip(arrays_of(expected), arrays_of(found), strict=True):
        assert np.asarray(other).dtype == array.dtype
        np.testing.assert_allclose(np.asarray(other), array, rtol=1e-12)


# Reading it round by round.


@pytest.mark.parametrize("batch_size", [1, 3, 130])
def test_readers_meet_the_rounds_of_each_tape_whether_drawn_or_given(rng, batch_size):
    scenario = random_coding(rng, shape=(2, 2))
    given_tape = random_coded_tape(rng, scenario)
    reader, rows = TapeReader(model_of(scenario), batch_size), np.arange(batch_size)
    reader.begin(rows, rows + 5, rows * 0)
    if batch_size > 1:
        reader.begin_given(rows[:1], given_tape)
    for t in range(scenario.budgets.max_rounds):
        for row in rng.integers(batch_size, size=3):
            tape = given_tape if batch_size > 1 and row == 0 else sample_tape(scenario, int(row) + 5)
            for read, array in zip(arrays_of(reader.conditions), arrays_of(tape), strict=True):
                np.testing.assert_array_equal(read[row], array[t])
        reader.advance(np.full(batch_size, t == scenario.budgets.max_rounds - 1))


def test_tensors_read_the_same_tapes(rng):
    torch = pytest.importorskip("torch")
    from edgelearn_env.arrays import torch_names
    from edgelearn_env.tapes.tensor_reader import TensorTapes, advanced

    scenario = random_coding(rng, shape=(2, 3))
    T, model = scenario.budgets.max_rounds, model_of(scenario, xp=torch_names, device="cpu")
    tapes = TensorTapes(model, 3, "cpu")
    tapes.name_sequences(np.array([4, 5, 6]))
    never = torch.zeros(3, dtype=torch.bool)
    given_tapes = Tape.stack([random_coded_tape(rng, scenario) for _ in range(3)])
    for tape in (None, given_tapes, given_tapes.rows(1)):
        tapes.begin(tape)
        reading = tapes.reading
        drawn_tapes = Tape.stack([sample_tape(scenario, seed) for seed in (4, 5, 6)])
        expected = drawn_tapes if tape is None else tape
        for t in range(T):
            for read, array in zip(arrays_of(reading.conditions), arrays_of(expected), strict=True):
                rounds = array[:, t] if array.ndim == 3 else np.tile(array[t], (3, 1))
                np.testing.assert_allclose(read.numpy(), rounds, rtol=1e-12)
            if t < T - 1:
                reading = advanced(model, reading, torch.full((3,), t + 1), never, begin_next=False)


# Tapes that hold it.


def test_a_tape_with_hidden_values_comes_back_from_its_file_and_from_a_batch(tmp_path):
    tapes = [sample_tape(TINY, seed) for seed in (0, 1)]
    for name, tape in (("one", tapes[0]), ("two", Tape.stack(tapes))):
        tape.save(tmp_path / f"{name}.npz")
        loaded = Tape.load(tmp_path / f"{name}.npz")
        assert type(loaded.hidden) is Hidden
        mapped(np.testing.assert_array_equal, tuple(loaded), tuple(tape))
        loaded.checked(TINY)
    for alone, tape in zip(Tape.stack(tapes).each(), tapes, strict=True):
        mapped(np.testing.assert_array_equal, tuple(alone), tuple(tape))


def test_a_file_with_hidden_values_that_no_system_has_is_called_no_tape(tmp_path):
    tape = sample_tape(TINY, 0)
    np.savez(
        tmp_path / "odd.npz", channel_gain=tape.channel_gain, harvest_w=tape.harvest_w, **{"hidden.mood": np.ones(3)}
    )
    with pytest.raises(InvalidInputError, match=r"tape file '.*odd\.npz' is damaged or not a tape$"):
        Tape.load(tmp_path / "odd.npz")


def changed(tape: Tape, **hidden) -> Tape:
    return tape._replace(hidden=tape.hidden._replace(**hidden))


ROUNDS = {"slowdown": 4, "stall_s": 4, "tries": 4, "edge_tries": 2}


@pytest.mark.parametrize("name", Hidden._fields)
@pytest.mark.parametrize("shape", [(19, 4), (20, 3), (20,), ()])
def test_hidden_values_of_a_wrong_shape_are_refused_with_both_shapes(name, shape):
    columns = "coding.num_edges" if name == "edge_tries" else "devices.num_devices"
    with pytest.raises(InvalidInputError) as caught:
        changed(sample_tape(TINY, 0), **{name: np.ones(shape)}).checked(TINY)
    expected = f"tape.hidden.{name} must have shape (20, {ROUNDS[name]}) (budgets.max_rounds, {columns})"
    assert str(caught.value) == f"{expected}, got {shape}"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("slowdown", 0.9, "tape.hidden.slowdown must hold finite numbers of at least 1, got 0.9"),
        ("stall_s", -0.1, "tape.hidden.stall_s must hold finite numbers of at least 0, got -0.1"),
        ("stall_s", np.inf, "tape.hidden.stall_s must hold finite numbers of at least 0, got inf"),
        ("tries", 0.0, "tape.hidden.tries must hold finite numbers of at least 1, got 0"),
        ("tries", 1.5, "tape.hidden.tries must hold whole numbers, got 1.5"),
        ("edge_tries", 2.5, "tape.hidden.edge_tries must hold whole numbers, got 2.5"),
        ("edge_tries", np.nan, "tape.hidden.edge_tries must hold finite numbers of at least 1, got nan"),
    ],
)
def test_a_hidden_value_that_cannot_be_is_refused_with_it(name, value, sentence):
    tape = sample_tape(TINY, 0)
    array = getattr(tape.hidden, name).copy()
    array[11, 1] = value
    with pytest.raises(InvalidInputError) as caught:
        changed(tape, **{name: array}).checked(TINY)
    assert str(caught.value) == sentence


def test_hidden_values_of_another_batch_than_the_gains_are_refused():
    one, two = sample_tape(TINY, 0), Tape.stack([sample_tape(TINY, seed) for seed in (0, 1)])
    with pytest.raises(InvalidInputError) as caught:
        two._replace(hidden=one.hidden).checked(TINY)
    sentence = "tape.hidden.slowdown must have the leading axes of tape.channel_gain, (2, 20), got (20,)"
    assert str(caught.value) == sentence


def test_a_tape_without_what_is_hidden_is_refused_and_so_is_one_with_it_for_another_system(tiny, tiny_tape):
    tape = sample_tape(TINY, 0)
    for hidden in ((), tuple(tape.hidden), [*tape.hidden]):
        with pytest.raises(InvalidInputError) as caught:
            tape._replace(hidden=hidden).checked(TINY)
        sentence = "tape.hidden must be a Hidden for system 'gradient-coding'"
        assert str(caught.value) == f"{sentence}, got {type(hidden).__name__}"
    for hidden in (tape.hidden, np.ones(3), [1.0]):
        with pytest.raises(InvalidInputError) as caught:
            tiny_tape._replace(hidden=hidden).checked(tiny)
        sentence = "tape.hidden must be empty for system 'two-stage'"
        assert str(caught.value) == f"{sentence}, got {type(hidden).__name__}"


def test_lists_of_numbers_do_and_become_arrays():
    tape = sample_tape(TINY, 0)
    lists = changed(tape, **{name: array.tolist() for name, array in tape.hidden._asdict().items()})
    mapped(np.testing.assert_array_equal, tuple(lists.checked(TINY)), tuple(tape))


def test_scenarios_refuse_edge_nodes_and_codes_that_do_not_fit_in_a_sentence():
    for changes, sentence in (
        ({"num_edges": 3}, "coding.num_edges must divide devices.num_devices = 4, got 3"),
        ({"stored_edge_stragglers": 2}, "coding.stored_edge_stragglers must be below coding.num_edges = 2, got 2"),
        (
            {"stored_device_stragglers": 2},
            "coding.stored_device_stragglers must be below the number of devices under an edge node, 2, got 2",
        ),
    ):
        with pytest.raises(InvalidInputError) as caught:
            TINY.replace(coding=changes)
        assert str(caught.value) == sentence
    assert isinstance(TINY, GradientCodingScenario)
    assert TINY.codes == ((0, 0), (0, 1), (1, 0), (1, 1))
    assert TINY.in_words == "4 devices, 15 s, 2.5 J, finetune bound, 2 edge nodes, codes up to (1, 1)"
