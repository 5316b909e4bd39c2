import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence

pytest.importorskip("pettingzoo")

with warnings.catch_warnings():
    # These tests come with one of PettingZoo's own games, imported as PettingZoo no longer wants it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.utils import parallel_to_aec

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.two_stage.env import TwoStageEnv
from edgelearn_env.two_stage.parallel import TwoStageParallelEnv, parallel_env

AGENTS = ["server", "client_0", "client_1", "client_2"]


def random_actions(rng) -> dict[str, np.ndarray]:
    """Of a kind with episodes of many lengths: few switch at once."""
    actions = {agent: rng.uniform(-1, 1, 3).astype(np.float32) for agent in AGENTS}
    actions["server"][0] -= 0.5
    return actions


def by_hand(actions: dict[str, np.ndarray]) -> np.ndarray:
    """The joint action, entry by entry as the table of `TwoStageEnv` has them."""
    devices = [actions[agent] for agent in AGENTS[1:]]
    return np.array([*actions["server"], *(device[entry] for entry in range(3) for device in devices)])


def test_pettingzoo_finds_no_fault():
    parallel_api_test(parallel_env(scenario="tiny"), num_cycles=200)
    parallel_seed_test(lambda: parallel_env(scenario="tiny"))


# There is one server, so it goes without a number; and it has no battery or channel to observe.
@pytest.mark.filterwarnings("ignore:We recommend agents to be named", "ignore:(Agents|Observations) .*different")
def test_pettingzoo_finds_no_fault_in_agents_that_take_turns():
    api_test(parallel_to_aec(parallel_env(scenario="tiny")), num_cycles=200)


@pytest.mark.parametrize("kwargs", [{}, {"objective": "two-stage", "budgets": {"max_rounds": 3}}])
def test_joint_play_is_that_of_the_single_environment_bit_for_bit(rng, kwargs: dict):
    env, single = parallel_env(scenario="tiny", **kwargs), TwoStageEnv("tiny", **kwargs)
    for seed in (4, None, None, 5):
        observations, infos = env.reset(seed=seed)
        expected, info = single.reset(seed=seed)
        while True:
            np.testing.assert_array_equal(env.state(), expected)
            np.testing.assert_array_equal(observations["server"], expected[:5])
            for index, agent in enumerate(AGENTS[1:]):
                own = expected[[0, 1, 2, 3, 4, 5 + index, 8 + index, 11 + index]]
                np.testing.assert_array_equal(observations[agent], own)
            assert {item.dtype for item in observations.values()} == {np.dtype(np.float32)}
            for agent in AGENTS:
                assert {name: infos[agent][name] for name in ("objective", "spent_j", "tape_episode")} == {
                    name: info[name] for name in ("objective", "spent_j", "tape_episode")
                }
            if not env.agents:
                break
            actions = random_actions(rng)
            observations, rewards, terminations, truncations, infos = env.step(actions)
            expected, reward, terminated, truncated, info = single.step(by_hand(actions))
            assert rewards == dict.fromkeys(AGENTS, reward)
            assert terminations == dict.fromkeys(AGENTS, terminated)
            assert truncations == dict.fromkeys(AGENTS, truncated)
            assert env.agents == ([] if terminated else AGENTS)


def test_each_agent_is_told_its_own_part_of_a_round(rng):
    env, single = parallel_env(scenario="tiny"), TwoStageEnv("tiny")
    env.reset(seed=0)
    single.reset(seed=0)
    actions = random_actions(rng)
    actions["server"][0] = 1.0
    *_, infos = env.step(actions)
    *_, info = single.step(by_hand(actions))
    for index, agent in enumerate(AGENTS[1:]):
        for name in ("battery_j", "compute_s", "upload_j", "freq_hz", "power_w", "batch"):
            assert infos[agent][name] == info[name][index]
            assert type(infos[agent][name]) is float
        assert infos[agent]["participates"] == info["participates"][index]
        assert type(infos[agent]["participates"]) is bool
        assert "server_freq_hz" not in infos[agent]
    assert infos["server"]["server_freq_hz"] == info["server_freq_hz"] > 0
    assert "battery_j" not in infos["server"]
    assert infos["server"].keys() | infos["client_0"].keys() == info.keys()


