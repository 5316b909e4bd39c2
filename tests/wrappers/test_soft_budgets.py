import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.physics.budgets import DELAY
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.two_stage.env import TwoStageEnv
from edgelearn_env.wrappers import MultiDiscreteActions, SoftBudgets, VectorMultiDiscreteActions, VectorSoftBudgets

ID = "EdgeLearn/TwoStage-v0"
B = 4
COSTS = ("cost", "cost_delay", "cost_energy")
# Both budgets are passed by most random episodes, long before the hard ends.
NOMINAL = {"delay_s": 4.0, "energy_j": 0.5}


def single(**kwargs) -> SoftBudgets:
    return SoftBudgets(gymnasium.make(ID, scenario="tiny", **kwargs), **NOMINAL)


def vector(mode: AutoresetMode = AutoresetMode.NEXT_STEP, **kwargs) -> VectorSoftBudgets:
    envs = gymnasium.make_vec(ID, num_envs=B, scenario="tiny", autoreset_mode=mode, **kwargs)
    return VectorSoftBudgets(envs, **NOMINAL)


def random_action(rng, shape: tuple) -> np.ndarray:
    """Of a kind with episodes of many lengths: few switch at once."""
    action = rng.uniform(-1, 1, shape).astype(np.float32)
    action[..., 0] -= 0.5
    return action


def infos_of_episode(env, rng, seed: int) -> list[dict]:
    infos = [env.reset(seed=seed)[1]]
    terminated = False
    while not terminated:
        *_, terminated, _, info = env.step(random_action(rng, (12,)))
        infos.append(info)
    return infos


def test_the_costs_of_an_episode_add_up_to_its_final_excess(rng):
    excesses = []
    for seed in range(10):
        infos = infos_of_episode(single(), rng, seed)
        delay = max(0, infos[-1]["elapsed_s"] / 4.0 - 1)
        energy = max(0, infos[-1]["spent_j"] / 0.5 - 1)
        assert sum(info["cost_delay"] for info in infos) == pytest.approx(delay, abs=1e-12)
        assert sum(info["cost_energy"] for info in infos) == pytest.approx(energy, abs=1e-12)
        assert sum(info["cost"] for info in infos) == pytest.approx(delay + energy, abs=1e-12)
        excesses.append((delay, energy))
    assert np.all(np.max(excesses, axis=0) > 0.1), "the test tests nothing if no budget is passed"


def test_costs_begin_with_the_round_that_passes_a_budget(rng):
    infos = infos_of_episode(single(), rng, 1)
    for info in infos:
        assert all(type(info[name]) is float for name in COSTS)
        assert info["cost"] == info["cost_delay"] + info["cost_energy"]
        assert (info["cost_delay"] > 0) == (info["elapsed_s"] > 4.0 and info["counted"])
        assert (info["cost_energy"] > 0) == (info["spent_j"] > 0.5 and info["counted"])
        assert min(info[name] for name in COSTS) >= 0
    assert infos[0]["cost"] == 0
    assert infos[-1]["cost"] == 0, "the round beyond the hard end is not counted"


def test_a_round_across_the_budget_costs_what_lies_beyond_it():
    env = SoftBudgets(gymnasium.make(ID, scenario="tiny"), delay_s=1e-3, energy_j=2.5)
    env.reset(seed=0)
    *_, info = env.step(np.full(12, -1.0, dtype=np.float32))
    assert info["elapsed_s"] > 1e-3
    assert info["cost_delay"] == pytest.approx(info["elapsed_s"] / 1e-3 - 1)
    assert info["cost_energy"] == 0


