"""The console command as a user meets it, in an empty folder."""

import inspect
import json
import os
import pickle
import subprocess
import sys

import pytest
import typer
from command_line import edgelearn
from typer.testing import CliRunner

from edgelearn_env import Scenario
from edgelearn_env.baselines.two_stage.ablations.problems import ABLATIONS
from edgelearn_env.scripts import benchmark
from edgelearn_env.scripts.commands import COMMANDS
from edgelearn_env.scripts.federate.federate import FEDERATE_COMMANDS
from edgelearn_env.scripts.main import app


def test_the_command_is_installed_and_ends_a_process_with_its_status(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "edgelearn_env.scripts.main", "scenarios", "huge"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("edgelearn: unknown scenario preset 'huge'")


def test_the_list_of_presets_names_each(tmp_path):
    result = edgelearn("scenarios", folder=tmp_path)
    assert result.status == 0, result.complaint
    assert all(name in result.printed for name in Scenario.presets())


def test_a_printed_scenario_is_a_scenario_file(tmp_path):
    (tmp_path / "mine.toml").write_text(edgelearn("scenarios", "tiny", folder=tmp_path).printed)
    assert Scenario.from_toml(tmp_path / "mine.toml") == Scenario.preset("tiny")


def test_a_benchmark_prints_every_policy_and_writes_its_files(tmp_path):
    small = ["--scenario", "tiny", "--set", "budgets.max_rounds=6", "--episodes", "3", "--workers", "1"]
    result = edgelearn("benchmark", *small, "--policies", "random,equal,myopic", folder=tmp_path)
    assert result.status == 0, result.complaint
    assert all(name in result.printed for name in ("(bound)", "clairvoyant", "random", "equal", "myopic"))
    report = json.loads((tmp_path / "results" / "benchmark.json").read_text())
    assert set(report["policies"]) == {"clairvoyant", "random", "equal", "myopic"}
    bounds = report["bound"]
    for played in report["policies"].values():
        assert all(phi >= bound for phi, bound in zip(played["objective"][0], bounds, strict=True))
    pictures = sorted(path.name for path in (tmp_path / "results").glob("*.png"))
    assert {"comparison.png", "clairvoyant.png"} < set(pictures)
    assert all((tmp_path / "results" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


def shared_out_by_pickles(jobs, num_jobs, num_workers):
    """Each job's result, where job and result go through what processes would send each other."""
    for job in jobs:
        function, arguments, named = pickle.loads(pickle.dumps(job))
        yield pickle.loads(pickle.dumps(function(*arguments, **named)))


def test_ablations_stand_beside_the_policies_in_brackets_with_a_word_on_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "shared_out", shared_out_by_pickles)
    played = ["-s", "tiny", "--set", "budgets.max_rounds=2", "--episodes", "1", "--policies", "equal"]
    arguments = [*played, "--ablations", "--workers", "1"]
    result = edgelearn("benchmark", *arguments, folder=tmp_path)
    assert result.status == 0, result.complaint
    assert "are no online policies" in " ".join(result.printed.split())
    report = json.loads((tmp_path / "results" / "benchmark.json").read_text())
    assert set(report["policies"]) == {"clairvoyant", "equal", *(f"({name})" for name in ABLATIONS)}
    for name in ABLATIONS:
        [played] = report["policies"][f"({name})"]["objective"]
        assert all(phi >= bound for phi, bound in zip(played, report["bound"], strict=True))


def test_solve_says_which_budget_is_too_small_for_fine_tuning(tmp_path):
    small = ["-s", "tiny", "--set", "budgets.max_rounds=4"]
    result = edgelearn("solve", *small, "--set", "budgets.delay_s=0.1", folder=tmp_path)
    assert result.status == 0, result.complaint
    assert "No fine-tuning: budgets.delay_s = 0.1 s is too small by" in result.printed
    assert "No fine-tuning" not in edgelearn("solve", *small, folder=tmp_path).printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["benchmark", "--scenario", "huge"], ["'huge'", "default"]),
        (["benchmark", "--scenario", "missing.toml"], ["'missing.toml'"]),
        (["benchmark", "--scenario", "broken.toml"], ["'broken.toml'", "TOML"]),
        (["benchmark", "--set", "devices.power_max_w=-1"], ["devices.power_max_w", "-1"]),
        (["benchmark", "--set", "devices.power_max=1"], ["'power_max'"]),
        (["benchmark", "--set", "nonsense"], ["'nonsense'"]),
        (["benchmark", "--set", "budgets.delay_s=0.001"], ["budgets.delay_s", "0.001", "infeasible"]),
        (["benchmark", "--set", "learning.device_step_size=0.2"], ["learning.device_step_size", "0.2"]),
        (["benchmark", "--objective", "accuracy"], ["learning.objective", "'accuracy'"]),
        (["benchmark", "--policies", "equal,best"], ["'best'", "equal"]),
        (["benchmark", "--scenario", "tiny", "--policies", "lost.zip"], ["lost.zip"]),
        (["benchmark", "-s", "tiny", "--policies", "equal", "--against", "mpc"], ["--against", "'mpc'", "equal"]),
        (["leaderboard"], ["benchmark.json", "results/"]),
        (["leaderboard", "lost.json"], ["lost.json"]),
        (["leaderboard", "broken.toml"], ["broken.toml", "damaged"]),
        (["scenarios", "huge"], ["'huge'"]),
        (["solve", "--scenario", "tiny", "--solver", "simplex"], ["'simplex'", "structured", "clarabel", "moreau"]),
        (["train", "--scenario", "huge"], ["'huge'"]),
        (["figures", "--scenario", "huge"], ["'huge'"]),
        (["figures", "--set", "budgets.delay_s=0.001"], ["budgets.delay_s", "0.001", "too small by"]),
        (["figures", "--objective", "accuracy"], ["learning.objective", "'accuracy'"]),
    ],
)
def test_wrong_input_gets_one_sentence_and_status_2(arguments, named, tmp_path):
    (tmp_path / "broken.toml").write_text("devices = [")
    result = edgelearn(*arguments, folder=tmp_path)
    assert result.status == 2
    complaint = result.complaint.strip().splitlines()
    assert len(complaint) == 1, result.complaint
    assert complaint[0].startswith("edgelearn: ")
    assert all(word in complaint[0] for word in named)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.toml"]


