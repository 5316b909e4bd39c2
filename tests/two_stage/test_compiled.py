"""Compiled loops give what array operations give, to the last bit, and nobody notices but by the clock."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("numba")

import numba
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from random_scenarios import OBJECTIVES, random_allocation, random_scenario, random_tape, seeds
from two_stage.golden.make_golden import FOLDER

from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.kernels import KERNELS
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.counter_random import stream_keys
from edgelearn_env.tapes.tape import Conditions, Tape
from edgelearn_env.two_stage.array_kernel import ArrayModel
from edgelearn_env.two_stage.compiled_kernel import CompiledModel
from edgelearn_env.two_stage.env import TwoStageEnv, TwoStageVectorEnv
from edgelearn_env.two_stage.kernels import model_of

# One, a number that fills no vector register, and one that fills several.
BATCH_SIZES = (1, 7, 64)
B = 6


def assert_same(left, right):
    """Equal to the last bit, types included."""
    assert (left.dtype, left.shape) == (right.dtype, right.shape)
    np.testing.assert_array_equal(left, right)


def assert_same_records(left, right):
    assert type(left) is type(right)
    mapped(assert_same, left, right)


def device_by_device(record):
    return mapped(np.asfortranarray, record)


def random_actions(rng, shape: tuple) -> np.ndarray:
    """Of a kind with episodes of many lengths, some of it beyond the limits, some at them."""
    actions = np.clip(rng.uniform(-1.3, 1.3, shape), -1.1, 1.1).astype(np.float32)
    actions[..., 0] -= 0.5
    return actions


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@settings(max_examples=12)
@given(seed=seeds)
def test_whole_episodes_of_random_systems_are_the_same_round_by_round(batch_size, seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    ours, theirs = CompiledModel(scenario), ArrayModel(scenario)
    tape = Tape.stack([random_tape(rng, scenario) for _ in range(batch_size)])
    # A channel or a source that fails now and then.
    tape = mapped(lambda array: array * (rng.random(array.shape) < 0.97), tape)
    state = initial_state(theirs.constants, batch_size)
    # One round more than there are, for an episode that has ended.
    for _ in range(scenario.budgets.max_rounds + 1):
        conditions = device_by_device(tape.conditions(state.round_index))
        assert_same(ours.encode(state, conditions), theirs.encode(state, conditions))
        action = random_actions(rng, (batch_size, theirs.codec.action_size))
        allocation = theirs.decode(action)
        assert_same_records(ours.decode(action), allocation)
        if rng.random() < 0.5:
            allocation = device_by_device(random_allocation(rng, scenario, batch_size, 0.3))
        after = theirs.step(state, conditions, allocation)
        assert_same_records(ours.step(state, conditions, allocation), after)
        state = after[0]


@pytest.mark.parametrize("num_rounds", [1, 5])
@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@given(seed=seeds)
def test_tapes_are_the_same(batch_size, num_rounds, seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    ours, theirs = CompiledModel(scenario), ArrayModel(scenario)
    key = stream_keys(rng.integers(2**63, size=batch_size), rng.integers(2**40, size=batch_size))
    law_state = theirs.before_first_round(key)
    assert_same_records(ours.before_first_round(key), law_state)
    for _ in range(3):
        result = theirs.next_rounds(law_state, num_rounds)
        assert_same_records(ours.next_rounds(law_state, num_rounds), result)
        law_state = result[0]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_stored_episodes_are_the_same(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    scenario = Scenario.from_dict(stored["system"])
    ours, theirs = CompiledModel(scenario), ArrayModel(scenario)
    tape = Tape.stack([Tape(np.array(stored["channel_gain"]), np.array(stored["harvest_w"]))])
    state = initial_state(theirs.constants, 1)
    for table in stored["allocations"]:
        allocation = Allocation(**{name: np.array([value], dtype=_type_of(value)) for name, value in table.items()})
        conditions = device_by_device(tape.conditions(state.round_index))
        after = theirs.step(state, conditions, allocation)
        assert_same_records(ours.step(state, conditions, allocation), after)
        state = after[0]
    assert state.ended[0]


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("preset", ["tiny", "default", "large"])
def test_vector_environments_agree_on_everything_over_autoresets(rng, preset, objective, mode):
    ours, theirs = (
        TwoStageVectorEnv(B, preset, objective, autoreset_mode=mode, kernel=kernel) for kernel in ("compiled", "numpy")
    )
    tapes = Tape.stack([random_tape(rng, theirs.scenario) for _ in range(B)])
    for options in (None, {"tape": tapes}):
        assert data_equivalence(*(envs.reset(seed=5, options=options) for envs in (ours, theirs)), exact=True)
        for _ in range(40):
            actions = random_actions(rng, ours.action_space.shape)
            here, there = ours.step(actions), theirs.step(actions)
            assert data_equivalence(here, there, exact=True)
            if mode is AutoresetMode.DISABLED and here[2].any():
                options = {"reset_mask": here[2]}
                assert data_equivalence(ours.reset(options=options), theirs.reset(options=options), exact=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"budgets": {"delay_s": 3.0}},
        {"budgets": {"energy_j": 0.3}},
        {"budgets": {"max_rounds": 3}},
    ],
    ids=END_REASONS[1:],
)
def test_single_environments_agree_on_everything_whatever_ends_the_episode(request, rng, changes):
    ours, theirs = (TwoStageEnv("tiny", kernel=kernel, **changes) for kernel in ("compiled", "numpy"))
    reasons = set()
    for seed in range(10):
        assert data_equivalence(ours.reset(seed=seed), theirs.reset(seed=seed), exact=True)
        terminated = False
        while not terminated:
            action = random_actions(rng, ours.action_space.shape)
            here, there = ours.step(action), theirs.step(action)
            assert data_equivalence(here, there, exact=True)
            terminated = here[2]
        reasons.add(END_REASONS[here[4]["end_reason"]])
    assert request.node.callspec.id in reasons


@pytest.mark.parametrize(
    ("changes", "silent"),
    [
        ({"energy": {"battery_initial_j": 0.0, "harvest_mean_w": 0.0}}, 3),
        ({"energy": {"battery_initial_j": [0.0, 0.3, 0.3], "harvest_mean_w": 0.0}}, 1),
        ({"devices": {"batch_max": 1}}, 1),
    ],
    ids=["nobody", "a battery", "batches"],
)
def test_single_environments_agree_on_everything_whoever_is_silent(rng, changes, silent):
    ours, theirs = (TwoStageEnv("tiny", kernel=kernel, **changes) for kernel in ("compiled", "numpy"))
    seen = set()
    for seed in range(5):
        assert data_equivalence(ours.reset(seed=seed), theirs.reset(seed=seed), exact=True)
        terminated = False
        while not terminated:
            action = random_actions(rng, ours.action_space.shape)
            here, there = ours.step(action), theirs.step(action)
            assert data_equivalence(here, there, exact=True)
            terminated, info = here[2], here[4]
            if info["counted"] and info["finetuning"]:
                seen.add(3 - np.sum(info["participates"]))
    assert silent in seen


def test_a_battery_that_covers_its_round_exactly_and_one_that_lacks_a_whisker_are_told_apart_alike(tiny):
    conditions = Conditions(np.asfortranarray(np.full((2, 3), 1e-9)), np.asfortranarray(np.zeros((2, 3))))
    allocation = ArrayModel(tiny).decode(np.full((2, 12), 0.2, dtype=np.float32))
    state = initial_state(ArrayModel(tiny).constants, 2)
    rich = state._replace(battery_j=np.full((2, 3), 100.0))
    _, outcome = ArrayModel(tiny).step(rich, conditions, allocation)
    cost_j = outcome.devices.compute_j + outcome.devices.upload_j
    cost_j[1] = np.nextafter(cost_j[1], 0)
    exact = state._replace(battery_j=np.asfortranarray(cost_j))
    ours, theirs = (model(tiny).step(exact, conditions, allocation) for model in (CompiledModel, ArrayModel))
    assert_same_records(ours, theirs)
    np.testing.assert_array_equal(ours[1].devices.participates, [[True] * 3, [False] * 3])


@pytest.mark.parametrize("num_envs", [3, 100])
def test_environments_do_not_depend_on_how_many_there_are(rng, num_envs):
    envs = TwoStageVectorEnv(num_envs, "tiny", autoreset_mode="SameStep", kernel="compiled")
    single = TwoStageEnv("tiny", kernel="compiled")
    observations, _ = envs.reset(seed=0)
    assert_same(observations[-1], single.reset(seed=num_envs - 1)[0])
    for _ in range(60):
        actions = random_actions(rng, envs.action_space.shape)
        observations, rewards, ends, _, _ = envs.step(actions)
        observation, reward, end, _, _ = single.step(actions[-1])
        assert (rewards[-1], ends[-1]) == (reward, end)
        assert_same(observations[-1], single.reset()[0] if end else observation)


def test_actions_of_any_layout_and_type_are_taken(rng, tiny):
    kernel = CompiledModel(tiny)
    action = random_actions(rng, (5, 12))
    expected = kernel.decode(action)
    read_only = action.copy()
    read_only.flags.writeable = False
    for other in (
        action.astype(np.float64),
        np.asfortranarray(action),
        np.repeat(action, 2, axis=1)[:, ::2],
        read_only,
    ):
        assert_same_records(kernel.decode(other), expected)


def test_nothing_that_is_handed_in_is_written_to_or_comes_back(rng, tiny):
    kernel = CompiledModel(tiny)
    law_state = kernel.before_first_round(stream_keys(np.arange(5), np.zeros(5, dtype=np.int64)))
    _, rounds = kernel.next_rounds(law_state, 2)
    state, conditions = initial_state(kernel.constants, 5), mapped(lambda array: array[0].T, rounds)
    allocation = kernel.decode(random_actions(rng, (5, 12)))
    given = (law_state, state, conditions, allocation)
    before = mapped(np.copy, given)
    results = (
        kernel.step(state, conditions, allocation),
        kernel.next_rounds(law_state, 2),
        kernel.encode(state, conditions),
    )
    assert_same_records(given, before)
    kept = [array for array in _arrays_of(given) if array is not law_state.key and array is not law_state.gain]
    shared = [1 for new in _arrays_of(results) for old in kept if np.shares_memory(new, old)]
    assert not shared


def test_environments_in_threads_of_their_own_play_as_one_after_the_other():
    def played(seed):
        env, rng = TwoStageVectorEnv(50, "tiny", kernel="compiled"), np.random.default_rng(seed)
        env.reset(seed=seed)
        return [env.step(random_actions(rng, env.action_space.shape))[:2] for _ in range(100)]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(played, range(4)))
    assert data_equivalence(together, [played(seed) for seed in range(4)], exact=True)


def test_a_pickled_environment_goes_on_in_another_process(rng):
    env = TwoStageEnv("tiny", kernel="compiled")
    env.reset(seed=3)
    action = random_actions(rng, env.action_space.shape)
    # Pre-training goes on for a while.
    action[0] = -1.0
    env.step(action)
    code = "import pickle, sys; env, action = pickle.load(sys.stdin.buffer); print(repr(float(env.step(action)[1])))"
    result = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps((env, action)), capture_output=True, check=True
    )
    assert float(result.stdout) == env.step(action)[1] > 0


def test_a_loop_that_cannot_be_kept_on_disk_is_compiled_all_the_same():
    # What has no file has no folder beside it either.
    loop = eval("lambda x: x + 1")
    with pytest.raises(RuntimeError, match="cannot cache function"):
        numba.njit(cache=True)(loop)
    assert compiled(loop)(1) == 2


def test_without_numba_arrays_do_and_the_compiled_kernel_says_what_to_install(monkeypatch, tiny):
    monkeypatch.setitem(sys.modules, "edgelearn_env.two_stage.compiled_kernel", None)
    assert type(model_of(tiny, "auto")) is ArrayModel
    with pytest.raises(
        MissingExtraError, match=r"^kernel 'compiled' needs numba: pip install 'edgelearn-env\[fast\]'$"
    ):
        TwoStageEnv(tiny, kernel="compiled")


def test_a_kernel_is_chosen_by_name(tiny):
    chosen = {name: type(model_of(tiny, name)) for name in KERNELS}
    assert chosen == {"auto": CompiledModel, "compiled": CompiledModel, "numpy": ArrayModel}
    with pytest.raises(InvalidInputError, match=r"^kernel must be one of auto, compiled, numpy, got 'fast'$"):
        TwoStageVectorEnv(2, tiny, kernel="fast")


def _type_of(value) -> type:
    return bool if isinstance(value, bool) else np.float64


def _arrays_of(record) -> list[np.ndarray]:
    return [array for item in record for array in _arrays_of(item)] if isinstance(record, tuple) else [record]
