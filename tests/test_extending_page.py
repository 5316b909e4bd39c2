"""The page on how to extend the package: its code runs as it stands, and the system that it adds keeps the contract."""

import re
import sys
import types
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from edgelearn_env.scenarios.systems import SYSTEMS
from edgelearn_env.stages.bounds import BOUNDS

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
SEED, B, T = 3, 4, 40


@pytest.fixture(scope="module")
def page():
    """A module in which the page's code has run; what it registered is taken back afterwards."""
    systems, bounds, name = dict(SYSTEMS), dict(BOUNDS), "code_of_the_page"
    module = sys.modules[name] = types.ModuleType(name)
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE):
        exec(compile(block, str(PAGE), "exec"), module.__dict__)
    yield module
    for table, before in ((SYSTEMS, systems), (BOUNDS, bounds)):
        table.clear()
        table.update(before)
    del sys.modules[name], gymnasium.registry["EdgeLearn/ServerOnly-v0"]


def test_a_system_that_is_added_passes_gymnasiums_checker(page):
    check_env(gymnasium.make("EdgeLearn/ServerOnly-v0", scenario=page.server_only).unwrapped, skip_render_check=True)


def test_its_forms_play_the_same_over_several_autoresets(page):
    torch = pytest.importorskip("torch")
    singles = [gymnasium.make("EdgeLearn/ServerOnly-v0", scenario=page.server_only) for _ in range(B)]
    vector = page.ServerOnlyVectorEnv(B, page.server_only, autoreset_mode="SameStep")
    tensors = page.TensorEnv(B, page.server_only)
    observations, _ = vector.reset(seed=SEED)
    tensors.reset(seed=SEED)
    for index, env in enumerate(singles):
        np.testing.assert_array_equal(env.reset(seed=SEED + index)[0], observations[index])
    resets = 0
    for actions in np.random.default_rng(0).uniform(-1, 1, (T, B, 2)).astype(np.float32):
        observations, rewards, ended, _, _ = vector.step(actions)
        seen, same_rewards, *_ = tensors.step(torch.tensor(actions))
        np.testing.assert_allclose(seen.numpy(), observations, atol=1e-6)
        np.testing.assert_allclose(same_rewards.numpy(), rewards, rtol=1e-12, atol=1e-15)
        for index, env in enumerate(singles):
            observation, reward, over, _, _ = env.step(actions[index])
            assert (reward, over) == (rewards[index], ended[index])
            np.testing.assert_array_equal(env.reset()[0] if over else observation, observations[index])
        resets += np.sum(ended)
    assert resets > B


def test_its_policy_does_what_it_says_and_its_system_plays_its_round(page, capsys):
    played = page.rollout(page.scenario, page.tapes, page.unhurried)
    assert np.all(played.num_pretrain_rounds == 10)
    assert np.all(played.num_finetune_rounds > 0)
    env = page.env
    env.reset(seed=0)
    assert env.step(env.action_space.low)[1] > 0
