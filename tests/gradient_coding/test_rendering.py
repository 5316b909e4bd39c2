"""Figures, images and terminal text of episodes with coded rounds."""

import numpy as np
import pytest
from random_codings import random_coded_allocation

from edgelearn_env.gradient_coding import rendering
from edgelearn_env.gradient_coding.episode import LATE, NOT_ASKED, NOT_NEEDED, ROLES, WAITED_FOR, CodedEpisode
from edgelearn_env.model import model_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import Trajectory, rollout

FRAME = (800, 1200, 3)


def played(name: str, switch_after: int = 4, max_rounds: int = 16, seed: int = 0) -> Trajectory:
    """Modest decisions and random codes, on a budget that lets all rounds be played."""
    scenario = Scenario.preset(name)
    scenario = scenario.replace(budgets={"delay_s": 1e3, "energy_j": 1e7, "max_rounds": max_rounds})
    rng = np.random.default_rng(seed)

    def policy(observed):
        allocation = random_coded_allocation(rng, scenario, 1, asked=0.75, ceiling=0.4)
        return allocation._replace(switch=observed.state.round_index >= switch_after)

    return rollout(scenario, sample_tape(scenario, seed), policy)


def before_the_first_round(scenario: Scenario) -> Trajectory:
    return Trajectory.of_rounds(scenario, [], model_of(scenario).initial_state(1))


@pytest.fixture(scope="module")
def tiny() -> Trajectory:
    return played("coded-tiny")


def panels_of(trajectory: Trajectory) -> dict:
    figure = rendering.episode_figure(trajectory)
    return {axes.get_title(loc="left").split(":")[0].split(" (")[0]: axes for axes in figure.axes}


@pytest.mark.parametrize(
    ("name", "rounds"),
    [("coded-tiny", "none"), ("coded-tiny", "all"), ("stragglers", "pre-training"), ("run-time", "all")],
)
def test_nothing_is_drawn_beyond_the_page_whose_size_never_changes(name, rounds):
    whole = played(name, switch_after=20 if rounds == "pre-training" else 4)
    trajectory = before_the_first_round(whole.scenario) if rounds == "none" else whole
    figure = rendering.episode_figure(trajectory)
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= width
    assert box.y1 <= height
    frame = rendering.rgb_array(trajectory)
    assert (frame.shape, frame.dtype) == (FRAME, np.uint8)


def test_who_worked_is_drawn_device_by_device_and_blank_while_pre_training(tiny):
    episode, (image,) = CodedEpisode.of(tiny), panels_of(tiny)["Who worked"].images
    shown = image.get_array()
    assert np.all(np.ma.getmaskarray(shown)[:, :4])
    np.testing.assert_array_equal(shown[:, 4:], episode.roles[4:].T)
    assert {WAITED_FOR, LATE, NOT_NEEDED, NOT_ASKED} <= set(np.unique(episode.roles[4:]).tolist())
    legend = panels_of(tiny)["Who worked"].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list(ROLES)


def test_lines_part_the_devices_of_each_edge_node_from_those_of_the_next():
    panels = panels_of(played("run-time"))
    for heading in ("Who worked", "Channel gain, dB", "Slow-down, times as long", "Transmit power, mW"):
        levels = {line.get_ydata()[0] for line in panels[heading].lines if line.get_ydata()[0] == line.get_ydata()[1]}
        assert levels == {4.5, 9.5, 14.5, 19.5}


def test_codes_are_drawn_round_by_round_and_those_that_were_not_decoded_stand_out(tiny):
    (image,) = panels_of(tiny)["Code"].images
    decided, coded = tiny.allocations, CodedEpisode.of(tiny).coded
    lost = coded & ~tiny.outcomes.coded.decoded[0]
    assert 0 < np.sum(lost) < np.sum(coded)
    expected = np.stack([decided.edge_stragglers[0], decided.device_stragglers[0]])
    np.testing.assert_array_equal(image.get_array()[:, 4:], np.where(lost, 2, expected)[:, 4:])