def test_the_list_of_commands_is_there_without_what_they_need(tmp_path):
    code = (
        "import sys; sys.argv = ['edgelearn', '--help']\n"
        "from edgelearn_env.scripts.main import main\n"
        "try: main()\n"
        "except SystemExit: print(*sorted(sys.modules), sep='\\n', file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert all(name in result.stdout for name in COMMANDS)
    loaded = set(result.stderr.splitlines())
    heavy = {"clarabel", "cvxpy", "joblib", "matplotlib", "minari", "moreau", "numba", "pandas", "pygame", "scipy"}
    heavy |= {"stable_baselines3", "tensorboard", "torch", "edgelearn_env.agents", "edgelearn_env.baselines"}
    heavy |= {f"edgelearn_env.scripts.{command.module}" for command in COMMANDS.values()}
    assert loaded & heavy == set()
    assert "edgelearn_env.scripts.commands" in loaded


@pytest.mark.parametrize("command", [*COMMANDS.values(), *FEDERATE_COMMANDS.values()], ids=lambda each: each.module)
def test_the_help_of_a_command_is_what_its_function_says(command):
    found = command.function()
    assert command.help == (found.info.help if isinstance(found, typer.Typer) else inspect.getdoc(found))


@pytest.mark.parametrize("arguments", [["--help"], ["scenarios", "--help"]])
def test_help_needs_no_docstrings(arguments, tmp_path):
    command = [sys.executable, "-OO", "-m", "edgelearn_env.scripts.main", *arguments]
    environment = os.environ | {"COLUMNS": "200"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    listed = COMMANDS if arguments == ["--help"] else ["scenarios"]
    assert all(COMMANDS[name].help.split("\n")[0] in result.stdout for name in listed)


def test_the_help_of_a_recipe_of_one_file_needs_no_docstring(tmp_path):
    code = (
        "from edgelearn_env.agents.runs.one_file import command\n"
        "def main(steps: int = 1) -> None: 'Left out.'\n"
        "command(main, 'Train somehow.')"
    )
    command = [sys.executable, "-OO", "-c", code, "--help"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Train somehow." in result.stdout


def test_an_unknown_command_is_a_usage_error(tmp_path):
    result = edgelearn("bencmark", folder=tmp_path)
    assert result.status == 2
    assert "Traceback" not in result.complaint
    assert "bencmark" in result.complaint


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_names_its_options(name):
    result = CliRunner(env={"COLUMNS": "100"}).invoke(app, [name, "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "Usage" in result.output
    assert COMMANDS[name].help.split()[0] in result.output
    assert {"leaderboard": "Arguments", "federate": "Commands"}.get(name, "Options") in result.output