def test_nothing_but_info_differs_from_the_plain_environment(rng):
    env, plain = single(), TwoStageEnv("tiny")
    (observation, info), expected = env.reset(seed=2), plain.reset(seed=2)
    for name in COSTS:
        del info[name]
    assert data_equivalence((observation, info), expected, exact=True)
    action = random_action(rng, (12,))
    *here, info = env.step(action)
    *there, expected_info = plain.step(action)
    assert data_equivalence(here, there, exact=True)
    assert info.keys() - expected_info.keys() == set(COSTS)


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
def test_gymnasium_finds_no_fault(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    check_env(single())


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_many_environments_cost_what_single_ones_do_bit_for_bit(rng, mode: AutoresetMode):
    # Few rounds, so that last rounds are counted, and cost something.
    short = {"budgets": {"max_rounds": 6}}
    ours, theirs = vector(mode, **short), SyncVectorEnv([lambda: single(**short)] * B, autoreset_mode=mode)
    assert data_equivalence(ours.reset(seed=8), theirs.reset(seed=8), exact=True)
    costly = ends = 0
    for _ in range(100):
        actions = random_action(rng, (B, 12))
        here = ours.step(actions)
        assert data_equivalence(here, theirs.step(actions), exact=True)
        ends += here[2].sum()
        costly += np.count_nonzero(here[4].get("final_info", here[4])["cost"][here[2]])
    assert ends > B
    assert costly > B


def test_a_masked_reset_speaks_of_the_costs_of_those_that_were_reset(rng):
    ours = vector(AutoresetMode.DISABLED)
    theirs = SyncVectorEnv([single] * B, autoreset_mode=AutoresetMode.DISABLED)
    for envs in (ours, theirs):
        envs.reset(seed=8)
    mask = np.array([True, False, True, False])
    here, there = (envs.reset(options={"reset_mask": mask.copy()}) for envs in (ours, theirs))
    assert data_equivalence(here, there, exact=True)
    np.testing.assert_array_equal(here[1]["_cost"], mask)


def test_relaxing_makes_a_scenarios_budgets_soft_and_a_multiple_of_them_hard(rng):
    nominal = Scenario.preset("tiny").budgets
    env = SoftBudgets.relaxing(
        2.0, scenario="tiny", objective="two-stage", budgets={"energy_j": 100.0, "max_rounds": 9}
    )
    hard = env.unwrapped.scenario.budgets
    assert (hard.delay_s, hard.energy_j, hard.max_rounds) == (2 * nominal.delay_s, 200.0, 9)
    assert env.unwrapped.scenario.learning.objective == "two-stage"
    infos = infos_of_episode(env, rng, 1)
    excess = max(0, infos[-1]["elapsed_s"] / nominal.delay_s - 1)
    assert sum(info["cost"] for info in infos) == pytest.approx(excess)
    assert SoftBudgets.relaxing(2.0, "tiny").unwrapped.scenario.budgets.max_rounds == nominal.max_rounds


def test_episodes_play_on_beyond_the_nominal_budget_and_end_at_the_hard_one():
    env = SoftBudgets.relaxing(1.5, scenario="tiny", budgets={"delay_s": 1.0, "max_rounds": 300})
    assert env.unwrapped.scenario.budgets.delay_s == 1.5
    env.reset(seed=0)
    terminated, total = False, 0.0
    while not terminated:
        *_, terminated, _, info = env.step(np.array([-1.0, -1.0, 0.0] + [-1.0] * 9, dtype=np.float32))
        total += info["cost_delay"]
    assert info["end_reason"] == DELAY
    assert 0.3 < total <= 0.5


def test_an_episode_without_costs_is_an_episode_of_the_nominal_scenario(rng):
    nominal = {"delay_s": 8.0, "energy_j": 3.0, "max_rounds": 5}
    env, plain = SoftBudgets.relaxing(3.0, "tiny", nominal), TwoStageEnv("tiny", budgets=nominal)
    free, costly = 0, 0
    for seed in range(60):
        env.reset(seed=seed)
        plain.reset(seed=seed)
        terminated, cost, actions = False, 0.0, []
        while not terminated:
            actions.append(random_action(rng, (12,)))
            *_, terminated, _, info = env.step(actions[-1])
            cost += info["cost"]
        if cost > 0:
            costly += 1
            continue
        for action in actions:
            *_, expected = plain.step(action)
            if expected["end_reason"]:
                break
        assert info["objective"] == expected["objective"]
        free += info["num_finetune_rounds"] > 0
    assert min(free, costly) > 3


def test_relaxing_makes_the_same_of_many_environments(rng):
    envs = VectorSoftBudgets.relaxing(1.5, B, scenario="tiny", autoreset_mode="SameStep")
    env = SoftBudgets.relaxing(1.5, scenario="tiny")
    assert envs.unwrapped.scenario == env.unwrapped.scenario
    assert (envs.num_envs, envs.metadata["autoreset_mode"]) == (B, AutoresetMode.SAME_STEP)
    envs.reset(seed=4)
    env.reset(seed=4)
    actions = random_action(rng, (B, 12))
    assert envs.step(actions)[4]["cost"][0] == env.step(actions[0])[4]["cost"]


@pytest.mark.parametrize("made", [single, vector])
def test_a_pickled_copy_goes_on_identically(rng, made):
    env = made()
    env.reset(seed=1)
    twin = pickle.loads(pickle.dumps(env))
    for _ in range(4):
        action = random_action(rng, env.action_space.shape)
        assert data_equivalence(env.step(action), twin.step(action), exact=True)


def test_a_spec_makes_the_wrapped_environment_again(rng):
    env = SoftBudgets.relaxing(2.0, scenario="tiny")
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.scenario == env.unwrapped.scenario
    env.reset(seed=1)
    again.reset(seed=1)
    action = random_action(rng, (12,))
    assert env.step(action)[4]["cost"] == again.step(action)[4]["cost"]


def test_it_goes_together_with_actions_from_a_grid():
    env = SoftBudgets(MultiDiscreteActions(gymnasium.make(ID, scenario="tiny")), **NOMINAL)
    envs = VectorMultiDiscreteActions(vector())
    for one in (env, envs):
        one.reset(seed=0)
        one.action_space.seed(0)
        assert "cost" in one.step(one.action_space.sample())[4]


@pytest.mark.parametrize(
    ("nominal", "sentence"),
    [
        (
            {"delay_s": 16.0, "energy_j": 1.0},
            r"^delay_s must be above 0 and at most .*budgets\.delay_s = 15, got 16\.0$",
        ),
        ({"delay_s": 1.0, "energy_j": 0.0}, r"^energy_j must be above 0 and at most .*energy_j = 2\.5, got 0\.0$"),
        ({"delay_s": np.nan, "energy_j": 1.0}, "^delay_s must be .* got nan$"),
    ],
)
def test_nominal_budgets_must_lie_within_the_hard_ones(nominal: dict, sentence: str):
    hard = {"delay_s": 15.0, "energy_j": 2.5}
    for plain, wrapper in (
        (gymnasium.make(ID, scenario="tiny", budgets=hard), SoftBudgets),
        (gymnasium.make_vec(ID, num_envs=2, scenario="tiny", budgets=hard), VectorSoftBudgets),
    ):
        with pytest.raises(InvalidInputError, match=sentence):
            wrapper(plain, **nominal)


@pytest.mark.parametrize("slack", [0.9, -1.0, np.inf, np.nan])
def test_the_slack_must_be_a_factor_of_at_least_one(slack: float):
    with pytest.raises(InvalidInputError, match=f"^slack must be a finite number of at least 1, got {slack}$"):
        SoftBudgets.relaxing(slack, scenario="tiny")


def test_other_environments_are_refused():
    with pytest.raises(
        InvalidInputError, match=r"^env must be an environment of this package, maybe in wrappers, got .*CartPole"
    ):
        SoftBudgets(gymnasium.make("CartPole-v1"), **NOMINAL)
    with pytest.raises(
        InvalidInputError, match=r"^env must be an environment of this package, maybe in wrappers, got SyncVector"
    ):
        VectorSoftBudgets(SyncVectorEnv([lambda: TwoStageEnv("tiny")]), **NOMINAL)
