"""TorchRL takes the environments as they are: by their ids, and server and clients as groups of agents."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # TorchRL warns of parts of its own when it is imported
    from tensordict import TensorDict
    from torchrl.data import Composite
    from torchrl.envs import GymEnv, PettingZooWrapper

from systems_under_contract import smallest_preset

from edgelearn_env.registration import environment_ids
from edgelearn_env.two_stage.parallel import TwoStageParallelEnv, parallel_env

# TorchRL has been tried by its makers with one version of PettingZoo, and says so of all others.
pytestmark = pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested using version")

# One by which TorchRL groups agents, and Torch the networks of each group.
CONTAINERS = (TensorDict, Composite, torch.nn.ModuleDict)


def agents_of(env: TwoStageParallelEnv) -> PettingZooWrapper:
    return PettingZooWrapper(env, return_state=True, device="cpu")


@pytest.mark.parametrize("name", environment_ids())
def test_an_environment_is_made_by_its_id_and_plays_what_gymnasium_s_plays(name: str):
    scenario = smallest_preset(name)
    env, theirs = GymEnv(name, scenario=scenario, device="cpu"), gymnasium.make(name, scenario=scenario)
    played = env.step(env.rand_action(env.reset(seed=3)))
    observation, _ = theirs.reset(seed=3)
    np.testing.assert_array_equal(played["observation"], observation)
    observation, reward, *_ = theirs.step(played["action"].numpy())
    np.testing.assert_array_equal(played["next", "observation"], observation)
    np.testing.assert_allclose(played["next", "reward"], np.atleast_1d(reward), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", environment_ids())
def test_several_are_played_by_worker_processes(name: str):
    # Workers start afresh, and the prefix lets them import what registers the id.
    envs = GymEnv(f"edgelearn_env:{name}", scenario=smallest_preset(name), num_workers=2, device="cpu")
    assert envs.rollout(2, break_when_any_done=False)["observation"].shape[:2] == (2, 2)
    envs.close()


def test_server_and_clients_are_played_as_two_groups():
    env, ours = agents_of(parallel_env(scenario="tiny")), parallel_env(scenario="tiny")
    assert env.group_map == {"server": ["server"], "client": ["client_0", "client_1", "client_2"]}
    played = env.reset(seed=3)
    observations, _ = ours.reset(seed=3)
    seen_by_all = [*played["server", "observation"], *played["client", "observation"]]
    for agent, seen in zip(ours.possible_agents, seen_by_all, strict=True):
        np.testing.assert_array_equal(seen, observations[agent])
    played = env.rollout(8)
    assert played["client", "action"].shape == (len(played), 3, 3)
    assert played["next", "server", "reward"].shape == (len(played), 1, 1)
    assert played["state"].shape == (len(played), 14)


def test_no_name_is_one_that_containers_keep_for_themselves():
    env = parallel_env(scenario="tiny")
    groups = {agent.rpartition("_")[0] or agent for agent in env.possible_agents}
    _, infos = env.reset(seed=0)
    names = groups | {*env.possible_agents} | {name for info in infos.values() for name in info}
    for name in environment_ids():
        names |= gymnasium.make(name, scenario=smallest_preset(name)).reset(seed=0)[1].keys()
    for container in CONTAINERS:
        assert not names & set(dir(container))
