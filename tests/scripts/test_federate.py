"""`edgelearn federate` as a user meets it, on made-up text."""

import csv
import re

import pytest

pytest.importorskip("torch")

from command_line import edgelearn
from small_training import made_up_text, small_samples, small_schedule

from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.schedule import Schedule
from edgelearn_env.scripts.federate import layers, real_data, truth

LAYER_LADDER = "random, myopic, last-block, whole-net, random-levels, deepest, rule, lyapunov, mpc"
SMALL = ["--depth", "1", "--width", "8", "--tokens", "8"]


@pytest.fixture
def own_files(tmp_path) -> list[str]:
    """Options that name text files of a server and three devices."""
    for seed, name in enumerate(("server", "a", "b", "c")):
        (tmp_path / f"{name}.txt").write_text(made_up_text(seed))
    devices = [word for name in "abc" for word in ("--device", f"{name}.txt")]
    return ["--general", "server.txt", *devices, *SMALL]


@pytest.fixture
def made_up_data(monkeypatch):
    """Instead of the addresses."""
    monkeypatch.setattr(real_data, "_all_data", lambda *_: small_samples(10))


def test_a_policy_is_played_and_trained_and_goes_on_where_it_stopped(own_files, tmp_path):
    first = edgelearn("federate", "run", "--policy", "myopic", *own_files, folder=tmp_path)
    assert first.status == 0, first.complaint
    again = edgelearn("federate", "run", "--policy", "myopic", *own_files, folder=tmp_path)
    digests = [re.search(r"digest of the weights\s+(\w{16})", each.printed).group(1) for each in (first, again)]
    assert digests[0] == digests[1]
    folder = tmp_path / "results" / "federated"
    schedule = Schedule.load(folder / "schedule.json")
    assert len((folder / "log.jsonl").read_text().splitlines()) == len(schedule.rounds)
    other = edgelearn("federate", "run", "--policy", "equal", *own_files, folder=tmp_path)
    assert (other.status, "holds another run" in other.complaint) == (2, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["run", "--policy", "best"],
            "--policy must be one of random, fixed, equal, myopic, lyapunov, mpc, got 'best'",
        ),
        (["run", "--general", "a.txt"], "--general and --device belong together: give both or neither"),
        (["run", "--width", "30", "--policy", "myopic"], "--width must be a multiple of 4, got 30"),
        (
            ["layers", "-s", "layers-tiny", "--policies", "best"],
            f"--policies must name some of {LAYER_LADDER}, or files ending in .zip, got 'best'",
        ),
        (["layers", "-s", "layers-tiny", "--lora-step-size", "-1"], "--lora-step-size must be above 0, got -1.0"),
        (
            ["layers", "-s", "layers-tiny", "--policies", "none.zip"],
            "checkpoint file 'none.zip' does not exist",
        ),
        (["study", "--minutes", "7"], "--minutes must be one of 1, 15, 60, got 7"),
        (["calibrate", "--out", "here"], "--out must end in .toml, got 'here'"),
    ],
)
def test_wrong_input_gets_one_sentence(words, sentence, tmp_path, made_up_data, monkeypatch):
    if "--general" in words:
        monkeypatch.undo()
    result = edgelearn("federate", *words, folder=tmp_path)
    assert (result.status, result.complaint) == (2, f"edgelearn: {sentence}\n")


