"""What `edgelearn speed` prints: which rows, and numbers that can be true. How fast things are is not tested."""

import importlib.util
import re
import sys

import numpy as np
import pytest
from command_line import edgelearn
from rich.progress import Progress
from typer.testing import CliRunner

from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.main import app
from edgelearn_env.scripts.speed import memory_traffic, random_play, timed_environments, timed_growth
from edgelearn_env.scripts.speed.memory_traffic import copied_bytes_per_s, least_step_bytes
from edgelearn_env.scripts.speed.timing import percent
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.two_stage.env import TwoStageEnv

ROLLOUT_ROWS = ["rollout", "rollout and updates"]


def rows_of(table) -> dict[str, list[str]]:
    """The cells beside each label."""
    labels, *columns = (list(column.cells) for column in table.columns)
    assert len(set(labels)) == len(labels)
    return {label: list(cells) for label, *cells in zip(labels, *columns, strict=True)}


def numbers_of(cell: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,.]*(?:e[+-]?\d+)?", cell)]


def test_every_form_has_a_row_with_its_median_within_its_range(tiny):
    rows = rows_of(timed_environments.timed_environments(tiny, Progress(disable=True), seconds=1e-9, repeats=2))
    kernels = ("compiled", "numpy") if importlib.util.find_spec("numba") else ("numpy",)
    batched = {
        f"vector, {num_envs}, {mode}, {kernel}"
        for num_envs in (1024, 4096)
        for mode in ("NextStep", "SameStep")
        for kernel in kernels
    }
    if importlib.util.find_spec("torch"):
        batched |= {"tensors, 4096, CPU"}
    if importlib.util.find_spec("stable_baselines3"):
        batched |= {"SB3 adapter, 1024"}
    others = {"CartPole, single", "CartPole, SyncVectorEnv, 64", "CartPole, native vector, 4096"}
    assert next(iter(rows)) == "single"
    assert {"single"} | batched | others <= rows.keys()
    assert rows["single"][2] == "1"
    for label, (rate, spread, ratio, share) in rows.items():
        lowest, highest = numbers_of(spread)
        assert 0 < lowest <= numbers_of(rate)[0] <= highest
        assert numbers_of(ratio)[0] > 0
        ours = label in batched or label.startswith("tensors")
        assert (share.endswith("%") and numbers_of(share)[0] > 0) if ours else share == ""


@pytest.mark.parametrize(
    ("share", "text"), [(0.1234, "12%"), (1.0, "100%"), (0.0999, "10%"), (0.00034, "0.034%"), (1e-6, "0.0001%")]
)
def test_a_share_is_never_printed_as_none(share, text):
    assert percent(share) == text


@pytest.mark.parametrize("installed", [True, False])
def test_mobile_env_is_played_only_where_it_is_installed(monkeypatch, installed):
    made = []
    found = importlib.util.find_spec
    monkeypatch.setattr(
        timed_environments.importlib.util, "find_spec", lambda name: installed if name == "mobile_env" else found(name)
    )
    monkeypatch.setattr(timed_environments.gymnasium, "make", lambda name: made.append(name))
    monkeypatch.setattr(timed_environments, "play_single", lambda env: lambda: 0)
    labels = timed_environments._others().keys()
    sizes = ["small", "medium", "large"] if installed else []
    assert [label for label in labels if "mobile" in label] == [f"mobile-env, {size}, single" for size in sizes]
    assert made[1:] == [f"mobile_env:mobile-{size}-central-v0" for size in sizes]


@pytest.mark.parametrize("available", [True, False])
def test_a_gpu_is_played_on_only_where_there_is_one(monkeypatch, tiny, available):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    made = []

    def noted(_, *arguments, compiled):
        made.append((*arguments, compiled))
        return int

    monkeypatch.setattr(timed_environments, "play_tensors", noted)
    labels = list(timed_environments._on_gpu(tiny, "here, "))
    sizes = (65_536, 262_144) if available else ()
    ends = ("", ", compiled")
    assert labels == [f"here, tensors, {size}, CUDA{end}" for size in sizes for end in ends]
    assert made == [(size, "cuda", compiled) for size in sizes for compiled in (False, True)]


def test_a_play_steps_every_environment_once_an_action_and_goes_on_after_an_end(tiny):
    env = TwoStageEnv(tiny)
    play = random_play.play_single(env)
    assert [play() for _ in range(5)] == [random_play.NUM_ACTIONS] * 5
    assert env.reset()[1]["tape_episode"] >= 2
    pytest.importorskip("torch")
    assert random_play.play_tensors(tiny, 3, "cpu")() == 3 * random_play.NUM_ACTIONS


