"""`edgelearn train` as a user meets it, in an empty folder."""

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("stable_baselines3")

from command_line import edgelearn

from edgelearn_env import Scenario
from edgelearn_env.agents import imitation
from edgelearn_env.agents.configs.imitation import ImitationConfig
from edgelearn_env.agents.runs.checkpoint import load, load_policy
from edgelearn_env.agents.runs.training_run import Result

COMMAND = [sys.executable, "-m", "edgelearn_env.scripts.main", "train", "--scenario", "tiny"]
PPO = ("--num-envs", "8", "--steps")


def begun(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, *arguments], cwd=folder, text=True, **pipes)


def ended(*arguments: str, folder: Path) -> tuple[int, str, str]:
    return tuple(edgelearn("train", "--scenario", "tiny", *arguments, folder=folder))


def test_a_run_says_where_its_files_are_and_how_good_its_best_state_is(tmp_path):
    status, printed, complaint = ended(*PPO, "2048", folder=tmp_path)
    assert (status, complaint) == (0, "")
    folder = Path("runs") / "ppo-tiny"
    assert f"Wrote {folder / 'checkpoint.zip'}, {folder / 'progress.csv'}" in printed
    kept = load(tmp_path / folder / "checkpoint.zip")
    assert f"on 100 validation tapes: {kept.validation_objective:.4f}" in printed
    load_policy(tmp_path / folder / "checkpoint.zip", Scenario.preset("tiny"))
    status, _, complaint = ended(*PPO, "2048", "--seed", "1", folder=tmp_path)
    assert status == 2
    assert "was begun with another seed" in complaint
    status, _, complaint = ended(*PPO, "2048", "--seed", "1", "--fresh", folder=tmp_path)
    assert (status, complaint) == (0, "")
    assert load(tmp_path / folder / "checkpoint.zip").seed == 1


def test_analytic_gradients_are_a_recipe_too(tmp_path):
    status, printed, complaint = ended("--recipe", "apg", "--updates", "1", folder=tmp_path)
    assert (status, complaint) == (0, "")
    kept = load(tmp_path / "runs" / "apg-tiny" / "checkpoint.zip")
    assert kept.recipe == "apg"
    assert f"on {kept.num_validation_tapes} validation tapes: {kept.validation_objective:.4f}" in printed


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("sac", ["--steps", "256", "--num-envs", "8"]),
        ("imitation", ["--set", "budgets.max_rounds=6", "--demonstrations", "1", "--iterations", "1"]),
    ],
)
def test_other_recipes_train_too(tmp_path, monkeypatch, recipe, options):
    # What no option shortens.
    whole, few = imitation.train, {"num_corrections": 1, "updates_each": 4, "validation_tapes": 3}

    def shortened(config: ImitationConfig, *rest: object, **named: object) -> Result:
        return whole(dataclasses.replace(config, **few), *rest, **named)

    monkeypatch.setattr(imitation, "train", shortened)
    status, _, complaint = ended("--recipe", recipe, *options, folder=tmp_path)
    assert (status, complaint) == (0, "")
    assert load(tmp_path / "runs" / f"{recipe}-tiny" / "checkpoint.zip").recipe == recipe


def test_an_option_of_another_recipe_is_refused(tmp_path):
    status, _, complaint = ended("--recipe", "apg", "--steps", "100", folder=tmp_path)
    assert status == 2
    assert "recipe apg has no --" in complaint
    assert complaint.rstrip().endswith("it has --updates, --begin-with, --learning-rate")


def test_ctrl_c_saves_and_the_same_command_goes_on(tmp_path):
    snapshot = tmp_path / "runs" / "ppo-tiny" / "snapshot.pkl"
    process = begun(*PPO, "20000000", folder=tmp_path)
    while not snapshot.exists() and process.poll() is None:
        time.sleep(0.1)
    assert snapshot.exists()
    process.send_signal(signal.SIGINT)
    printed, complaint = process.communicate()
    assert (process.returncode, complaint) == (130, "")
    assert "Stopped before the end; the same command goes on." in printed
    status, printed, complaint = ended(*PPO, "2048", folder=tmp_path)
    assert (status, complaint) == (0, "")
    assert "Wrote" in printed
    assert "nan" not in printed


def test_a_file_is_no_folder_to_write_to(tmp_path):
    (tmp_path / "taken").write_text("")
    status, _, complaint = ended("--out", "taken", folder=tmp_path)
    assert status == 2
    assert complaint.splitlines() == ["edgelearn: --out must name a folder, got the file 'taken'"]
