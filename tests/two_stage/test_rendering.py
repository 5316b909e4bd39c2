"""Figures, images, terminal text and windows of episodes, at every stage of their life."""

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Trajectory, rollout
from edgelearn_env.two_stage import rendering

needs_pygame = pytest.mark.skipif(importlib.util.find_spec("pygame") is None, reason="pygame is an optional extra")
FRAME = (800, 1200, 3)


def played(scenario: Scenario, switch_after: int, seeds: tuple[int, ...] = (0,), batch: float = 13.0) -> Trajectory:
    """Modest decisions, with a power that grows by the round; episodes of a batch switch one round after another."""
    shape = (len(seeds), scenario.num_devices)
    one = np.ones(len(seeds))

    def policy(observed):
        t = observed.state.round_index
        power_w = np.full(shape, 5e-3) * (1 + 0.001 * t[:, None])
        return Allocation(
            switch=t >= switch_after + np.arange(len(seeds)),
            server_freq_hz=3.2e8 * one,
            server_batch=170 * one,
            freq_hz=np.full(shape, 4e8),
            power_w=power_w,
            batch=np.full(shape, batch),
        )

    return rollout(scenario, Tape.stack([sample_tape(scenario, seed) for seed in seeds]), policy)


def with_silence() -> Trajectory:
    """Two rounds of pre-training, six of fine-tuning: in the third one of these nobody takes part, in others some.

    The last device cannot pay for a round; the first sits every other one out.
    """
    tiny = Scenario.from_toml(Path(__file__).parents[1] / "tiny.toml")
    scenario = tiny.replace(
        energy={"battery_initial_j": [0.5, 0.5, 1e-4], "harvest_mean_w": 0.0}, budgets={"max_rounds": 8}
    )

    def policy(observed):
        t = observed.state.round_index[0]
        one, each = np.ones(1), np.ones((1, 3))
        batch = np.array([[0.0 if t % 2 == 0 else 13.0, 13.0, 13.0]]) * (t != 4)
        return Allocation(one * t >= 2, 3.2e8 * one, 170 * one, 4e8 * each, 5e-3 * each, batch)

    trajectory = rollout(scenario, sample_tape(scenario, 0), policy)
    part = trajectory.outcomes.devices.participates[0]
    expected = [[False] * 3] * 2 + [[bool(t % 2), True, False] for t in range(2, 8)]
    expected[4] = [False] * 3
    np.testing.assert_array_equal(part, expected)
    return trajectory


def until(trajectory: Trajectory, num_rounds: int) -> Trajectory:
    """The trajectory as it stood after its first rounds."""
    records = (trajectory.observed, trajectory.allocations, trajectory.outcomes)
    rounds = [mapped(lambda array, t=t: array[:, t], records) for t in range(num_rounds)]
    state = mapped(lambda array: array[:, num_rounds], trajectory.observed.state)
    return Trajectory.of_rounds(trajectory.scenario, rounds, state)


def before_the_first_round(scenario: Scenario, batch_size: int = 1) -> Trajectory:
    return Trajectory.of_rounds(scenario, [], initial_state(constants_of(scenario), batch_size))


@pytest.fixture
def trajectory(tiny: Scenario) -> Trajectory:
    return played(tiny, switch_after=8)


@pytest.fixture(scope="module")
def drawn() -> tuple[Trajectory, dict[str, Axes]]:
    """The same trajectory, for those who only look at it, and its panels."""
    trajectory = played(Scenario.from_toml(Path(__file__).parents[1] / "tiny.toml"), switch_after=8)
    return trajectory, panels_of(trajectory)


@pytest.fixture(scope="module")
def silent() -> tuple[Trajectory, dict[str, Axes]]:
    """One with silent devices, likewise."""
    trajectory = with_silence()
    return trajectory, panels_of(trajectory)


def panels_of(trajectory: Trajectory) -> dict[str, Axes]:
    """Panels by the beginning of their heading."""
    figure = rendering.episode_figure(trajectory)
    return {axes.get_title(loc="left").split(",")[0].split(" (")[0]: axes for axes in figure.axes}


