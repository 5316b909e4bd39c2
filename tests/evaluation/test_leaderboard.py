import dataclasses
import re

import numpy as np
import pytest
from played_rows import TRAINED, played

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.leaderboard import Leaderboard
from edgelearn_env.evaluation.report import Report
from edgelearn_env.tapes.seeds import TEST

BOUND = np.array([1.0, 2.0, 4.0])
SEEDS = [TEST, TEST + 1, TEST + 2]


def report(tiny, *rows, bound=BOUND, seeds=SEEDS) -> Report:
    return Report(scenario=tiny, seeds=seeds, bound=bound, relaxed=bound, played=rows)


@pytest.fixture
def reports(tiny):
    plan = played("clairvoyant", 1.01 * BOUND, "clairvoyant")
    return {
        "a.json": report(tiny, plan, played("equal", 2 * BOUND), played("random", 9 * BOUND)),
        "b.json": report(tiny, plan, played("ppo", [1.5 * BOUND, 1.7 * BOUND], "learned", TRAINED)),
    }


def rows_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_policy_stands_once_the_best_first_with_the_files_it_is_from(reports):
    board = Leaderboard.of(reports)
    assert [row.name for row in board.report.played] == ["clairvoyant", "ppo", "equal", "random"]
    assert board.files == [["a.json", "b.json"], ["b.json"], ["a.json"], ["a.json"]]


def test_a_policy_that_did_something_else_is_another_of_the_same_name(tiny, reports):
    reports["c.json"] = report(tiny, played("equal", 1.9 * BOUND), played("random", 9 * BOUND * (1 + 1e-9)))
    board = Leaderboard.of(reports)
    assert [row.name for row in board.report.played] == ["clairvoyant", "ppo", "equal", "equal", "random"]
    assert board.files[2:] == [["c.json"], ["a.json"], ["a.json", "c.json"]]


def test_the_table_says_what_each_policy_is_and_how_far_from_the_bound(reports):
    headings, _, bound, *rows = rows_of(Leaderboard.of(reports).markdown())
    assert headings[6] == "P(better than `equal`)"
    assert bound[:3] == ["(proven bound)", "", "2.3333"]
    cells = {row[0]: row for row in rows}
    assert cells["`equal`"] == [
        "`equal`",
        "online",
        "4.6667",
        "+100.0%",
        "+100.0% to +100.0%",
        "+100.0%",
        "",
        "3",
        "`a.json`",
    ]
    assert cells["`random`"][6] == "0% (0% to 0%)"
    learned = cells["`ppo`, 2 runs"]
    assert learned[1:3] == ["learned", f"{1.6 * np.mean(BOUND):.4f}"]
    assert learned[6:] == ["100% (100% to 100%)", "6", "recipe ppo, seeds 3, 4; `b.json`"]


def test_without_an_online_policy_nothing_is_compared(tiny, reports):
    text = Leaderboard.of({"b.json": reports["b.json"]}).markdown()
    assert all(row[6] in ("P(better)", "---", "") for row in rows_of(text))


def test_the_highest_bound_that_was_proven_is_kept(tiny, reports):
    reports["c.json"] = report(tiny, bound=BOUND * [1.00001, 1.0, 0.99999])
    np.testing.assert_allclose(Leaderboard.of(reports).report.bound, BOUND * [1.00001, 1.0, 1.0], rtol=1e-12)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (
            lambda tiny: report(tiny.replace(budgets={"delay_s": 16.0})),
            "budgets.delay_s was 15, here it is 16",
        ),
        (
            lambda tiny: report(tiny, seeds=SEEDS[:2], bound=BOUND[:2]),
            "it has 2 tapes with seeds 3000000 to 3000001, not 3 tapes with seeds 3000000 to 3000002",
        ),
        (lambda tiny: report(tiny, bound=BOUND * [1, 1.1, 1]), "the bound of seed 3000001 was 2, here it is 2.2"),
    ],
)
def test_reports_that_do_not_fit_together_are_refused_naming_file_and_difference(tiny, reports, other, difference):
    with pytest.raises(InvalidInputError, match=rf"^benchmark file 'c.json' does not fit 'a.json': {difference}$"):
        Leaderboard.of({**reports, "c.json": other(tiny)})


def test_a_scenario_of_another_name_is_the_same_scenario(tiny, reports):
    renamed = dataclasses.replace(reports["b.json"], scenario=tiny.replace(name="mine"))
    assert len(Leaderboard.of({"a.json": reports["a.json"], "b.json": renamed}).files) == 4


def test_a_leaderboard_of_nothing_is_refused():
    with pytest.raises(InvalidInputError, match="at least one benchmark file"):
        Leaderboard.of({})


@pytest.mark.parametrize("name", ["a|b", "`a`", "a``b|", "x\ny", "a*b_c*[d](e)<f>"])
def test_a_name_neither_ends_its_cell_nor_means_anything_to_markdown(tiny, name):
    rows = [played(name, 2 * BOUND), played("ppo", [3 * BOUND], "learned", [{"recipe": name, "seed": 0}])]
    text = Leaderboard.of({f"{name}.json": report(tiny.replace(name=name), *rows)}).markdown()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {10}
    shown = " ".join(name.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    spaced = f" {shown} " if len(fence) > 1 else shown
    assert text.startswith(f"Scenario {fence}{spaced}{fence}: ")
    assert any(f"| {fence}{spaced}{fence} |".replace(shown, shown.replace("|", r"\|")) in line for line in lines)
    assert not re.search(r"recipe [^,]*(?<!\\)[*_`\[<]", text)


def test_a_benchmark_file_may_begin_with_a_byte_order_mark(tiny, tmp_path):
    path = tmp_path / "benchmark.json"
    report(tiny, played("equal", 2 * BOUND)).save(path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert Report.load(path).played[0].name == "equal"
