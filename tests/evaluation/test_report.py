import dataclasses
import json

import numpy as np
import pytest
from played_rows import TRAINED, played

from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.drawing.comparison_figure import comparison_figure
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.report import Played, Report
from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.tapes.seeds import TEST
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout


@pytest.fixture
def report(tiny):
    bound = np.array([1.0, 2.0, 4.0])
    rows = [
        played("clairvoyant", bound, "clairvoyant"),
        played("twice", 2 * bound),
        played("uneven", bound * [1.0, 2.0, 4.0]),
        played("ppo", [1.5 * bound, 3 * bound], "learned", TRAINED),
    ]
    return Report(scenario=tiny, seeds=[TEST, TEST + 1, TEST + 2], bound=bound, relaxed=bound, played=rows)


def test_a_gap_is_the_geometric_mean_of_the_ratios_to_the_bound(report):
    assert report.gap(report.played[1]).estimate == pytest.approx(1.0)
    assert report.gap(report.played[2]).estimate == pytest.approx((1 * 2 * 4) ** (1 / 3) - 1)
    assert report.gap(report.played[3]).estimate == pytest.approx((1.5 * 3) ** (1 / 2) - 1)


def test_an_interval_has_no_width_where_all_episodes_agree(report):
    gap = report.gap(report.played[1])
    assert gap.low == pytest.approx(gap.estimate)
    assert gap.high == pytest.approx(gap.estimate)


def test_an_interval_covers_the_estimate_within_the_extremes(report):
    gap = report.gap(report.played[2])
    assert 0.0 <= gap.low < gap.estimate < gap.high <= 3.0


def test_an_interval_over_runs_that_differ_is_wider_than_that_of_either(report):
    gap = report.gap(report.played[3])
    assert (gap.low, gap.high) == pytest.approx((0.5, 2.0))


def test_an_interquartile_gap_leaves_out_the_best_and_the_worst_quarter(report):
    bound = np.ones(4)
    seeds = list(range(TEST, TEST + 4))
    four = dataclasses.replace(report, bound=bound, relaxed=bound, seeds=seeds, played=[])
    assert four.interquartile_gap(played("far", [1.0, 1.5, 6.0, 1e6])).estimate == pytest.approx(2.0)


def test_an_interval_of_many_normal_values_has_the_width_of_theory(report):
    rng = np.random.default_rng(1)
    logs = rng.normal(0.3, 0.1, 400)
    bound = np.ones(400)
    seeds = list(range(TEST, TEST + 400))
    many = dataclasses.replace(report, bound=bound, relaxed=bound, seeds=seeds, played=[])
    gap = many.gap(played("normal", np.exp(logs)))
    width = np.log1p(gap.high) - np.log1p(gap.low)
    assert width == pytest.approx(2 * 1.96 * np.std(logs) / np.sqrt(400), rel=0.05)


def test_a_ratio_pairs_the_tapes(report):
    ratio = report.ratio(report.played[1], report.played[0])
    assert ratio.estimate == pytest.approx(1.0)
    assert ratio.high - ratio.low == pytest.approx(0.0, abs=1e-12)


def test_an_improvement_pairs_the_tapes_and_all_runs(report):
    assert report.improvement(report.named("ppo"), report.named("twice")).estimate == 0.5
    assert report.improvement(report.named("uneven"), report.named("twice")).estimate == 0.5
    assert report.improvement(report.named("clairvoyant"), report.named("twice")) == (1.0, 1.0, 1.0)


def test_the_best_online_policy_neither_learns_nor_knows_the_tape(report):
    assert report.best_online is report.named("twice")
    assert dataclasses.replace(report, played=[report.named("ppo"), report.named("clairvoyant")]).best_online is None


def test_a_policy_that_was_not_played_is_asked_for_in_vain(report):
    with pytest.raises(InvalidInputError, match="'mpc' was not played: choose one of clairvoyant, twice, uneven, ppo"):
        report.named("mpc")


def test_ends_are_counted_most_frequent_first(report):
    assert list(report.played[0].end_shares.items()) == [("delay budget", 2 / 3), ("battery", 1 / 3)]


def test_a_label_says_how_many_runs_there_are(report):
    assert [row.label for row in report.played] == ["clairvoyant", "twice", "uneven", "ppo (2 runs)"]


