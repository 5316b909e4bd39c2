"""What every registered system's environment must keep to, whatever it models."""

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from systems_under_contract import SYSTEM_NAMES, random_actions, small_scenario

from edgelearn_env import END_REASONS, InvalidInputError, Scenario, model_of, rollout, sample_tape
from edgelearn_env.arrays.records import arrays_of, mapped
from edgelearn_env.baselines import RandomPlay
from edgelearn_env.scenarios.systems import SYSTEMS, located
from edgelearn_env.tapes.tape import Tape

systems = pytest.mark.parametrize("scenario", [small_scenario(name) for name in SYSTEM_NAMES], ids=SYSTEM_NAMES)
SEED, B = 11, 4
# Elementary functions of two libraries, added up over an episode.
ROUNDING = 1e-12


def single(scenario: Scenario) -> gymnasium.Env:
    return gymnasium.make(scenario.environment, scenario=scenario)


def many(scenario: Scenario, **choices) -> gymnasium.vector.VectorEnv:
    return gymnasium.make_vec(scenario.environment, B, "vector_entry_point", scenario=scenario, **choices)


@systems
def test_gymnasium_and_stable_baselines_find_no_fault(scenario):
    pytest.importorskip("pygame")
    check_env(single(scenario).unwrapped, skip_render_check=True)
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(single(scenario).unwrapped)


@systems
def test_a_seed_names_the_tapes_and_actions_do_not_change_them(scenario):
    envs = [single(scenario) for _ in range(2)]
    for env, seed in zip(envs, (SEED, SEED + 1), strict=True):
        env.reset(seed=seed)
    assert not np.array_equal(*(env.reset(seed=seed)[0] for env, seed in zip(envs, (SEED, SEED + 1), strict=True)))
    for actions in (np.full(envs[0].action_space.shape, -1.0), np.full(envs[0].action_space.shape, 0.3)):
        model, tape = model_of(scenario), sample_tape(scenario, SEED)
        observation, info = envs[0].reset(seed=SEED)
        assert (info["tape_seed"], info["tape_episode"]) == (SEED, 0)
        state, ended = model.initial_state(1), False
        while not ended:
            conditions = mapped(np.asfortranarray, Tape.stack([tape]).conditions(state.round_index))
            np.testing.assert_array_equal(model.encode(state, conditions)[0], observation)
            state, _ = model.step(state, conditions, model.decode(actions[None].astype(np.float32)))
            observation, _, ended, _, _ = envs[0].step(actions.astype(np.float32))


