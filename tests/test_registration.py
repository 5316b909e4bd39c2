import json
import subprocess
import sys

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from systems_under_contract import smallest_preset

import edgelearn_env
from edgelearn_env.registration import OTHER_REWARDS
from edgelearn_env.two_stage.env import TwoStageEnv, TwoStageVectorEnv

IDS = sorted(name for name in gymnasium.registry if name.startswith("EdgeLearn/"))
# General checkers refuse a reward that is not a number; the environments that have vectors test themselves.
SCALAR_IDS = [name for name in IDS if name not in OTHER_REWARDS]
HEAVY = ("cvxpy", "torch", "stable_baselines3", "matplotlib", "pygame", "scipy", "pettingzoo", "mo_gymnasium")


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def test_the_namespace_is_not_empty():
    assert "EdgeLearn/TwoStage-v0" in SCALAR_IDS
    assert "EdgeLearn/mo-TwoStage-v0" in IDS


@pytest.mark.parametrize("name", SCALAR_IDS)
def test_gymnasium_finds_no_fault_and_every_render_mode_works(name: str):
    pytest.importorskip("pygame")
    check_env(gymnasium.make(name, scenario=smallest_preset(name)).unwrapped)


@pytest.mark.parametrize("name", SCALAR_IDS)
def test_stable_baselines_finds_no_fault(name: str):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(gymnasium.make(name).unwrapped)


@pytest.mark.parametrize("name", IDS)
def test_episodes_are_not_cut_from_outside(name: str):
    assert gymnasium.spec(name).max_episode_steps is None


@pytest.mark.parametrize("name", IDS)
def test_info_leaves_the_keys_of_common_wrappers_free(name: str):
    env = gymnasium.wrappers.RecordEpisodeStatistics(gymnasium.make(name, scenario=smallest_preset(name)))
    _, info = env.reset(seed=0)
    reserved = {
        "episode",
        "terminal_observation",
        "TimeLimit.truncated",
        "final_obs",
        "final_info",
        "is_success",
        "cost",
    }
    assert not reserved & info.keys()
    terminated = False
    while not terminated:
        *_, terminated, _, info = env.step(env.action_space.sample())
    assert info["episode"]["l"] >= 1


def test_a_module_prefix_registers_by_itself():
    code = "import gymnasium; print(gymnasium.make('edgelearn_env:EdgeLearn/TwoStage-v0').unwrapped)"
    assert "TwoStageEnv" in _printed(code)


def test_importing_the_package_loads_nothing_heavy():
    # A compiler is loaded by the first environment, if it is there.
    code = f"import sys, edgelearn_env; print([name for name in {(*HEAVY, 'numba')} if name in sys.modules])"
    assert _printed(code).strip() == "[]"


def test_playing_without_rendering_loads_nothing_heavy():
    code = f"""
import sys, gymnasium, edgelearn_env
name = "EdgeLearn/TwoStage-v0"
for env in (gymnasium.make(name, kernel="numpy"), gymnasium.make_vec(name, num_envs=2, kernel="numpy")):
    env.reset(seed=0)
    env.step(env.action_space.sample())
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert _printed(code).strip() == "[]"


def test_registering_again_changes_nothing():
    before = dict(gymnasium.registry)
    edgelearn_env.register_environments()
    assert gymnasium.registry == before


def test_make_vec_uses_the_native_form():
    envs = gymnasium.make_vec("EdgeLearn/TwoStage-v0", num_envs=4)
    assert isinstance(envs, TwoStageVectorEnv)
    assert envs.num_envs == 4


def test_a_spec_survives_json():
    env = gymnasium.make("EdgeLearn/TwoStage-v0", scenario="tiny", objective="two-stage", budgets={"delay_s": 9.0})
    spec = EnvSpec.from_json(env.spec.to_json())
    again = gymnasium.make(spec).unwrapped
    assert isinstance(again, TwoStageEnv)
    assert again.scenario == env.unwrapped.scenario
    assert json.loads(env.spec.to_json())["kwargs"]["budgets"] == {"delay_s": 9.0}


def test_a_vector_spec_makes_the_same_vector():
    envs = gymnasium.make_vec("EdgeLearn/TwoStage-v0", num_envs=3, scenario="tiny", autoreset_mode="SameStep")
    again = gymnasium.make_vec(EnvSpec.from_json(envs.spec.to_json()))
    assert (again.num_envs, again.autoreset_mode, again.scenario) == (3, envs.autoreset_mode, envs.scenario)


def _printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