def test_what_is_calibrated_is_played_for_real_and_compared(tmp_path, made_up_data, monkeypatch):
    words = ["--out", "measured.toml", *SMALL, "--rounds", "6", "--points", "2", "--floor-steps", "40"]
    made = edgelearn("federate", "calibrate", *words, "--layer-steps", "0", folder=tmp_path)
    assert made.status == 0, made.complaint
    assert Scenario.load(tmp_path / "measured.toml").learning.smoothness > 0
    schedules = [
        Schedule(name=f"random {n}", rounds=small_schedule(m, n).rounds, predicted=1 / n)
        for m, n in ((1, 2), (2, 3), (1, 4), (0, 5))
    ]
    monkeypatch.setattr(
        truth, "varied_schedules", lambda *_: {each.name: (lambda each=each: each) for each in schedules}
    )
    words = ["-s", "measured.toml", *SMALL, "--points", "2", "--out", "truth"]
    found = edgelearn("federate", "truth", *words, folder=tmp_path)
    assert found.status == 0, found.complaint
    assert "Spearman" in found.printed
    with (tmp_path / "truth" / "truth.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == [schedule.name for schedule in schedules]
    assert (tmp_path / "truth" / "truth.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(truth, "write_rows", None)  # all is there: nothing is measured again
    assert edgelearn("federate", "truth", *words, folder=tmp_path).status == 0


def test_policies_of_layers_the_optimum_and_lora_are_trained_and_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(real_data, "_all_data", lambda *_: small_samples(3))
    tiny = ["-s", "layers-tiny.toml", "--begun", "0", "--policies", "myopic", "--seeds", "2", "--out", "layers"]
    Scenario.preset("layers-tiny").replace(budgets={"max_rounds": 4}).to_toml(tmp_path / "layers-tiny.toml")
    found = edgelearn("federate", "layers", *tiny, folder=tmp_path)
    assert found.status == 0, found.complaint
    assert "Spearman of J over 3 schedules" in found.printed
    with (tmp_path / "layers" / "layers.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = ["rule", "myopic", "optimum", "lora"]
    assert [(row["name"], row["seed"]) for row in rows] == [(name, str(seed)) for seed in range(2) for name in names]
    assert all(float(row["elapsed_s"]) <= 15.0 for row in rows)
    monkeypatch.setattr(layers, "write_rows", None)  # all is there: nothing is trained again
    assert (
        edgelearn("federate", "layers", *tiny, folder=tmp_path).printed.splitlines()[1:]
        == found.printed.splitlines()[1:]
    )


@pytest.mark.slow
def test_the_smallest_study_writes_tables_and_pictures(tmp_path):
    small = edgelearn("federate", "study", "--minutes", "1", "--out", "study", folder=tmp_path)
    assert small.status == 0, small.complaint
    names = {path.name for path in (tmp_path / "study").iterdir()}
    assert names >= {"runs.csv", "equal.md", "limits.csv", "rule.md", "unequal.md", "study-costs.png"}


def test_a_refused_run_leaves_the_folder_of_another_as_it_is(own_files, tmp_path):
    first = edgelearn("federate", "run", "--policy", "myopic", *own_files, folder=tmp_path)
    assert first.status == 0, first.complaint
    folder = tmp_path / "results" / "federated"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    refused = edgelearn("federate", "run", "--policy", "equal", *own_files, folder=tmp_path)
    assert (refused.status, "holds another run" in refused.complaint) == (2, True)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    (folder / "log.jsonl").write_text("{bad")
    again = edgelearn("federate", "run", "--policy", "myopic", *own_files, folder=tmp_path)
    assert again.status == 0, again.complaint
    assert (folder / "log.jsonl").read_bytes() == before["log.jsonl"]
    (folder / "checkpoint.npz").write_bytes(before["checkpoint.npz"][:300])
    damaged = edgelearn("federate", "run", "--policy", "myopic", *own_files, folder=tmp_path)
    assert (damaged.status, "is not one that this package wrote" in damaged.complaint) == (2, True)


def test_a_schedule_is_of_the_scenario_s_devices_and_stands_instead_of_a_policy(own_files, tmp_path):
    small_schedule(1, 2).save(tmp_path / "made.json")  # of four devices
    words = ["federate", "run", "--schedule", "made.json", *own_files]
    both = edgelearn(*words, "--policy", "myopic", folder=tmp_path)
    sentence = "--schedule stands instead of --policy: give one of them, got 'myopic' too"
    assert (both.status, both.complaint) == (2, f"edgelearn: {sentence}\n")
    more = edgelearn(*words, folder=tmp_path)
    sentence = "schedule file 'made.json' must be of at most 3 devices (--scenario), got device 3"
    assert (more.status, more.complaint) == (2, f"edgelearn: {sentence}\n")


@pytest.mark.parametrize("command", ["truth", "layers"])
def test_results_of_other_choices_are_not_taken_for_those_that_are_asked_for(command, tmp_path, made_up_data):
    folder = tmp_path / "results" / command
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    scenario = {"truth": "tiny", "layers": "layers-tiny"}[command]
    result = edgelearn("federate", command, "-s", scenario, folder=tmp_path)
    sentence = f"folder '{folder.relative_to(tmp_path)}' holds another run: name another one, or remove it"
    assert (result.status, result.complaint) == (2, f"edgelearn: {sentence}\n")
