"""The picture of a report."""

import numpy as np
import pytest
from played_rows import played

from edgelearn_env import Scenario
from edgelearn_env.drawing.comparison_figure import comparison_figure
from edgelearn_env.evaluation.report import Report
from edgelearn_env.tapes.seeds import TEST

BOUND = np.array([1.0, 2.0])


@pytest.mark.parametrize("ratios", [[1.0, 1.0], [1.0, 1.01], [1.002, 30.0], [1.5, 1e7]])
def test_every_episode_is_on_the_axis_at_its_gap(ratios):
    rows = [played("first", BOUND * ratios), played("second", BOUND * 1.2)]
    report = Report(scenario=Scenario.preset("tiny"), seeds=[TEST, TEST + 1], bound=BOUND, relaxed=BOUND, played=rows)
    axes = comparison_figure(report).axes[0]
    drawn = np.asarray(axes.collections[0].get_offsets())[:, 0]
    np.testing.assert_allclose(drawn, np.maximum(np.array(ratios) - 1, 1e-4))
    low, high = axes.get_xlim()
    assert np.all((low < drawn) & (drawn < high))
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names[:4] == ["+0.01 %", "+0.1 %", "+1 %", "+10 %"]
    assert all(low < tick < high for tick in axes.get_xticks())