@systems
def test_single_vector_and_tensor_forms_play_the_same_over_several_autoresets(scenario):
    torch = pytest.importorskip("torch")
    tensors = located(SYSTEMS[scenario.system].tensors)(B, scenario)
    vector = many(scenario, autoreset_mode="SameStep")
    singles = [single(scenario) for _ in range(B)]
    observations, _ = vector.reset(seed=SEED)
    np.testing.assert_allclose(tensors.reset(seed=SEED)[0].numpy(), observations, rtol=1e-6, atol=1e-6)
    for index, env in enumerate(singles):
        np.testing.assert_array_equal(env.reset(seed=SEED + index)[0], observations[index])
    resets = 0
    for actions in random_actions(vector, 3 * scenario.budgets.max_rounds):
        observations, rewards, ended, _, info = vector.step(actions)
        seen, same_rewards, same_ends, _, _ = tensors.step(torch.tensor(actions))
        np.testing.assert_allclose(seen.numpy(), observations, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(same_rewards.numpy(), rewards, rtol=ROUNDING, atol=ROUNDING)
        np.testing.assert_array_equal(same_ends.numpy(), ended)
        for index, env in enumerate(singles):
            observation, reward, over, _, _ = env.step(actions[index])
            assert (reward, over) == (rewards[index], ended[index])
            if over:
                np.testing.assert_array_equal(observation, info["final_obs"][index])
                observation, _ = env.reset()
            np.testing.assert_array_equal(observation, observations[index])
        resets += np.sum(ended)
    assert resets >= 2 * B


@systems
def test_what_is_handed_out_stays_as_it_is(scenario):
    env, vector = single(scenario), many(scenario)
    kept = [env.reset(seed=SEED), vector.reset(seed=SEED)]
    before = pickle.dumps(kept)
    for actions in random_actions(vector, 5):
        kept_actions = actions.copy()
        steps = env.step(actions[0]), vector.step(actions)
        copies = pickle.dumps(steps)
        if steps[0][2]:
            env.reset()
        else:
            env.step(actions[1])
        vector.step(actions)
        assert pickle.dumps(steps) == copies
        np.testing.assert_array_equal(actions, kept_actions)
    assert pickle.dumps(kept) == before
    model = model_of(scenario)
    state = model.initial_state(2)
    conditions = mapped(np.asfortranarray, Tape.stack([sample_tape(scenario, 0)] * 2).conditions(state.round_index))
    allocation = model.decode(np.asfortranarray(actions[:2]))
    given = [*arrays_of(state), *arrays_of(conditions), *arrays_of(allocation)]
    results = model.step(state, conditions, allocation)
    assert not any(np.shares_memory(new, old) for new in arrays_of(results) for old in given)


@systems
def test_a_pickled_copy_goes_on_as_the_original_does(scenario):
    vector = many(scenario)
    vector.reset(seed=SEED)
    actions = random_actions(vector, 6)
    vector.step(actions[0])
    copy = pickle.loads(pickle.dumps(vector.unwrapped))
    for action in actions[1:]:
        for ours, theirs in zip(vector.step(action)[:4], copy.step(action)[:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@systems
def test_budgets_are_never_exceeded_and_returns_add_up_to_the_fall_of_the_objective(scenario):
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in range(6)])
    played = rollout(scenario, tapes, RandomPlay(scenario, seed=3))
    state, outcomes = played.final_state, played.outcomes
    assert np.all(state.elapsed_s <= scenario.budgets.delay_s)
    assert np.all(state.spent_j <= scenario.budgets.energy_j)
    assert np.all(state.round_index <= scenario.budgets.max_rounds)
    assert np.all(state.ended)
    np.testing.assert_allclose(np.sum(outcomes.duration_s, axis=1), state.elapsed_s, rtol=1e-12)
    start = model_of(scenario).objective(model_of(scenario).initial_state(6))
    np.testing.assert_allclose(np.sum(outcomes.reward, axis=1), np.log(start / played.objective), atol=1e-10)
    ends = outcomes.end_reason[np.arange(6), np.argmax(outcomes.end_reason > 0, axis=1)]
    assert {END_REASONS[index] for index in ends} <= set(END_REASONS[1:])
    # A budget that is looser than any random episode is, ends none of them.
    wide = {"delay_s": 1e3 * scenario.budgets.delay_s, "energy_j": 1e3 * scenario.budgets.energy_j}
    freed = rollout(scenario.replace(budgets=wide), tapes, RandomPlay(scenario, seed=3))
    assert np.any(freed.final_state.elapsed_s > scenario.budgets.delay_s)


@systems
def test_info_says_the_same_things_at_every_step_in_finite_numbers(scenario):
    env = single(scenario)
    _, first = env.reset(seed=SEED)
    for actions in random_actions(many(scenario), 20):
        _, _, ended, _, info = env.step(actions[0])
        assert info.keys() == first.keys()
        assert all(np.all(np.isfinite(item)) for item in info.values())
        if ended:
            env.reset()


@systems
def test_a_specification_makes_an_equal_environment_again(scenario):
    env = gymnasium.make(scenario.environment, scenario=scenario.to_dict())
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.scenario == scenario


@systems
def test_a_scenario_is_the_same_from_its_file(scenario, tmp_path):
    scenario.to_toml(tmp_path / "scenario.toml")
    again = Scenario.load(tmp_path / "scenario.toml")
    assert again == scenario
    assert type(again) is type(scenario)


@systems
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"budgets": {"delay_s": -1.0}}, "budgets.delay_s must be above 0, got -1"),
        ({"scenario": "nowhere"}, "unknown scenario preset 'nowhere'"),
        ({"weather": {}}, "weather"),
        ({"kernel": "abacus"}, "kernel must be one of"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence_that_names_them(scenario, arguments, sentence):
    with pytest.raises(InvalidInputError, match=sentence.replace(".", r"\.")):
        gymnasium.make(scenario.environment, **{"scenario": scenario, **arguments})


@systems
@pytest.mark.parametrize("wrong", [np.zeros(1), np.nan])
def test_wrong_actions_are_refused_and_change_nothing(scenario, wrong):
    env, untouched = single(scenario), single(scenario)
    for each in (env, untouched):
        each.reset(seed=SEED)
    action = np.full(env.action_space.shape, np.nan) if isinstance(wrong, float) else wrong
    with pytest.raises(InvalidInputError, match="action"):
        env.unwrapped.step(action)
    following = np.zeros(env.action_space.shape, dtype=np.float32)
    np.testing.assert_array_equal(env.step(following)[0], untouched.step(following)[0])