def test_every_frame_of_an_episode_has_the_same_shape(tiny, trajectory):
    frames = [rendering.rgb_array(before_the_first_round(tiny))]
    frames += [rendering.rgb_array(until(trajectory, num_rounds)) for num_rounds in (8, 9)]
    frames += [rendering.rgb_array(trajectory)]
    assert {(frame.shape, frame.dtype) for frame in frames} == {(FRAME, np.dtype(np.uint8))}
    assert all(not np.array_equal(one, two) for one, two in itertools.pairwise(frames))


def test_a_frame_depends_on_the_trajectory_alone(tiny, trajectory):
    frame = rendering.rgb_array(trajectory)
    np.testing.assert_array_equal(frame, rendering.rgb_array(played(tiny, switch_after=8)))
    assert not np.array_equal(frame, rendering.rgb_array(played(tiny, switch_after=8, batch=14.0)))


def test_a_frame_is_handed_over_for_good(trajectory):
    frame = rendering.rgb_array(trajectory)
    assert frame.flags.owndata
    assert frame.flags.writeable
    assert frame.flags.c_contiguous


def test_an_episode_of_a_batch_looks_as_it_does_alone(tiny):
    batch = played(tiny, switch_after=6, seeds=(3, 4, 5))
    alone = [played(tiny, switch_after=6 + episode, seeds=(3 + episode,)) for episode in range(3)]
    assert len(set(batch.outcomes.counted.sum(axis=1))) > 1
    assert [rendering.ansi(batch, episode) for episode in range(3)] == [rendering.ansi(each) for each in alone]
    # One that is neither the first nor the last.
    np.testing.assert_array_equal(rendering.rgb_array(batch, 1), rendering.rgb_array(alone[1]))


@pytest.mark.parametrize("episode", [-1, 1])
def test_an_episode_that_the_batch_lacks_is_refused(trajectory, episode):
    with pytest.raises(InvalidInputError, match=f"episode must be from 0 to 0, got {episode}"):
        rendering.ansi(trajectory, episode)


@pytest.mark.parametrize(("name", "rounds"), [("tiny", "none"), ("tiny", "all"), ("default", "all"), ("large", "all")])
def test_nothing_is_drawn_beyond_the_page(name, rounds):
    scenario = Scenario.preset(name)
    whole = played(scenario, switch_after=8 if name == "tiny" else 100)
    figure = rendering.episode_figure(before_the_first_round(scenario) if rounds == "none" else whole)
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_the_bound_is_drawn_from_the_first_round_to_phi(drawn):
    trajectory, panels = drawn
    line = panels["Bound on the squared gradient norm"].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1 + trajectory.outcomes.counted.sum()))
    counted = trajectory.outcomes.objective[trajectory.outcomes.counted]
    np.testing.assert_allclose(line.get_ydata()[1:], counted, rtol=1e-12)
    assert line.get_ydata()[-1] == trajectory.objective[0]


def test_budgets_are_drawn_as_shares_of_their_limits(drawn):
    trajectory, panels = drawn
    delay, energy, limit = panels["Budgets used; the line is the limit"].lines[:3]
    state, budgets = trajectory.final_state, trajectory.scenario.budgets
    assert delay.get_ydata()[-1] == pytest.approx(100 * state.elapsed_s[0] / budgets.delay_s)
    assert energy.get_ydata()[-1] == pytest.approx(100 * state.spent_j[0] / budgets.energy_j)
    assert set(limit.get_ydata()) == {100}


def parts_of_durations(trajectory, first):
    """What each round's time went into, by hand; `first` is the first round of fine-tuning."""
    num_rounds, devices = trajectory.outcomes.counted.sum(), trajectory.outcomes.devices
    rows = np.arange(num_rounds)
    slowest = np.argmax((devices.compute_s + devices.upload_s)[0, :num_rounds], axis=-1)
    durations_s = trajectory.outcomes.duration_s[0, :num_rounds]
    someone = np.any(devices.participates[0, :num_rounds], axis=-1)
    return {
        "server": np.where(rows < first, durations_s, 0.0),
        "idle": np.where(someone | (rows < first), 0.0, trajectory.scenario.radio.idle_s),
        "compute": devices.compute_s[0, rows, slowest],
        "upload": devices.upload_s[0, rows, slowest],
        "downlink": np.where(someone, trajectory.scenario.radio.downlink_s, 0.0),
    }


def assert_stacks_are(axes, expected, durations_s, whole):
    stacks = {patch.get_label(): patch.get_data() for patch in axes.patches}
    assert list(stacks) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose((stacks[name].values - stacks[name].baseline)[whole], values[whole], atol=1e-12)
    np.testing.assert_allclose(stacks["downlink"].values[whole], durations_s[whole])