def test_a_step_moves_at_least_its_state_twice_and_row_action_and_observation_once(tiny):
    env, state = TwoStageEnv(tiny), initial_state(constants_of(tiny), 1)
    of_state = np.concatenate([np.asarray(array).view(np.uint8).ravel() for array in (*state[:-1], *state.bound_terms)])
    of_row = 2 * 8 * tiny.num_devices
    spaces = env.action_space.shape[0] * 4 + env.observation_space.shape[0] * 4
    assert least_step_bytes(tiny) == 2 * of_state.size + of_row + spaces


def test_a_copy_moves_a_finite_number_of_bytes_a_second():
    assert 0 < copied_bytes_per_s("cpu") < np.inf


def test_a_copy_on_a_gpu_is_waited_for(monkeypatch):
    torch = pytest.importorskip("torch")
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    memory_traffic._copy_on("cpu")()
    assert waited == [torch.device("cpu")]


def test_a_rollout_spends_a_part_of_its_time_in_the_environment_and_less_of_it_with_updates(tiny):
    pytest.importorskip("stable_baselines3")
    import torch

    from edgelearn_env.agents.configs.ppo import PPOConfig
    from edgelearn_env.scripts.speed.timed_rollout import timed_rollout

    threads = torch.get_num_threads()
    config = PPOConfig(scenario=tiny, num_envs=8, rollout_steps=16, num_minibatches=2, epochs=2)
    table = timed_rollout(config, Progress(disable=True), num_rollouts=4)
    assert torch.get_num_threads() == threads
    assert table.columns[0].header == "PPO, 8 environments, 16 steps"
    rows = rows_of(table)
    assert list(rows) == ROLLOUT_ROWS
    shares = []
    for _, _, share, spread in rows.values():
        lowest, highest = numbers_of(spread)
        shares.append(numbers_of(share)[0])
        assert 0 < lowest <= shares[-1] <= highest < 100
    assert shares[1] < shares[0]


def test_without_stable_baselines3_the_sentence_names_the_extra(tmp_path, monkeypatch):
    needing = {"agents.ppo", "agents.runs.sb3_run", "envs.sb3", "scripts.speed.timed_rollout"}
    needing = {f"edgelearn_env.{name}" for name in needing}
    for name in [name for name in sys.modules if name.split(".")[0] == "stable_baselines3" or name in needing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    result = edgelearn("speed", "--only", "rollouts", folder=tmp_path)
    sentence = "edgelearn: Stable-Baselines3 is not installed: pip install 'edgelearn-env[agents]'"
    assert (result.status, result.complaint.strip()) == (2, sentence)


def test_a_part_that_does_not_exist_is_a_usage_error_that_names_those_that_do():
    result = CliRunner().invoke(app, ["speed", "--only", "everything"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    for part in ("environments", "rollouts", "decisions", "designs", "optimum", "growth"):
        assert part in result.output


def test_every_size_has_a_row_and_only_short_episodes_are_solved(monkeypatch):
    monkeypatch.setattr(timed_growth, "DEVICES", (2, 5))
    monkeypatch.setattr(timed_growth, "ROUNDS", (6, 12))
    monkeypatch.setattr(timed_growth, "ENVIRONMENTS", (1, 64))
    monkeypatch.setattr(timed_growth, "_MOST_CELLS", 24)
    scenario = Scenario.preset("tiny").replace(budgets={"max_rounds": 8})
    rows = rows_of(timed_growth.timed_growth(scenario, Progress(disable=True)))
    sizes = ["2 devices", "5 devices", "6 rounds", "12 rounds", "1 environments", "64 environments"]
    assert list(rows) == sizes
    for cells in rows.values():
        assert all(float(cell) > 0 for cell in cells[:4])
    for column in (4, 5):
        assert [bool(cells[column]) for cells in rows.values()] == [True, False, True, False, False, False]


def test_more_devices_are_those_of_the_scenario_over_and_over():
    scenario = Scenario.preset("default")
    more = timed_growth.with_devices(scenario, 25)
    np.testing.assert_array_equal(more.devices.distance_m, np.resize(scenario.devices.distance_m, 25))
    assert np.sum(more.learning.device_weight) == pytest.approx(1.0)
    assert more.budgets.energy_j == 2.5 * scenario.budgets.energy_j
