"""Measured slow-downs on tapes, and the law that is fitted to them."""

import numpy as np
import pytest

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.gradient_coding.traces import fitted_stragglers, with_slowdowns
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

TINY = Scenario.preset("coded-tiny")
TRACE = np.array([[1.5, 0.9, 1.0, 2.0, 7.0], [1.0, 1.2, 0.8, 2.5, 7.0], [1.1, 1.0, 1.0, 3.0, 7.0]])


@pytest.fixture
def tape() -> Tape:
    return sample_tape(TINY, 0)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "slow.csv"
    rows = "\n".join(",".join(map(str, row)) for row in TRACE.tolist())
    path.write_text(f"# compute time over the median, a column a device\n{rows}\n", encoding="utf-8")
    return path


def test_columns_go_to_devices_in_order_rounds_are_repeated_and_the_fast_count_as_usual(tape, file):
    changed = with_slowdowns(tape, file)
    expected = np.maximum(TRACE[:, :4], 1.0)
    for t in range(20):
        np.testing.assert_array_equal(changed.hidden.slowdown[t], expected[t % 3])
    np.testing.assert_array_equal(changed.hidden.slowdown, with_slowdowns(tape, TRACE).hidden.slowdown)


def test_nothing_else_on_the_tape_changes_nor_the_tape_that_was_handed_in(tape, file):
    before = mapped(np.copy, tape)
    changed = with_slowdowns(tape, file)
    mapped(np.testing.assert_array_equal, tuple(tape), tuple(before))
    same = changed._replace(hidden=changed.hidden._replace(slowdown=tape.hidden.slowdown))
    mapped(np.testing.assert_array_equal, tuple(same), tuple(tape))
    changed.hidden.slowdown[:] = 9.0
    assert with_slowdowns(tape, file).hidden.slowdown.max() == 3.0


def test_a_longer_trace_is_cut_and_every_episode_of_a_batch_gets_the_same(tape):
    long = 1.0 + np.arange(100.0).reshape(25, 4)
    tapes = with_slowdowns(Tape.stack([tape, sample_tape(TINY, 1)]), long)
    assert tapes.hidden.slowdown.shape == (2, 20, 4)
    for alone in tapes.checked(TINY).each():
        np.testing.assert_array_equal(alone.hidden.slowdown, long[:20])


def test_a_round_takes_as_much_longer_as_the_trace_says(tape, file):
    def computed_s(tape):
        one, each = np.ones(1), np.ones((1, 4))
        staged = {"switch": one > 0, "server_freq_hz": 1e9 * one, "server_batch": one}
        devices = {"freq_hz": 5e8 * each, "power_w": 0.1 * each, "batch": 4 * each, "asked": each > 0}
        no_code = {"edge_stragglers": np.zeros(1, dtype=int), "device_stragglers": np.zeros(1, dtype=int)}
        played = rollout(TINY, tape, lambda _: Allocation(**staged, **devices, **no_code))
        return played.outcomes.devices.compute_s[0, 0]

    usual = tape._replace(hidden=tape.hidden._replace(slowdown=np.ones((20, 4))))
    longer_s = computed_s(with_slowdowns(usual, file)) - computed_s(usual)
    np.testing.assert_allclose(longer_s, 7.5e6 * 4 / 5e8 * (np.maximum(TRACE[0, :4], 1.0) - 1), rtol=1e-12)


@pytest.mark.parametrize(
    ("trace", "sentence"),
    [
        (
            TRACE[:, :3],
            "a slow-down trace must have a row a round and at least 4 columns, one a device, got shape (3, 3)",
        ),
        (TRACE[0], "a slow-down trace must have a row a round and at least 4 columns, one a device, got shape (5,)"),
        (TRACE[:0], "a slow-down trace must have a row a round and at least 4 columns, one a device, got shape (0, 5)"),
        (-TRACE, "tape.hidden.slowdown must hold finite numbers of at least 0, got -1.5"),
        (TRACE * np.nan, "tape.hidden.slowdown must hold finite numbers of at least 0, got nan"),
    ],
)
def test_a_trace_that_does_not_fit_is_refused_in_a_sentence(tape, trace, sentence):
    for use in (lambda: with_slowdowns(tape, trace), lambda: fitted_stragglers(trace, 4)):
        with pytest.raises(InvalidInputError) as caught:
            use()
        assert str(caught.value) == sentence


def test_a_file_that_is_missing_or_no_table_is_named(tape, tmp_path):
    with pytest.raises(InvalidInputError, match=r"slow-down trace file '.*nowhere\.csv' does not exist"):
        with_slowdowns(tape, tmp_path / "nowhere.csv")
    (tmp_path / "words.csv").write_text("slow,fast\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"slow-down trace file '.*words\.csv' is not a table of numbers"):
        with_slowdowns(tape, str(tmp_path / "words.csv"))


def test_a_tape_of_another_system_takes_no_slow_downs(tiny_tape):
    with pytest.raises(InvalidInputError, match=r"^tape\.hidden must be a Hidden to take slow-downs, .* got tuple$"):
        with_slowdowns(tiny_tape, TRACE)


def test_the_fitted_law_counts_turns_and_means_column_by_column():
    trace = np.array(
        [
            [1.0, 2.0, 1.0, 1.0],
            [1.4, 2.2, 1.1, 1.0],
            [1.6, 1.8, 0.7, 1.0],
            [1.0, 2.0, 1.0, 1.0],
            [1.0, 2.0, 1.0, 1.3],
        ]
    )
    fitted = fitted_stragglers(trace, 4)
    # Of three rounds that could become slow one did, of two slow ones one recovered; always; never; at the very end,
    # after which the trace begins again.
    np.testing.assert_allclose(fitted["slow_factor"], [1.5, 2.0, 1.0, 1.3])
    np.testing.assert_allclose(fitted["slow_begin"], [1 / 3, 1.0, 0.0, 1 / 4])
    np.testing.assert_allclose(fitted["slow_end"], [1 / 2, 0.0, 1.0, 1.0])
    begin, end = (np.array(fitted[name]) for name in ("slow_begin", "slow_end"))
    np.testing.assert_allclose(begin / (begin + end), [2 / 5, 1.0, 0.0, 1 / 5])
    begins_slow = fitted_stragglers(np.array([[2.0], [2.0], [2.0], [1.0]]), 1)
    assert (begins_slow["slow_begin"], begins_slow["slow_end"]) == ([1.0], [pytest.approx(1 / 3)])
    assert fitted_stragglers(np.array([[2.0]]), 1)["slow_end"] == [0.0]
    assert fitted_stragglers(trace, 3, slow_from=1.05)["slow_factor"][2] == pytest.approx(1.1)


def test_a_scenario_takes_the_fitted_law_which_finds_its_own_constants_again(tmp_path):
    law = {"slow_factor": 2.0, "slow_begin": 0.1, "slow_end": [0.3, 0.5, 0.8, 0.3]}
    scenario = TINY.replace(stragglers=law, budgets={"max_rounds": 20_000})
    fitted = fitted_stragglers(sample_tape(scenario, 3).hidden.slowdown, 4)
    again = scenario.replace(stragglers=fitted).stragglers
    np.testing.assert_allclose(again.slow_factor, 2.0)
    np.testing.assert_allclose(again.slow_begin, 0.1, atol=0.015)
    np.testing.assert_allclose(again.slow_end, law["slow_end"], atol=0.05)