def test_stacked_times_are_those_of_the_slowest_device_and_add_up_to_the_durations(drawn):
    trajectory, panels = drawn
    durations_s = trajectory.outcomes.duration_s[0, : trajectory.outcomes.counted.sum()]
    axes = panels["Where a round's time goes"]
    whole = durations_s < axes.get_ylim()[1] / 1.3
    assert whole.sum() > 12
    assert_stacks_are(axes, parts_of_durations(trajectory, 8), durations_s, whole)


def test_the_time_of_a_round_of_nobody_is_stacked_as_idle_and_that_of_others_is_their_participants(silent):
    trajectory, panels = silent
    expected, axes = parts_of_durations(trajectory, 2), panels["Where a round's time goes"]
    np.testing.assert_array_equal(np.flatnonzero(expected["idle"]), [4])
    whole = trajectory.outcomes.duration_s[0] <= axes.get_ylim()[1] / 1.3
    assert whole[4]
    assert_stacks_are(axes, expected, trajectory.outcomes.duration_s[0], whole)


def test_rounds_far_longer_than_usual_are_cut_and_the_heading_says_so(tiny):
    whole = played(tiny, switch_after=2)
    longest = int(np.argmax(whole.outcomes.duration_s[0]))
    whole.outcomes.duration_s[0, longest] = 123.0
    axes = panels_of(whole)["Where a round's time goes"]
    assert "up to 123 s" in axes.get_title(loc="left")
    assert axes.get_ylim()[1] < 20
    assert list(axes.lines[0].get_xdata()) == [longest + 0.5]


@pytest.mark.parametrize(
    ("heading", "shown"),
    [
        ("Channel gain", lambda t: 10 * np.log10(t.observed.conditions.channel_gain)),
        ("Harvested power", lambda t: 1e3 * t.observed.conditions.harvest_w),
        ("Fine-tuning", lambda t: 1e-9 * t.allocations.freq_hz[:, 8:]),
        ("Transmit power", lambda t: 1e3 * t.allocations.power_w[:, 8:]),
        ("Batch", lambda t: t.allocations.batch[:, 8:]),
    ],
)
def test_heat_maps_show_one_row_a_device_and_one_column_a_counted_round(drawn, heading, shown):
    trajectory, panels = drawn
    (image,) = panels[heading].images
    num_rounds = trajectory.outcomes.counted.sum()
    if heading not in ("Channel gain", "Harvested power"):
        num_rounds -= 8
        # All take part in most of these rounds, so that there is something to see.
        part = trajectory.outcomes.devices.participates[0, 8:][:num_rounds].T
        assert np.mean(part) > 0.8
        np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), ~part)
    expected = shown(trajectory)[0, :num_rounds].T
    seen = ~np.ma.getmaskarray(image.get_array())
    assert image.get_array().shape == expected.shape
    np.testing.assert_allclose(image.get_array()[seen], expected[seen])


@pytest.mark.parametrize("heading", ["Fine-tuning", "Transmit power", "Batch"])
def test_heat_maps_of_decisions_are_blank_where_a_device_is_silent_and_the_heading_says_so(silent, heading):
    trajectory, panels = silent
    (image,) = panels[heading].images
    blank = np.ma.getmaskarray(image.get_array())
    np.testing.assert_array_equal(blank, ~trajectory.outcomes.devices.participates[0, 2:].T)
    assert "blank: silent" in panels["Fine-tuning"].get_title(loc="left")


def test_batteries_are_shown_after_each_round(drawn):
    trajectory, panels = drawn
    (image,) = panels["Battery charge after the round"].images
    np.testing.assert_array_equal(image.get_array()[:, -1], trajectory.final_state.battery_j[0])


def test_the_switch_is_marked_where_pre_training_ended(drawn):
    _, panels = drawn
    for heading in ("Bound on the squared gradient norm", "Where a round's time goes", "Channel gain"):
        assert set(panels[heading].lines[-1].get_xdata()) == {8}


