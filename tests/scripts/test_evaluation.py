"""`edgelearn benchmark`, `leaderboard` and `dataset` together, in this process and an empty folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.evaluation.report import Report
from edgelearn_env.scripts.leaderboard import BEGIN, END
from edgelearn_env.scripts.main import app
from edgelearn_env.tapes.seeds import TEST, TUNING

TINY = Path(__file__).parent.parent / "tiny.toml"
ON_TINY = ["--scenario", str(TINY)]
SHORT = [*ON_TINY, "--set", "budgets.max_rounds=12"]


def edgelearn(*arguments: str) -> str:
    """What a command prints; what it raises is raised here."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def benchmarked(tmp_path_factory) -> tuple[Path, str]:
    """A folder with a benchmark of two policies in results/, and what was printed."""
    folder = tmp_path_factory.mktemp("benchmarked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        printed = edgelearn("benchmark", *SHORT, "--episodes", "3", "--policies", "random,myopic", "--workers", "1")
    return folder, printed


@pytest.fixture
def folder(benchmarked, monkeypatch) -> Path:
    monkeypatch.chdir(benchmarked[0])
    return benchmarked[0]


def test_all_policies_are_paired_with_the_best_that_does_not_learn(benchmarked):
    printed = benchmarked[1]
    assert "IQM" in printed
    paired = printed.split("against myopic, paired by tape")[1].split("Φ: bound")[0]
    assert "random" in paired
    assert "clairvoyant" in paired
    assert "myopic" not in paired


def test_a_second_benchmark_on_the_same_tapes_solves_nothing(folder, monkeypatch, tmp_path):
    first = Report.load(folder / "results" / "benchmark.json")
    monkeypatch.setattr("edgelearn_env.baselines.optimum_cache.clairvoyant_batch", None)
    printed = edgelearn(
        "benchmark", *SHORT, "--episodes", "2", "--policies", "random", "--against", "clairvoyant", "--out", "results"
    )
    assert "against clairvoyant, paired by tape" in printed
    second = Report.load(folder / "results" / "benchmark.json")
    np.testing.assert_array_equal(second.bound, first.bound[:2])
    np.testing.assert_array_equal(second.named("clairvoyant").objective, first.named("clairvoyant").objective[:, :2])
    first.save(folder / "results" / "benchmark.json")


def test_a_benchmark_file_says_what_was_played_on_which_tapes_by_which_versions(folder):
    saved = json.loads((folder / "results" / "benchmark.json").read_text())
    assert saved["seeds"] == [TEST, TEST + 1, TEST + 2]
    assert saved["scenario"]["name"] == "tiny"
    assert {name: row["kind"] for name, row in saved["policies"].items()} == {
        "clairvoyant": "clairvoyant",
        "random": "online",
        "myopic": "online",
    }
    assert {"edgelearn-env", "numpy", "clarabel"} <= saved["versions"].keys()


def test_mpc_plays_the_same_whether_its_episodes_are_shared_among_processes_or_not(folder):
    found = []
    for workers in ("1", "2"):
        arguments = ["--episodes", "2", "--policies", "mpc", "--workers", workers, "--out", "mpc"]
        edgelearn("benchmark", *ON_TINY, "--set", "budgets.max_rounds=2", *arguments)
        found.append(Report.load(folder / "mpc" / "benchmark.json").named("mpc").objective)
    np.testing.assert_array_equal(*found)


def test_the_leaderboard_of_a_folder_is_that_of_its_files(folder):
    table = edgelearn("leaderboard")
    assert edgelearn("leaderboard", "results/benchmark.json") == table
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == ["clairvoyant", "myopic", "random"]
    assert "3 test tapes, seeds 3000000 to 3000002" in table


def test_a_leaderboard_is_written_between_its_comments(folder, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    edgelearn("leaderboard", "--write", str(readme))
    assert readme.read_text() == f"before\n{BEGIN}\n\n{edgelearn('leaderboard')}\n{END}\nafter\n"


def test_leaderboards_without_files_or_with_damaged_ones_are_refused(folder, tmp_path, monkeypatch):
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{")
    with pytest.raises(InvalidInputError, match=r"damaged\.json' is damaged or not a benchmark"):
        edgelearn("leaderboard", "results/benchmark.json", str(damaged))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=r"there is no benchmark\.json within results/"):
        edgelearn("leaderboard")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--policies", "random", "--against", "mpc"], "--against must name a policy that is played.*got 'mpc'"),
        (["--episodes", "1000001"], "test seeds are 3000000 to 3999999, got a request for 1000001"),
    ],
)
def test_a_benchmark_that_cannot_be_is_refused_before_anything_is_solved(tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=sentence):
        edgelearn("benchmark", *ON_TINY, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def minari(monkeypatch, tmp_path):
    pytest.importorskip("h5py")
    module = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return module


@pytest.mark.parametrize("policy", ["clairvoyant", "random", "mpc"])
def test_a_dataset_of_a_policy_is_there_for_minari(minari, policy):
    name = f"edgelearn/two-stage/tiny-{policy}-v0"
    chosen = ["--policy", policy, "--episodes", "2", "--seed", "7", "--workers", "1"]
    printed = edgelearn("dataset", "--name", name, *SHORT, *chosen)
    dataset = minari.load_dataset(name)
    assert f"Wrote {name}: 2 episodes, {dataset.total_steps} rounds" in printed
    seeds = [int(about["seed"]) for about in dataset.storage.get_episode_metadata(range(2))]
    assert seeds == [7, 8]
    with pytest.raises(InvalidInputError, match="exists already"):
        edgelearn("dataset", "--name", name, *SHORT, *chosen)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seed", str(TEST)], "training seeds are 0 to 999999, got a request for 2 from 3000000 on"),
        (["--seed", str(TUNING - 1)], "training seeds are 0 to 999999"),
        (["--policy", "random,equal"], "--policy must name one policy, got 'random,equal'"),
        (["--policy", "best"], "unknown policy 'best'"),
    ],
)
def test_a_dataset_that_cannot_be_is_refused(minari, arguments, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        edgelearn("dataset", "--name", "tiny-v0", *ON_TINY, "--episodes", "2", *arguments)
