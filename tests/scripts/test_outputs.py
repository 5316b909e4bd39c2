"""What every command owes: results before words, words on any output, names as they are, and folders checked first."""

import errno
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from edgelearn_env.baselines.two_stage.ablations.study import DESIGNS, StudyPoint
from edgelearn_env.baselines.two_stage.ladder import LADDER
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.report import Report
from edgelearn_env.printing.output import Output
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts import benchmark, figures, main, policies, solve
from edgelearn_env.scripts.leaderboard import BEGIN, END

NAME = r"[/b]$\frac{$|`:smile:"
BENCHMARK = ["benchmark", "--episodes", "2", "--policies", "random,myopic", "--workers", "1"]
FIGURES = ["figures", "--points", "2", "--workers", "1"]
WRITTEN = {
    "solve": ["optimum.json", "optimum.png"],
    "benchmark": ["benchmark.json", "comparison.png", "clairvoyant.png", "best.png"],
    "figures": ["study.csv", "study-bound.png", "study-rounds.png"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a small scenario whose name means something to rich, to mathtext and to Markdown."""
    folder = tmp_path_factory.mktemp("outputs")
    scenario = Scenario.from_toml(Path(__file__).parents[1] / "tiny.toml")
    scenario.replace(budgets={"delay_s": 6.0, "max_rounds": 8}, name=NAME).to_toml(folder / "mine.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        edgelearn(patch, io.StringIO(), *arguments("benchmark", "bench"))
    return folder


@pytest.fixture(autouse=True)
def _in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(figures, "study_points", designed)


def designed(scenario, sweep: str, value: float) -> list[StudyPoint]:
    """Points of a study at no cost, one of them out of reach."""
    bounds = {design: 1.0 + rank for rank, design in enumerate(DESIGNS)} | {DESIGNS[-1]: float("inf")}
    return [StudyPoint(sweep, value, design, bound, 3, 2) for design, bound in bounds.items()]


def with_known_optima(out: str) -> str:
    """That folder, with the optima that were proven once for all tests."""
    shutil.copytree("bench/optima", Path(out) / "optima", dirs_exist_ok=True)
    return out


def arguments(command: str, out: str) -> list[str]:
    begin = {"solve": ["solve"], "benchmark": BENCHMARK, "figures": FIGURES}[command]
    return [*begin, "-s", "mine.toml", "--out", out]


def edgelearn(monkeypatch, stream: io.TextIOBase, *words: str) -> int:
    """The status of a command whose standard output is that stream."""
    monkeypatch.setattr(sys, "argv", ["edgelearn", *words])
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as end:
        main.main()
    return end.value.code or 0


@pytest.mark.parametrize("command", ["solve", "benchmark", "figures"])
def test_an_encoding_that_lacks_letters_ends_no_command_and_names_are_printed_as_they_are(command, monkeypatch):
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding="cp1252", write_through=True)
    assert edgelearn(monkeypatch, stream, *arguments(command, with_known_optima("res[seed=1][/b]"))) == 0
    printed = content.getvalue().decode("cp1252")
    files = [Path("res[seed=1][/b]") / name for name in WRITTEN[command]]
    assert f"Wrote {', '.join(map(str, files))}\n" in printed
    assert all(file.is_file() for file in files)
    if command != "figures":
        assert NAME in printed
        assert "Phi" in printed


@pytest.mark.parametrize("words", [["leaderboard", "bench/benchmark.json"], ["scenarios"], ["scenarios", "mine.toml"]])
def test_commands_that_only_print_do_so_on_any_output(words, monkeypatch):
    content = io.BytesIO()
    assert edgelearn(monkeypatch, io.TextIOWrapper(content, encoding="ascii", write_through=True), *words) == 0
    assert content.getvalue()


class Full(io.StringIO):
    """An output that nothing can be written to, such as that of a full disk or a closed pipe."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("command", ["solve", "benchmark", "figures"])
def test_results_are_there_even_if_nothing_can_be_printed(command, monkeypatch, capsys):
    assert edgelearn(monkeypatch, Full(), *arguments(command, with_known_optima("full"))) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert all((Path("full") / name).is_file() for name in WRITTEN[command])


def test_a_folder_is_no_file_for_proofs_and_that_is_said_before_any_is_made(monkeypatch, capsys):
    Path("a-folder").mkdir()
    monkeypatch.setattr("edgelearn_env.scripts.prove.cached_optima", None)
    assert edgelearn(monkeypatch, io.StringIO(), "prove", "-s", "mine.toml", "--out", "a-folder") == 2
    assert capsys.readouterr().err == "edgelearn: --out must name a file, got the folder 'a-folder'\n"


def test_pictures_replace_none_of_other_commands_whatever_a_policy_is_called(monkeypatch):
    monkeypatch.setattr(policies, "ladder_of", lambda scenario: {"optimum": LADDER["myopic"]})
    out = Path(with_known_optima("named-optimum"))
    (out / "optimum.png").write_text("of another command")
    words = [*BENCHMARK[:3], "--policies", "optimum", "-s", "mine.toml", "--out", str(out)]
    edgelearn(monkeypatch, io.StringIO(), *words)
    assert set(json.loads((out / "benchmark.json").read_text())["policies"]) == {"clairvoyant", "optimum"}
    assert {path.name for path in out.glob("*.png")} == {
        "comparison.png",
        "clairvoyant.png",
        "optimum.png",
        "best.png",
    }
    assert imread(out / "comparison.png").shape != imread(out / "best.png").shape
    assert (out / "optimum.png").read_text() == "of another command"


@pytest.mark.parametrize("command", ["solve", "benchmark", "figures", "train"])
def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_computed(command, monkeypatch):
    Path("taken").touch()
    monkeypatch.setattr(solve, "clairvoyant", None)
    monkeypatch.setattr(benchmark, "named_policies", None)
    monkeypatch.setattr(figures, "shared_out", None)
    words = ["train", "-s", "mine.toml", "--out", "taken/x"] if command == "train" else arguments(command, "taken/x")
    with pytest.raises(InvalidInputError, match=r"--out must name a folder that can be written to, got 'taken/x'"):
        CliRunner().invoke(main.app, words, catch_exceptions=False)


def test_a_scenario_s_name_leads_to_no_other_folder(monkeypatch):
    from edgelearn_env.scripts import train

    Scenario.load("mine.toml").replace(name="../far/away").to_toml("far.toml")
    folders = []
    monkeypatch.setattr(train, "writable_folder", lambda folder: folders.append(folder) or pytest.skip("seen"))
    with pytest.raises(pytest.skip.Exception):
        CliRunner().invoke(main.app, ["train", "-s", "far.toml"], catch_exceptions=False)
    assert [folder.parent for folder in folders] == [Path("runs")]


@pytest.mark.parametrize("columns", [60, 80])
def test_tables_of_a_benchmark_fit_and_break_no_number(columns, monkeypatch):
    report = Report.load("bench/benchmark.json")

    def printed(width: int | None) -> str:
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        for table in (benchmark._table(report), *benchmark._paired_table(report, None)):
            Output(width).table(table)
        return sys.stdout.getvalue()

    within, free = printed(columns), printed(None)
    assert all(len(line) <= columns for line in within.splitlines())
    assert {word for word in free.split() if not word.startswith("---")} <= set(within.split())


def test_a_leaderboard_keeps_the_mark_the_line_ends_and_the_link_of_its_file(monkeypatch):
    Path("docs").mkdir()
    Path("docs/board.md").write_bytes(f"\ufeffbefore\r\n{BEGIN}\r\n{END}\r\nafter\r\n".encode())
    Path("board.md").symlink_to("docs/board.md")
    edgelearn(monkeypatch, io.StringIO(), "leaderboard", "bench/benchmark.json", "--write", "board.md")
    written = Path("docs/board.md").read_bytes()
    assert Path("board.md").is_symlink()
    assert written.startswith("\ufeffbefore\r\n".encode())
    assert written.count(b"\n") == written.count(b"\r\n") > 10