def test_agents_and_spaces_are_those_of_the_scenario():
    env = parallel_env(scenario="tiny")
    assert isinstance(env, TwoStageParallelEnv)
    assert env.possible_agents == AGENTS
    assert env.agents == []
    assert {env.action_space(agent).shape for agent in AGENTS} == {(3,)}
    assert [env.observation_space(agent).shape for agent in AGENTS] == [(5,), (8,), (8,), (8,)]
    assert len(parallel_env(scenario="large").possible_agents) == 51
    assert str(env) == "edgelearn_two_stage_v0"


def test_what_callers_do_to_returned_data_does_not_matter(rng):
    env, untouched = parallel_env(scenario="tiny"), parallel_env(scenario="tiny")
    observations, infos = env.reset(seed=1)
    untouched.reset(seed=1)
    for agent in AGENTS:
        observations[agent].fill(9)
        infos[agent].clear()
    env.state().fill(9)
    np.testing.assert_array_equal(env.state(), untouched.state())
    env.agents.clear()
    env.reset(seed=1)
    actions = random_actions(rng)
    assert data_equivalence(env.step(actions), untouched.step(actions), exact=True)
    np.testing.assert_array_equal(env.state(), untouched.state())


def test_a_tape_can_be_handed_in_and_other_options_are_left_to_wrappers(tiny_tape: Tape):
    env = parallel_env(scenario="tiny")
    _, infos = env.reset(options={"tape": tiny_tape, "other": 1})
    assert infos["server"]["tape_seed"] == -1
    np.testing.assert_array_equal(env.state(), TwoStageEnv("tiny").reset(seed=7)[0])
    with pytest.raises(InvalidInputError, match="option 'tape' must be a Tape, got str"):
        env.reset(options={"tape": "a.npz"})


def test_a_pickled_copy_goes_on_identically(rng):
    env = parallel_env(scenario="tiny")
    env.reset(seed=1)
    env.step(random_actions(rng))
    twin = pickle.loads(pickle.dumps(env))
    actions = random_actions(rng)
    assert data_equivalence(env.step(actions), twin.step(actions), exact=True)


def test_frames_are_those_of_the_single_environment(rng):
    env, single = parallel_env(scenario="tiny", render_mode="ansi"), TwoStageEnv("tiny", render_mode="ansi")
    env.reset(seed=1)
    single.reset(seed=1)
    actions = random_actions(rng)
    env.step(actions)
    single.step(by_hand(actions))
    assert env.render() == single.render()
    assert env.render_mode == "ansi"
    env.close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"client_1": None}, "that of 'client_1' is missing"),
        (
            {"client_3": np.zeros(3)},
            "unknown agent 'client_3' in actions: choose among server, client_0, client_1, cli",
        ),
        ({"server": np.zeros(4)}, r"^agent 'server': action must have shape \(3,\), got \(4,\)$"),
        ({"client_2": np.array([0, np.nan, 0])}, r"^agent 'client_2': action\[1\] must be a finite number, got nan$"),
    ],
)
def test_actions_that_do_not_fit_are_refused_and_change_nothing(rng, change: dict, sentence: str):
    env, untouched = parallel_env(scenario="tiny"), parallel_env(scenario="tiny")
    env.reset(seed=0)
    untouched.reset(seed=0)
    actions = random_actions(rng)
    wrong = {agent: action for agent, action in (actions | change).items() if action is not None}
    with pytest.raises(InvalidInputError, match=sentence):
        env.step(wrong)
    assert data_equivalence(env.step(actions), untouched.step(actions), exact=True)


def test_without_an_episode_there_is_nothing_to_step(rng):
    env = parallel_env(scenario="tiny", budgets={"max_rounds": 1})
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before the next step\(\)"):
        env.step(random_actions(rng))
    env.reset(seed=0)
    env.step(random_actions(rng))
    with pytest.raises(ResetNeeded, match="no agent is in play"):
        env.step({})


def test_without_pettingzoo_a_sentence_says_what_to_install():
    code = "import sys; sys.modules['pettingzoo'] = None; import edgelearn_env.two_stage.parallel"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError: PettingZoo is not installed: pip install 'edgelearn-env[multi-agent]'" in result.stderr
