"""Reference clusters reach their golden numbers; the study's schemes are their best codes."""

import numpy as np
import pytest

from edgelearn_env.baselines.gradient_coding.run_time import study
from edgelearn_env.baselines.gradient_coding.run_time.reference import reference_rows
from edgelearn_env.baselines.gradient_coding.run_time.study import (
    BEST,
    CODES,
    LEFT_OUT,
    SCHEMES,
    UNCODED,
    cluster_of_equals,
    schemes_at_their_best,
    slowed_cluster,
    speed_ups_of_every_code,
    study_points,
)
from edgelearn_env.drawing.run_time_figure import run_time_figure
from edgelearn_env.drawing.study_figure import Panel

ALIKE, SLOWED, LARGE = "5 x 5, alike", "5 x 5, slow 1 x 10", "10 x 10, slow 2 x 10"

# Expected iteration, ms, by cluster, scheme and code.
GOLDEN = {
    (ALIKE, "fixed", "(0, 0)"): 493.4,
    (ALIKE, "fixed", "(0, 1)"): 505.3,
    (ALIKE, "fixed", "(1, 0)"): 500.7,
    (ALIKE, "fixed", "(1, 1)"): 548.1,
    (ALIKE, "fixed", "(2, 2)"): 643.1,
    (ALIKE, "fixed", "(4, 4)"): 830.8,
    (SLOWED, "uncoded", "(0, 0)"): 2733.0,
    (SLOWED, "for all slow nodes", "flat, s = 9"): 1215.0,
    (SLOWED, "for all slow nodes", "(1, 1)"): 702.0,
    (SLOWED, "best", "(1, 4)"): 660.0,
    (SLOWED, "fastest 4 x 4 alone", "(0, 0)"): 512.0,
    (LARGE, "uncoded", "(0, 0)"): 2815.0,
    (LARGE, "for all slow nodes", "(2, 2)"): 869.0,
    (LARGE, "best", "(2, 9)"): 775.0,
}


@pytest.fixture(scope="module")
def rows():
    return reference_rows()


def test_golden_run_times_are_reached_and_best_codes_are_the_golden_ones(rows):
    found = {(row.cluster, row.scheme, row.code): 1e3 * row.iteration_s for row in rows}
    assert {key: found[key] for key in GOLDEN} == pytest.approx(GOLDEN, rel=0.005)


def test_speed_ups_are_over_uncoded_with_all_nodes(rows):
    uncoded_s = {row.cluster: row.iteration_s for row in reversed(rows) if row.code == "(0, 0)"}
    for row in rows:
        assert row.speed_up == pytest.approx(uncoded_s[row.cluster] / row.iteration_s)
        assert row.error_s < 0.004 * row.iteration_s


def test_no_scheme_within_the_hierarchical_codes_is_faster_than_the_best_of_these():
    best = schemes_at_their_best(slowed_cluster(), 256)
    assert tuple(best) == SCHEMES
    for name in CODES:
        if not name.startswith("flat"):
            assert best[BEST].iteration_s <= best[name].iteration_s <= best[UNCODED].iteration_s
    assert best[LEFT_OUT].iteration_s < best[BEST].iteration_s


def test_among_equals_all_schemes_are_no_code():
    found = study_points("slow-down", 1.0, 256)
    assert {point.iteration_s for point in found} == {found[0].iteration_s}
    assert {point.code for point in found} == {"(0, 0)", "flat, s = 0"}


def test_a_sweep_changes_what_it_is_named_after():
    assert study.SWEEPS["edges"].changed(3.0).num_edges == 3
    assert np.all(study.SWEEPS["erasure"].changed(0.3).device_erasure == 0.3)
    assert study.SWEEPS["slow-down"].changed(7.0) == slowed_cluster(7.0) != cluster_of_equals()
    assert study.SWEEPS["slow-down"].changed(1.0) == cluster_of_equals()


def test_speed_ups_of_codes_stand_at_their_place():
    speed_ups = speed_ups_of_every_code(slowed_cluster(), 256)
    assert speed_ups[0, 0] == 1.0
    assert np.unravel_index(np.argmax(speed_ups), speed_ups.shape) == (1, 4)


def test_the_figure_shows_the_claim_and_every_code_and_frames_the_best():
    curves = {
        "first": (np.array([1.0, 2.0]), np.array([1.0, 2.0])),
        "s_e": (np.array([1.0, 2.0]), np.array([2.0, 2.5])),
    }
    panel = Panel("x", "y", curves, x_scale="linear")
    figure = run_time_figure(
        "title", [panel] * 3, panel, ("claimed", 1.7), np.array([[1.0, 0.5, 1.2], [2.5, 0.9, 2.0]])
    )
    *_, speed_ups, codes, corner = figure.axes
    assert "claimed: 1.7" in [text.get_text() for text in speed_ups.texts]
    assert [text.get_text() for text in codes.texts] == ["1.00", "0.50", "1.20", "2.50", "0.90", "2.00"]
    assert codes.patches[0].get_xy() == (-0.5, 0.5)
    assert [text.get_text() for text in corner.get_legend().get_texts()] == ["first", "s_e"]
