import dataclasses
import json

import numpy as np
import pytest

from edgelearn_env.comparison_figure import comparison_figure
from edgelearn_env.report import Played, Report


def played(name, objective):
    count = len(objective)
    return Played(
        name=name,
        objective=np.asarray(objective, dtype=float),
        num_pretrain_rounds=np.arange(count),
        num_finetune_rounds=np.ones(count),
        end_reasons=["delay budget"] * (count - 1) + ["battery"],
    )


@pytest.fixture
def report(tiny):
    bound = np.array([1.0, 2.0, 4.0])
    rows = [played("clairvoyant", bound), played("twice", 2 * bound), played("uneven", bound * [1.0, 2.0, 4.0])]
    return Report(scenario=tiny, seeds=[5, 6, 7], bound=bound, relaxed=bound, played=rows)


def test_a_gap_is_the_geometric_mean_of_the_ratios_to_the_bound(report):
    assert report.gap(report.played[1]).mean == pytest.approx(1.0)
    assert report.gap(report.played[2]).mean == pytest.approx((1 * 2 * 4) ** (1 / 3) - 1)


def test_an_interval_has_no_width_where_all_episodes_agree(report):
    gap = report.gap(report.played[1])
    assert gap.low == pytest.approx(gap.mean)
    assert gap.high == pytest.approx(gap.mean)


def test_an_interval_covers_the_mean_within_the_extremes(report):
    gap = report.gap(report.played[2])
    assert 0.0 <= gap.low < gap.mean < gap.high <= 3.0


def test_an_interval_of_many_normal_values_has_the_width_of_theory(report):
    rng = np.random.default_rng(1)
    logs = rng.normal(0.3, 0.1, 400)
    bound = np.ones(400)
    many = dataclasses.replace(report, bound=bound, relaxed=bound, seeds=list(range(400)))
    gap = many.gap(played("normal", np.exp(logs)))
    width = np.log1p(gap.high) - np.log1p(gap.low)
    assert width == pytest.approx(2 * 1.96 * np.std(logs) / np.sqrt(400), rel=0.05)


def test_a_ratio_pairs_the_tapes(report):
    ratio = report.ratio(report.played[1], report.played[0])
    assert ratio.mean == pytest.approx(1.0)
    assert ratio.high - ratio.low == pytest.approx(0.0, abs=1e-12)


def test_ends_are_counted_most_frequent_first(report):
    assert list(report.played[0].end_shares.items()) == [("delay budget", 2 / 3), ("battery", 1 / 3)]


def test_a_saved_report_holds_every_episode_and_how_to_repeat_it(report, tmp_path):
    report.save(tmp_path / "new" / "report.json")
    saved = json.loads((tmp_path / "new" / "report.json").read_text())
    assert saved["seeds"] == [5, 6, 7]
    assert saved["scenario"] == json.loads(json.dumps(report.scenario.to_dict()))
    assert saved["policies"]["uneven"]["objective"] == [1.0, 4.0, 16.0]
    assert {"python", "numpy", "gymnasium"} <= saved["versions"].keys()


def test_a_figure_names_every_policy_in_order(report):
    axes = comparison_figure(report).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["clairvoyant", "twice", "uneven"]
    assert axes.yaxis_inverted()
