"""Figures, images and terminal text of episodes of layer tuning."""

import numpy as np
import pytest
from random_layers import random_layers_allocation

from edgelearn_env.layer_tuning import rendering
from edgelearn_env.layer_tuning.episode import LayerEpisode
from edgelearn_env.model import model_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import Trajectory, rollout


def played(name: str, switch_after: int = 4, max_rounds: int = 14) -> Trajectory:
    """Modest decisions and random levels, on a budget that lets all rounds be played."""
    budgets = {"delay_s": 1e3, "energy_j": 1e7, "max_rounds": max_rounds}
    scenario, rng = Scenario.preset(name).replace(budgets=budgets), np.random.default_rng(0)

    def policy(observed):
        allocation = random_layers_allocation(rng, scenario, 1, ceiling=0.4)
        return allocation._replace(switch=observed.state.round_index >= switch_after)

    return rollout(scenario, sample_tape(scenario, 0), policy)


@pytest.fixture(scope="module")
def layers() -> Trajectory:
    return played("layers")


def panels_of(trajectory: Trajectory) -> dict:
    return {axes.get_title(loc="left").split(",")[0]: axes for axes in rendering.episode_figure(trajectory).figure.axes}


@pytest.mark.parametrize("rounds", ["none", "pre-training", "all"])
def test_nothing_is_drawn_beyond_the_page_whose_size_never_changes(rounds):
    whole = played("layers-tiny", switch_after=20 if rounds == "pre-training" else 4)
    before = Trajectory.of_rounds(whole.scenario, [], model_of(whole.scenario).initial_state(1))
    trajectory = before if rounds == "none" else whole
    figure = rendering.episode_figure(trajectory)
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= width
    assert box.y1 <= height
    frame = rendering.rgb_array(trajectory)
    assert (frame.shape, frame.dtype) == ((800, 1200, 3), np.uint8)


def test_blocks_are_drawn_device_by_device_and_round_by_round_and_blank_where_one_was_silent(layers):
    (image,) = panels_of(layers)["Blocks trained"].images
    blocks = layers.outcomes.layers.blocks[0, 4:].T
    assert set(np.unique(blocks)) > {0, 1, 2}
    np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), blocks == 0)
    np.testing.assert_array_equal(image.get_array()[blocks > 0], blocks[blocks > 0])


def test_text_tells_the_net_the_bound_on_the_loss_and_what_each_device_trained_and_held(layers):
    text, episode = rendering.ansi(layers), LayerEpisode.of(layers)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert f"J = {layers.objective[0]:.4g}, net of {episode.depth} blocks" in lines
    assert episode.loss[-1] == layers.objective[0]
    rows = [line for line in lines if line[:6].strip().isdigit()]
    assert len(rows) == 9
    last, lowered = layers.outcomes.layers.blocks[0, -1], layers.outcomes.layers.lowered[0, -1]
    for row, blocks, fewer in zip(rows, last, lowered, strict=True):
        cells = row.split(" | ")
        if blocks:
            assert cells[1].split()[3].startswith(str(blocks))
            assert ("v" in cells[1]) == fewer
        else:
            assert cells[1] == ("no memory" if fewer else "silent")


def test_before_the_switch_no_net_is_named():
    assert "no net chosen" in rendering.ansi(played("layers-tiny", switch_after=20))