@pytest.mark.parametrize("name", ["coded-tiny", "run-time"])
def test_stacked_times_add_up_to_the_durations(name):
    trajectory = played(name)
    axes = panels_of(trajectory)["Where a round's time goes"]
    durations_s = trajectory.outcomes.duration_s[0]
    stacks = {patch.get_label(): patch.get_data() for patch in axes.patches}
    assert list(stacks) == ["server", "idle", "compute", "upload", "edge node", "downlink"]
    whole = durations_s < axes.get_ylim()[1] / 1.6
    assert whole.sum() > 8
    np.testing.assert_allclose(stacks["downlink"].values[whole], durations_s[whole], rtol=1e-12)
    parts = {name: (stack.values - stack.baseline)[whole] for name, stack in stacks.items()}
    assert all(np.all(part >= -1e-12) for part in parts.values())
    lost = ~trajectory.outcomes.coded.decoded[0] & (np.arange(16) >= 4)
    np.testing.assert_allclose(parts["idle"], np.where(lost, trajectory.scenario.radio.idle_s, 0.0)[whole], atol=1e-12)
    # What an edge node sends takes a whole number of tries.
    tries = parts["edge node"] / trajectory.scenario.coding.edge_s
    np.testing.assert_allclose(tries, np.round(tries), atol=1e-9)


def test_the_text_lists_devices_under_their_edge_nodes_and_marks_who_was_waited_for(tiny):
    episode, text = CodedEpisode.of(tiny), rendering.ansi(tiny)
    lines = text.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith("edge ")]
    assert [lines[start][:6] for start in starts] == ["edge 0", "edge 1"]
    for edge, start in enumerate(starts):
        assert [int(line[:6]) for line in lines[start + 1 : start + 3]] == [2 * edge, 2 * edge + 1]
    for device, role in enumerate(episode.roles[-1]):
        (line,) = (line for line in lines if line[:6].strip() == str(device))
        if episode.outcomes.devices.participates[-1, device]:
            assert {WAITED_FOR: "✓", LATE: "✗", NOT_NEEDED: "+"}[int(role)] in line
            load = int(episode.outcomes.coded.load[-1, device])
            assert f" {load} |" in line
        else:
            assert line.endswith(f"| {ROLES[role]}")
    code = f"({episode.allocations.edge_stragglers[-1]}, {episode.allocations.device_stragglers[-1]})"
    assert f"code {code}" in text


@pytest.mark.parametrize("name", ["coded-tiny", "stragglers", "run-time"])
@pytest.mark.parametrize("max_rounds", [1, 4, 5, 16])
def test_the_text_is_at_most_a_hundred_columns_wide(name, max_rounds):
    lines = rendering.ansi(played(name, max_rounds=max_rounds)).splitlines()
    assert max(map(len, lines)) <= 100
    assert all(line.isprintable() for line in lines)


def test_before_the_first_round_there_is_a_text():
    text = rendering.ansi(before_the_first_round(Scenario.preset("coded-tiny")))
    assert "round 0 of at most 20" in text
    assert "edge 1\n" in text
    assert "last round:" not in text


@pytest.mark.parametrize(("coded", "words"), [(True, "too few results"), (False, "no code")])
def test_a_round_in_which_nobody_is_asked_is_told(coded, words):
    scenario = Scenario.preset("coded-tiny")
    rng = np.random.default_rng(0)

    def policy(observed):
        allocation = random_coded_allocation(rng, scenario, 1, asked=0.0, switch=1.0, silent=1.0)
        return allocation._replace(edge_stragglers=np.array([int(coded)]), device_stragglers=np.array([0]))

    trajectory = rollout(scenario.replace(budgets={"max_rounds": 2}), sample_tape(scenario, 0).rows(slice(2)), policy)
    text = rendering.ansi(trajectory)
    assert words in text
    assert "waited for 0 of 4, 0 late" in text
    assert text.count("| not asked\n") == 4
    assert rendering.rgb_array(trajectory).shape == FRAME