def test_what_was_played_in_several_batches_is_what_was_played_in_one(tiny):
    tapes = Tape.stack([sample_tape(tiny, seed) for seed in range(4)])
    trajectory = rollout(tiny, tapes, RandomPlay(tiny, seed=1))
    whole = Played.of("random", "online", [[trajectory]])
    assert whole.objective.shape == (1, 4)
    np.testing.assert_array_equal(whole.objective[0], trajectory.objective)
    for i in range(4):
        ended = trajectory.outcomes.end_reason[i]
        assert whole.end_reasons[0, i] == END_REASONS[ended[ended > 0][0]]
    twice = Played.of("random", "learned", [[trajectory, trajectory], [trajectory, trajectory]], TRAINED)
    for name in ("objective", "end_reasons"):
        np.testing.assert_array_equal(getattr(twice, name), np.tile(getattr(whole, name), (2, 2)))
    for name, values in whole.columns.items():
        np.testing.assert_array_equal(twice.columns[name], np.tile(values, (2, 2)))


@pytest.mark.parametrize("seed", [5, 1_000_000, 2_000_000])
def test_a_report_on_seeds_that_were_for_training_tuning_or_validation_is_refused(report, seed):
    with pytest.raises(InvalidInputError, match=f"results are reported on test seeds.* got seed {seed}"):
        dataclasses.replace(report, seeds=[TEST, TEST + 1, seed])


def test_arrays_that_do_not_fit_the_tapes_and_the_runs_are_refused(report):
    with pytest.raises(InvalidInputError, match=r"bound must hold finite positive numbers of shape \(3,\)"):
        dataclasses.replace(report, bound=np.array([1.0, 2.0]))
    for row in (
        played("short", [1.0, 2.0]),
        played("wrong", [1.0, np.nan, 2.0]),
        played("one", [1, 2, 3], runs=TRAINED),
    ):
        with pytest.raises(InvalidInputError, match=f"objective of {row.name} must hold finite positive numbers"):
            dataclasses.replace(report, played=[row])
    ragged = dataclasses.replace(report.played[0], end_reasons=np.array([["battery"]]))
    with pytest.raises(InvalidInputError, match=r"all arrays of clairvoyant must have shape \(1, 3\)"):
        dataclasses.replace(report, played=[ragged])


def test_a_saved_report_holds_every_episode_and_how_to_repeat_it(report, tmp_path):
    report.save(tmp_path / "new" / "report.json")
    saved = json.loads((tmp_path / "new" / "report.json").read_text())
    assert saved["seeds"] == [TEST, TEST + 1, TEST + 2]
    assert saved["scenario"] == json.loads(json.dumps(report.scenario.to_dict()))
    assert saved["policies"]["uneven"]["objective"] == [[1.0, 4.0, 16.0]]
    assert saved["policies"]["ppo"]["runs"] == TRAINED
    assert {"python", "numpy", "gymnasium"} <= saved["versions"].keys()


def test_a_report_read_again_is_the_one_written(report, tmp_path):
    report.save(tmp_path / "report.json")
    again = Report.load(tmp_path / "report.json")
    assert again.scenario == report.scenario
    assert again.to_dict() == report.to_dict()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda table: table.update(format="other"), "does not say 'edgelearn-env benchmark'"),
        (lambda table: table.update(version=9), "of version 1"),
        (lambda table: table.pop("bound"), "bound"),
        (lambda table: table.update(bound=[1.0]), "bound must hold"),
        (lambda table: table.update(seeds=[1, 2, 3]), "got seed 1"),
        (lambda table: table["policies"]["twice"].update(objective=[[1.0, 2.0]]), "objective of twice"),
        (lambda table: table["policies"]["twice"].update(objective="?"), ""),
        (lambda table: table["scenario"]["budgets"].update(delay_s=-1), "budgets.delay_s"),
    ],
)
def test_files_that_are_no_reports_are_refused_by_name(report, tmp_path, change, named):
    table = report.to_dict()
    change(table)
    (tmp_path / "b.json").write_text(json.dumps(table))
    with pytest.raises(InvalidInputError, match=rf"b\.json' is damaged or not a benchmark: .*{named}"):
        Report.load(tmp_path / "b.json")


def test_a_file_that_is_cut_off_or_missing_is_refused_by_name(report, tmp_path):
    report.save(tmp_path / "b.json")
    (tmp_path / "b.json").write_text((tmp_path / "b.json").read_text()[:500])
    with pytest.raises(InvalidInputError, match=r"b\.json' is damaged or not a benchmark"):
        Report.load(tmp_path / "b.json")
    with pytest.raises(InvalidInputError, match=r"benchmark file .*c\.json' does not exist"):
        Report.load(tmp_path / "c.json")


def test_a_figure_names_every_policy_in_order(report):
    axes = comparison_figure(report).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["clairvoyant", "twice", "uneven", "ppo (2 runs)"]
    assert axes.yaxis_inverted()
