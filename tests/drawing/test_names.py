"""Names of a user stand in pictures as they are, whatever they would mean to mathtext."""

import numpy as np
import pytest
from played_rows import played

from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.drawing.comparison_figure import comparison_figure
from edgelearn_env.drawing.curve_figure import Curve, curve_figure
from edgelearn_env.drawing.study_figure import Panel, study_figure
from edgelearn_env.evaluation.report import Report
from edgelearn_env.tapes.seeds import TEST
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.rendering import episode_figure

# Mathtext that does not parse.
NAME = r"a$\frac{$_b^c"
BOUND = np.array([1.0, 2.0])


def comparison(scenario):
    rows = [played(NAME, 2 * BOUND), played("equal", 3 * BOUND)]
    return comparison_figure(Report(scenario=scenario, seeds=[TEST, TEST + 1], bound=BOUND, relaxed=BOUND, played=rows))


def curve(scenario):
    return curve_figure(f"ppo on {NAME}", [Curve(0, np.array([1.0, 2.0]), BOUND)], {NAME: 1.0})


def study(scenario):
    return study_figure(NAME, [Panel(NAME, NAME, {NAME: (BOUND, BOUND), "far": (BOUND, 1e3 * BOUND)})])


def far_above(scenario):
    return study_figure("", [Panel("x", "y", {NAME: (BOUND, 1e3 * BOUND), "near": (BOUND, BOUND)})])


def page(scenario):
    return episode_figure(rollout(scenario, sample_tape(scenario, 0), RandomPlay(scenario, seed=0)))


@pytest.mark.parametrize("figure", [comparison, curve, study, far_above, page])
def test_a_name_is_no_mathtext(tiny, figure):
    drawn = figure(tiny.replace(name=NAME))
    drawn.canvas.draw()
    texts = [text.get_text() for text in drawn.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert any(NAME in text for text in texts)