@pytest.mark.parametrize("name", ["tiny", "large"])
def test_the_page_names_scenario_bound_rounds_and_end(name):
    whole = played(Scenario.preset(name), switch_after=4)
    words = " ".join(text.get_text() for text in rendering.episode_figure(whole).texts)
    assert f"{name}: {whole.scenario.num_devices} devices" in words
    assert f"Φ = {whole.objective[0]:.4g}" in words
    assert "M = 4 " in words
    assert f"N = {whole.num_finetune_rounds[0]:.0f} " in words
    assert "ended: " in words


def test_a_title_of_ones_own_is_taken_literally(trajectory):
    first = rendering.episode_figure(trajectory, title="$mine$ and $yours$").texts[0]
    assert first.get_text() == "$mine$ and $yours$"
    assert not first.get_parse_math()


def test_drawing_changes_no_global_setting(trajectory):
    # Reading the backend would choose one.
    before = {name: matplotlib.rcParams[name] for name in set(matplotlib.rcParams) - {"backend"}}
    rendering.rgb_array(trajectory)
    assert {name: matplotlib.rcParams[name] for name in before} == before


def test_matplotlib_loads_with_the_first_figure_and_pyplot_never():
    code = """
import sys
from edgelearn_env import Scenario
from edgelearn_env.two_stage import rendering
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.trajectory import Trajectory
scenario = Scenario.preset("tiny")
start = Trajectory.of_rounds(scenario, [], initial_state(constants_of(scenario), 1))
rendering.ansi(start)
assert "matplotlib" not in sys.modules
rendering.rgb_array(start)
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules and "pygame" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_text_gives_the_state_in_physical_values(trajectory):
    text, state = rendering.ansi(trajectory), trajectory.final_state
    counts = f"M = 8   N = {trajectory.num_finetune_rounds[0]:.0f} "
    assert f"Φ = {trajectory.objective[0]:.4g}   {counts}" in text
    assert f"{state.elapsed_s[0]:.2f} of 15 s" in text
    assert f"{state.spent_j[0]:.2f} of 8 J" in text
    assert "fine-tuning" in text
    (reason,) = {END_REASONS[index] for index in trajectory.outcomes.end_reason[0] if index}
    assert f"ended: the next round would pass the {reason}" in text


def assert_line_shows(line, trajectory, last, device):
    """What the text says of a device that took part in round `last`."""
    conditions, decided, outcomes = trajectory.observed.conditions, trajectory.allocations, trajectory.outcomes
    cells = line.replace("|", " ").split()
    shown = [float(cell) for cell in [cells[0], *cells[2:10]]]
    expected = [
        device,
        trajectory.final_state.battery_j[0, device],
        10 * np.log10(conditions.channel_gain[0, last, device]),
        1e3 * conditions.harvest_w[0, last, device],
        1e-9 * decided.freq_hz[0, last, device],
        1e3 * decided.power_w[0, last, device],
        decided.batch[0, last, device],
        outcomes.devices.compute_s[0, last, device],
        outcomes.devices.upload_s[0, last, device],
    ]
    np.testing.assert_allclose(shown, expected, rtol=6e-3, atol=6e-4)


def test_the_text_of_a_device_gives_its_battery_channel_decision_and_times(trajectory):
    last = int(trajectory.outcomes.counted.sum()) - 1
    assert np.all(trajectory.outcomes.devices.participates[0, last])
    text = rendering.ansi(trajectory)
    for device, line in enumerate(text.splitlines()[-3:]):
        assert_line_shows(line, trajectory, last, device)
        assert line.count("▒") + line.count("█", line.index("▒")) <= 16
    assert np.any(trajectory.observed.conditions.harvest_w[0, last] > 0)
    assert "3 of 3 devices; ▒ compute █ upload" in text


def test_the_text_of_a_silent_device_says_so_and_gives_its_battery_and_channel_all_the_same(silent):
    trajectory, _ = silent
    text = rendering.ansi(trajectory)
    lines = text.splitlines()[-3:]
    assert "2 of 3 devices; ▒ compute █ upload" in text
    for device in (0, 1):
        assert_line_shows(lines[device], trajectory, 7, device)
    assert lines[2].endswith(" | silent")
    cells = lines[2].split()
    gain_db = 10 * np.log10(trajectory.observed.conditions.channel_gain[0, 7, 2])
    np.testing.assert_allclose([float(cells[2]), float(cells[3])], [1e-4, gain_db], rtol=6e-3, atol=6e-4)
    assert "silent" not in rendering.ansi(until(trajectory, 2)), "while pre-training nobody is"


def test_the_text_of_a_round_of_nobody_gives_its_cost(silent):
    text = rendering.ansi(until(silent[0], 5))
    assert "last round: 1.00 s, 0.010 J, 0 of 3 devices" in text
    assert text.count("| silent\n") == 3


def test_the_text_tells_the_stage_and_what_the_server_did(trajectory):
    text = rendering.ansi(until(trajectory, 8))
    assert "pre-training, round 8 of at most 30" in text
    assert "still running" in text
    assert "server at 0.320 GHz, batch 170" in text
    assert "upload" not in text


@pytest.mark.parametrize("reason", END_REASONS[1:])
def test_every_end_is_told_in_words_of_its_own(trajectory, reason):
    index = END_REASONS.index(reason)
    trajectory.outcomes.end_reason[trajectory.outcomes.end_reason > 0] = index
    (line,) = (line for line in rendering.ansi(trajectory).splitlines() if "ended:" in line)
    assert reason in line


def test_what_a_batch_does_after_an_episode_has_ended_is_not_its_end(tiny):
    batch = played(tiny, switch_after=6, seeds=(3, 4, 5))
    first_to_end = int(np.argmin(batch.outcomes.counted.sum(axis=1)))
    text = rendering.ansi(batch, first_to_end)
    assert batch.outcomes.end_reason[first_to_end, -1] != END_REASONS.index("last round")
    batch.outcomes.end_reason[first_to_end, -1] = END_REASONS.index("last round")
    assert rendering.ansi(batch, first_to_end) == text


def test_the_bars_are_as_long_as_the_shares(trajectory):
    trajectory.final_state.spent_j[0] = 4.0
    (line,) = (line for line in rendering.ansi(trajectory).splitlines() if line.startswith("energy"))
    assert line.count("█") == line.count("·") == 28


def test_the_text_of_many_devices_stays_short_and_lists_the_slowest():
    whole = played(Scenario.preset("large"), switch_after=100)
    lines = rendering.ansi(whole).splitlines()
    last = int(whole.outcomes.counted.sum()) - 1
    devices = whole.outcomes.devices
    finish_s = (devices.compute_s + devices.upload_s)[0, last]
    listed = [int(line[:6]) for line in lines if line[:6].strip().isdigit()]
    assert listed == sorted(np.argsort(-finish_s)[:16])
    assert "the 16 slowest of 50 devices" in lines[-1]
    assert len(lines) <= 30


def test_while_pre_training_the_text_of_many_devices_lists_the_emptiest():
    whole = until(played(Scenario.preset("large"), switch_after=100), 60)
    lines = rendering.ansi(whole).splitlines()
    listed = [int(line[:6]) for line in lines if line[:6].strip().isdigit()]
    assert listed == sorted(np.argsort(whole.final_state.battery_j[0], kind="stable")[:16])
    assert "the 16 emptiest of 50 devices" in lines[-1]


@pytest.mark.parametrize("name", ["tiny", "default", "large"])
@pytest.mark.parametrize("num_rounds", [0, 1, 4, 5])
def test_the_text_is_at_most_a_hundred_columns_wide(name, num_rounds):
    whole = played(Scenario.preset(name), switch_after=4)
    lines = rendering.ansi(until(whole, num_rounds)).splitlines()
    assert max(map(len, lines)) <= 100
    assert all(line.isprintable() for line in lines)


def test_before_the_first_round_there_is_a_text_with_full_budgets(tiny):
    text = rendering.ansi(before_the_first_round(tiny, 2), episode=1)
    assert "round 0 of at most 30" in text
    assert "M = 0   N = 0   still running" in text
    assert "0.00 of 15 s" in text
    assert "last round:" not in text


def test_a_channel_that_is_gone_is_drawn_without_a_warning(tiny):
    tape = sample_tape(tiny, 0)
    tape.channel_gain[:, 1] = 0.0
    tape.harvest_w[:] = 0.0

    def policy(observed):
        one, each = np.ones(1), np.ones((1, 3))
        return Allocation(one < 0, 3e8 * one, 100 * one, 2e8 * each, 1e-3 * each, 5 * each)

    whole = rollout(tiny, tape, policy)
    assert "-inf" in rendering.ansi(whole)
    assert rendering.rgb_array(whole).shape == FRAME
