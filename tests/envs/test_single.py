import copy
import itertools
import pickle
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.physics.budgets import DELAY, ENERGY, LAST_ROUND
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.env import TwoStageEnv
from edgelearn_env.two_stage.scenario import TwoStageScenario

PER_DEVICE = ("participates", "compute_s", "upload_s", "compute_j", "upload_j")
PER_ROUND = ("duration_s", "energy_j", "server_j", *PER_DEVICE)


def played(env: TwoStageEnv, actions, **reset):
    """Observation, reward, terminated, truncated and info of the reset and of each step until the end."""
    observation, info = env.reset(**reset)
    steps = [(observation, 0.0, False, False, info)]
    for action in actions:
        steps.append(env.step(action))
        if steps[-1][2]:
            break
    return steps


def random_actions(rng, env: TwoStageEnv, count: int = 200) -> np.ndarray:
    return rng.uniform(-1, 1, (count, *env.action_space.shape)).astype(np.float32)


def assert_same(left, right):
    """Equal to the last bit, types included; nested tuples, lists and dicts of arrays and numbers."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        left, right = list(left.values()), [right[name] for name in left]
    if isinstance(left, list | tuple):
        assert len(left) == len(right)
        for pair in zip(left, right, strict=True):
            assert_same(*pair)
    elif isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    else:
        assert left == right


def gentle(env: TwoStageEnv, *, finetune: bool) -> np.ndarray:
    """An action of middling frequencies, full power and small batches."""
    action = np.full(env.action_space.shape, -0.5, dtype=np.float32)
    action[0] = 1.0 if finetune else -1.0
    action[3 + env.scenario.num_devices : 3 + 2 * env.scenario.num_devices] = 1.0
    return action


@pytest.mark.parametrize("objective", ["finetune", "two-stage"])
def test_the_return_is_log_psi_at_the_start_minus_log_phi(rng, objective: str):
    env = TwoStageEnv("tiny", objective=objective)
    for seed in range(5):
        steps = played(env, random_actions(rng, env), seed=seed)
        total = sum(step[1] for step in steps)
        assert total == pytest.approx(np.log(steps[0][4]["objective"]) - np.log(steps[-1][4]["objective"]), abs=1e-12)


def test_the_environment_plays_what_a_rollout_plays(rng):
    env = TwoStageEnv("tiny")
    actions = random_actions(rng, env)
    steps = played(env, actions, seed=11)
    remaining = iter(actions)
    trajectory = rollout(
        env.scenario, sample_tape(env.scenario, 11), lambda observed: env.codec.decode(next(remaining)[None])
    )
    assert trajectory.objective[0] == steps[-1][4]["objective"]
    for name in ("duration_s", "energy_j", "server_j", "end_reason", "counted"):
        in_env = [step[4][name] for step in steps[1:]]
        np.testing.assert_array_equal(in_env, getattr(trajectory.outcomes, name)[0])


def test_what_is_exogenous_does_not_depend_on_actions(rng):
    env = TwoStageEnv("tiny")
    one, other = (played(env, random_actions(rng, env), seed=3) for _ in range(2))
    tape = sample_tape(env.scenario, 3)
    for steps in (one, other):
        assert steps[0][4]["tape_seed"] == 3
        for index, step in enumerate(steps[:-1]):
            harvests = step[0][-env.scenario.num_devices :] * 2 * env.scenario.energy.harvest_mean_w
            np.testing.assert_allclose(harvests, tape.harvest_w[index])


def test_resets_without_a_seed_go_through_the_tapes_of_the_last_one():
    env = TwoStageEnv("tiny")
    seen = [env.reset(seed=5), env.reset(), env.reset(), env.reset(seed=5), env.reset()]
    assert [info["tape_episode"] for _, info in seen] == [0, 1, 2, 0, 1]
    assert {info["tape_seed"] for _, info in seen} == {5}
    assert_same(seen[0], seen[3])
    assert_same(seen[1], seen[4])
    assert not np.array_equal(seen[0][0], seen[1][0])


def test_an_environment_never_seeded_says_which_tape_it_plays():
    one, other = TwoStageEnv("tiny"), TwoStageEnv("tiny")
    observation, info = one.reset()
    assert info["tape_seed"] != other.reset()[1]["tape_seed"]
    tape = sample_tape(one.scenario, info["tape_seed"], info["tape_episode"])
    np.testing.assert_array_equal(observation, other.reset(options={"tape": tape})[0])


def test_a_tape_handed_in_is_played_once_and_the_seeds_tapes_go_on_after_it(tiny_tape: Tape):
    env = TwoStageEnv("tiny")
    env.reset(seed=5)
    observation, info = env.reset(options={"tape": tiny_tape})
    assert (info["tape_seed"], info["tape_episode"]) == (-1, -1)
    np.testing.assert_array_equal(observation, TwoStageEnv("tiny").reset(seed=7)[0])
    assert env.reset()[1]["tape_episode"] == 1


def test_pretraining_fills_batteries_and_asks_the_server_only():
    env = TwoStageEnv("tiny")
    env.reset(seed=0)
    *_, info = env.step(gentle(env, finetune=False))
    assert info["counted"]
    assert (info["num_pretrain_rounds"], info["num_finetune_rounds"]) == (1, 0)
    assert info["energy_j"] == info["server_j"] > 0
    assert not np.any(info["compute_j"])
    assert np.all(info["battery_j"] >= env.scenario.energy.battery_initial_j)


def test_the_items_of_a_finetuning_round_add_up():
    env = TwoStageEnv("tiny")
    env.reset(seed=0)
    *_, info = env.step(gentle(env, finetune=True))
    assert info["finetuning"]
    assert info["server_j"] == 0
    spent_j = np.sum(info["compute_j"] + info["upload_j"]) + env.scenario.radio.downlink_j
    finish_s = np.max(info["compute_s"] + info["upload_s"]) + env.scenario.radio.downlink_s
    assert info["energy_j"] == pytest.approx(spent_j, rel=1e-12)
    assert info["duration_s"] == pytest.approx(finish_s, rel=1e-12)
    np.testing.assert_array_equal(info["participates"], [True] * 3)
    assert info["participation"] == pytest.approx(1.0, rel=1e-14)


def test_info_tells_who_took_part_and_holds_nothing_of_those_who_did_not():
    env = TwoStageEnv(
        "tiny", energy={"battery_initial_j": [0.3, 0.3, 1e-3]}, learning={"device_weight": [0.5, 0.2, 0.3]}
    )
    _, info = env.reset(seed=0)
    assert info["participates"].dtype == bool
    assert not np.any(info["participates"])
    assert info["participation"] == 0.0
    action = gentle(env, finetune=True)
    # No batch for the second; the third cannot pay for its own.
    action[3 + 2 * 3 + 1] = -1.0
    for rounds in (1, 2):
        *_, info = env.step(action)
        np.testing.assert_array_equal(info["participates"], [True, False, False])
        assert info["batch"][1] == 0 < info["batch"][2]
        assert info["participation"] == pytest.approx(rounds * 0.5, rel=1e-14)
        assert info["num_finetune_rounds"] == rounds
        for name in PER_DEVICE:
            np.testing.assert_array_equal(info[name] > 0, [True, False, False])
    action[9:] = -1.0
    *_, info = env.step(action)
    assert not np.any(info["participates"])
    assert (info["counted"], info["duration_s"], info["num_finetune_rounds"]) == (True, 1.0, 3)
    assert info["energy_j"] == env.scenario.radio.downlink_j
    assert info["participation"] == pytest.approx(1.0, rel=1e-14)


def test_time_and_energy_used_are_the_sums_over_rounds(rng):
    env = TwoStageEnv("tiny")
    infos = [step[4] for step in played(env, random_actions(rng, env), seed=2)]
    assert infos[-1]["elapsed_s"] == pytest.approx(sum(info["duration_s"] for info in infos), rel=1e-12)
    assert infos[-1]["spent_j"] == pytest.approx(sum(info["energy_j"] for info in infos), rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"budgets": {"delay_s": 0.5}}, DELAY),
        ({"budgets": {"energy_j": 0.1}}, ENERGY),
        ({"energy": {"harvest_mean_w": 0.0, "battery_initial_j": 0.05}, "budgets": {"max_rounds": 9}}, LAST_ROUND),
        ({"energy": {"harvest_mean_w": 0.0, "battery_initial_j": 0.05}}, DELAY),
        ({"budgets": {"max_rounds": 2}}, LAST_ROUND),
    ],
)
def test_an_episode_terminates_for_the_reason_it_names(changes: dict, reason: int):
    env = TwoStageEnv("tiny", **changes)
    steps = played(env, [gentle(env, finetune=True)] * 100, seed=1)
    assert (steps[-1][2], steps[-1][3], steps[-1][4]["end_reason"]) == (True, False, reason)
    assert {step[4]["end_reason"] for step in steps[:-1]} == {0}
    if reason != LAST_ROUND:
        assert steps[-1][1] == 0.0
        assert all(not np.any(steps[-1][4][name]) for name in PER_ROUND)


@pytest.mark.parametrize("shadowing_std_db", [0.0, 8.0])
def test_nothing_leaves_its_bounds_at_extreme_actions(rng, shadowing_std_db: float):
    env = TwoStageEnv("tiny", radio={"shadowing_std_db": shadowing_std_db})
    K = env.scenario.num_devices
    corners = [np.repeat(signs, [1, 1, 1, K, K, K]) for signs in itertools.product([-1.0, 1.0], repeat=6)]
    signs = rng.choice([-1.0, 1.0], (64, 3 + 3 * K))
    for seed, action in enumerate([*corners, *signs, *(7 * signs[:8])]):
        for observation, reward, _, _, info in played(env, [action] * 100, seed=seed):
            assert observation in env.observation_space
            assert np.isfinite(reward)
            assert all(np.all(np.isfinite(item)) for item in info.values())
            assert np.all(info["battery_j"] >= 0)


@pytest.mark.parametrize("harvest_w", [0.0, 0.01])
def test_dead_channels_make_an_idle_round_and_leave_info_finite(harvest_w: float):
    env = TwoStageEnv("tiny")
    tape = Tape(np.zeros((30, 3)), np.full((30, 3), harvest_w))
    env.reset(options={"tape": tape})
    observation, reward, terminated, _, info = env.step(gentle(env, finetune=True))
    assert (reward, terminated, info["counted"]) == (0.0, False, True)
    assert (info["duration_s"], info["energy_j"]) == (env.scenario.radio.idle_s, env.scenario.radio.downlink_j)
    assert not any(np.any(info[name]) for name in PER_DEVICE)
    np.testing.assert_allclose(info["battery_j"], 0.3 + harvest_w, rtol=1e-14)
    assert observation in env.observation_space
    assert all(np.all(np.isfinite(item)) for item in info.values())


def test_an_action_beyond_the_box_counts_as_its_nearest_end(rng):
    env = TwoStageEnv("tiny")
    actions = 3 * random_actions(rng, env)
    assert_same(played(env, actions, seed=4), played(env, np.clip(actions, -1, 1), seed=4))


def test_reset_and_step_report_the_same_plain_types():
    env = TwoStageEnv("tiny")
    _, before = env.reset(seed=0)
    _, reward, terminated, truncated, after = env.step(gentle(env, finetune=True))
    assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
    assert {name: type(item) for name, item in before.items()} == {name: type(item) for name, item in after.items()}
    assert {type(item) for item in after.values()} == {int, float, bool, np.ndarray}


def test_what_callers_do_to_returned_arrays_does_not_matter(rng):
    env, untouched = TwoStageEnv("tiny"), TwoStageEnv("tiny")
    actions = random_actions(rng, env)
    steps = played(untouched, actions, seed=9)
    result = env.reset(seed=9)
    for action, expected in zip(actions, steps[1:], strict=False):
        for array in (result[0], *result[-1].values()):
            if isinstance(array, np.ndarray):
                array.fill(7)
        result = env.step(action)
        assert_same(result, expected)


def test_arrays_of_the_caller_are_left_alone(rng, tiny_tape: Tape):
    env = TwoStageEnv("tiny")
    actions = random_actions(rng, env)
    copies = copy.deepcopy((tiny_tape, actions))
    steps = played(env, actions, options={"tape": tiny_tape})
    assert_same((tiny_tape, actions), copies)
    env.reset(options={"tape": tiny_tape})
    tiny_tape.channel_gain.fill(0.0)
    assert_same(env.step(actions[0]), steps[1])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))], ids=["copy", "pickle"])
@pytest.mark.parametrize("render_mode", [None, "ansi"])
def test_a_copy_made_in_mid_episode_goes_on_identically(rng, copied, render_mode: str | None):
    env = TwoStageEnv("tiny", render_mode=render_mode)
    actions = random_actions(rng, env)
    env.reset(seed=6)
    env.step(gentle(env, finetune=False))
    twin = copied(env)
    for action in actions:
        here, there = env.step(action), twin.step(action)
        assert_same(here, there)
        if here[2]:
            break
    assert_same(env.reset(), twin.reset())
    assert_same(env.reset(), twin.reset())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_action_that_is_not_finite_is_refused_by_index_and_value(value: float):
    env = TwoStageEnv("tiny")
    env.reset(seed=0)
    action = gentle(env, finetune=True)
    action[4] = value
    with pytest.raises(InvalidInputError, match=rf"^action\[4\] must be a finite number, got {value}$"):
        env.step(action)
    assert env.step(gentle(env, finetune=True))[4]["num_finetune_rounds"] == 1


@pytest.mark.parametrize("shape", [(11,), (13,), (1, 12), ()])
def test_an_action_of_the_wrong_shape_is_refused(shape: tuple):
    env = TwoStageEnv("tiny")
    env.reset(seed=0)
    with pytest.raises(InvalidInputError, match=r"^action must have shape \(12,\), got \("):
        env.step(np.zeros(shape))


def test_an_action_that_is_not_numeric_is_refused():
    env = TwoStageEnv("tiny")
    env.reset(seed=0)
    with pytest.raises(InvalidInputError, match="must be an array of numbers"):
        env.step(np.array(["up"] * 12))


def test_there_is_nothing_to_step_or_render_before_reset():
    env = TwoStageEnv("tiny", render_mode="ansi")
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before step\(\)"):
        env.step(gentle(env, finetune=True))
    with pytest.raises(ResetNeeded, match=r"call reset\(\) before render\(\)"):
        env.render()


def test_an_episode_that_has_ended_cannot_be_stepped():
    env = TwoStageEnv("tiny", budgets={"max_rounds": 1})
    env.reset(seed=0)
    assert env.step(gentle(env, finetune=True))[2]
    with pytest.raises(ResetNeeded, match=r"has ended \(last round\): call reset\(\)"):
        env.step(gentle(env, finetune=True))


@pytest.mark.parametrize(
    ("reset", "sentence"),
    [
        ({"seed": -1}, "seed must be a whole number from 0 to .*, got -1"),
        ({"seed": 2**63}, "seed must be a whole number from 0 to .*, got 9223372036854775808"),
        ({"options": {"tapes": 1}}, "unknown reset option 'tapes': choose one of tape"),
        ({"options": {"tape": "a.npz"}}, "option 'tape' must be a Tape, got str"),
        ({"options": {"tape": Tape(np.ones((3, 3)), np.ones((3, 3)))}}, r"must have shape \(30, 3\)"),
        ({"options": {"tape": Tape(np.ones((2, 30, 3)), np.ones((2, 30, 3)))}}, "must hold 1 episode, got 2"),
    ],
)
def test_a_wrong_reset_is_refused_and_leaves_the_episode_as_it_was(reset: dict, sentence: str):
    env, untouched = TwoStageEnv("tiny"), TwoStageEnv("tiny")
    env.reset(seed=0)
    untouched.reset(seed=0)
    with pytest.raises(InvalidInputError, match=sentence):
        env.reset(**reset)
    assert_same(env.step(gentle(env, finetune=True)), untouched.step(gentle(env, finetune=True)))
    assert_same(env.reset(), untouched.reset())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"scenario": "huge"}, "unknown scenario preset 'huge'"),
        ({"objective": "speed"}, "learning.objective must be one of finetune, two-stage, got 'speed'"),
        ({"budget": {"delay_s": 1.0}}, "got an unexpected keyword argument 'budget': scenario parts are name, server"),
        ({"budgets": {"delay": 1.0}}, "unknown field of budgets 'delay'"),
        ({"render_mode": "video"}, "render_mode must be None or one of human, rgb_array, ansi, got 'video'"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(arguments: dict, sentence: str):
    with pytest.raises(InvalidInputError, match=sentence):
        TwoStageEnv(**arguments)


def test_gymnasium_make_passes_changes_of_the_scenario_on():
    env = gymnasium.make(
        "EdgeLearn/TwoStage-v0", scenario="tiny", objective="two-stage", budgets={"delay_s": 9.0}, energy={}
    ).unwrapped
    assert env.scenario == Scenario.preset("tiny").replace(
        budgets={"delay_s": 9.0}, learning={"objective": "two-stage"}
    )


def test_the_spaces_follow_the_number_of_devices():
    env = TwoStageEnv("large")
    assert env.action_space.shape == (153,)
    assert env.observation_space.shape == (155,)


def test_rendering_works_right_after_a_reset_and_shows_every_round(rng):
    env = TwoStageEnv("tiny", render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.ndim == 3
    assert first.dtype == np.uint8
    env.step(gentle(env, finetune=True))
    second = env.render()
    assert second.shape == first.shape
    assert not np.array_equal(first, second)
    env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), first)


def test_text_shows_the_episode_that_is_played(rng):
    env = TwoStageEnv("tiny", render_mode="ansi")
    env.reset(seed=0)
    texts = {env.render()}
    for _ in range(3):
        env.step(gentle(env, finetune=True))
        texts.add(env.render())
    assert len(texts) == 4


def test_a_window_follows_reset_and_step_by_itself_and_closes_twice(monkeypatch: pytest.MonkeyPatch):
    shown = []

    class Window:
        def show(self, frame: np.ndarray) -> None:
            shown.append(frame)

        def close(self) -> None:
            shown.append("closed")

    monkeypatch.setattr("edgelearn_env.envs.window.Window", Window)
    env = TwoStageEnv("tiny", render_mode="human")
    env.reset(seed=0)
    env.step(gentle(env, finetune=True))
    assert len(shown) == 2
    assert env.render() is None
    env.close()
    env.close()
    assert len(shown) == 4
    assert shown[3] == "closed"


def test_rendering_without_a_mode_warns():
    env = TwoStageEnv("tiny")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="choose a render_mode"):
        assert env.render() is None


@pytest.mark.parametrize("kernel", ["numpy", "compiled"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"server": {"batch_max": 1}, "devices": {"batch_max": 1}},
        {"server": {"freq_min_hz": 1e9, "freq_max_hz": 1e9}, "devices": {"freq_min_hz": 5e8, "freq_max_hz": 5e8}},
        {"devices": {"power_min_w": 0.1, "power_max_w": 0.1}},
        {"energy": {"harvest_mean_w": 0.0}, "radio": {"shadowing_std_db": 6.0}},
        {"learning": {"server_gradient_variance": 0.0, "device_gradient_variance": 0.0}},
    ],
    ids=["as it is", "batches", "frequencies", "powers", "harvest", "noise"],
)
def test_ranges_of_nothing_and_extreme_actions_make_no_number_that_numpy_would_raise_about(changes, kernel):
    pytest.importorskip("numba")
    with np.errstate(all="raise"):
        env = gymnasium.make("EdgeLearn/TwoStage-v0", scenario="tiny", kernel=kernel, **changes)
        for action in (np.full(env.action_space.shape, value, dtype=np.float32) for value in (-1.0, 0.0, 1.0)):
            action[0] = 1.0 - action[1]
            env.reset(seed=2)
            while not env.step(action)[2]:
                pass


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"scenario": "tiny", "objective": "two-stage", "budgets": {"delay_s": 10.0}},
        {"scenario": str(Path(__file__).parents[1] / "tiny.toml"), "budgets": {"delay_s": 10.0}},
    ],
    ids=["as it is", "changed", "a file"],
)
@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_a_scenario_is_made_once(monkeypatch, make, arguments):
    made, check = [], TwoStageScenario.__post_init__
    monkeypatch.setattr(TwoStageScenario, "__post_init__", lambda scenario: made.append(1) or check(scenario))
    env = make("EdgeLearn/TwoStage-v0", **arguments)
    assert len(made) == 1
    assert make("EdgeLearn/TwoStage-v0", scenario=env.unwrapped.scenario).unwrapped.scenario is env.unwrapped.scenario
    assert len(made) == 1
