"""Compiled loops give what array operations give, to the last bit, and nobody notices but by the clock."""

import os
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
from random_scenarios import OBJECTIVES, random_scenario, random_tape, seeds
from same_episodes import assert_played_the_same, assert_same, uneven_actions

from edgelearn_env.array_episodes import ArrayEpisodes
from edgelearn_env.arrays import threads
from edgelearn_env.arrays.compiled_loops import compiled
from edgelearn_env.arrays.numpy_loops import apply, loop_of
from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.stages.bounds import BOUNDS, FinetuneBound
from edgelearn_env.stages.kernels import KERNELS
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.two_stage import compiled_episodes, compiled_round
from edgelearn_env.two_stage.array_kernel import ArrayModel
from edgelearn_env.two_stage.compiled_episodes import CompiledEpisodes
from edgelearn_env.two_stage.compiled_kernel import CompiledModel
from edgelearn_env.two_stage.env import TwoStageEnv, TwoStageVectorEnv
from edgelearn_env.two_stage.kernels import model_of

# One, a number that fills no vector register, and one that fills blocks and a part of one.
BATCH_SIZES = (1, 7, 130)
B = 6


def both(scenario, batch_size) -> tuple[CompiledEpisodes, ArrayEpisodes]:
    return CompiledModel(scenario).episodes(batch_size), ArrayModel(scenario).episodes(batch_size)


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@settings(max_examples=12)
@given(seed=seeds)
def test_whole_episodes_of_random_systems_are_the_same_round_by_round(batch_size, seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    ours, theirs = both(scenario, batch_size)
    tapes = Tape.stack([random_tape(rng, scenario) for _ in range(batch_size)])
    # A channel or a source that fails now and then.
    tapes = mapped(lambda array: array * (rng.random(array.shape) < 0.97), tapes)
    assert_played_the_same(rng, ours, theirs, ArrayModel(scenario), tapes)


@pytest.mark.parametrize("shadowing_std_db", [0.0, 4.0])
def test_drawn_tapes_are_those_that_are_sampled_whole(tiny, shadowing_std_db):
    scenario = tiny.replace(radio={"shadowing_std_db": shadowing_std_db})
    episodes, tapes = CompiledModel(scenario).episodes(3), [sample_tape(scenario, 7, episode) for episode in range(3)]
    episodes.begin(np.arange(3), np.full(3, 7), np.arange(3))
    for t in range(5):
        conditions = episodes.records()[0].conditions
        for b, tape in enumerate(tapes):
            np.testing.assert_array_equal(conditions.channel_gain[b], tape.channel_gain[t])
            np.testing.assert_array_equal(conditions.harvest_w[b], tape.harvest_w[t])
        episodes.play(np.full((3, 12), -0.9))


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
            actions = uneven_actions(rng, ours.action_space.shape)
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
            action = uneven_actions(rng, ours.action_space.shape)
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
            action = uneven_actions(rng, ours.action_space.shape)
            here, there = ours.step(action), theirs.step(action)
            assert data_equivalence(here, there, exact=True)
            terminated, info = here[2], here[4]
            if info["counted"] and info["finetuning"]:
                seen.add(3 - np.sum(info["participates"]))
    assert silent in seen


def test_a_battery_that_covers_its_round_exactly_and_one_that_lacks_a_whisker_are_told_apart_alike(tiny):
    action = np.full((1, 12), 0.2)
    tape = Tape(*np.full((2, tiny.budgets.max_rounds, 3), [[[1e-9]], [[0.0]]]))

    def played(model, battery_j):
        exact = tiny.replace(energy={"battery_initial_j": battery_j, "battery_capacity_j": 100.0})
        episodes = model(exact).episodes(1)
        episodes.begin_given(np.arange(1), tape)
        episodes.play(action)
        return episodes.records()

    devices = played(ArrayModel, [99.0] * 3)[2].devices
    cost_j = (devices.compute_j + devices.upload_j)[0]
    for battery_j, covers in ((cost_j, True), (np.nextafter(cost_j, 0), False)):
        ours, theirs = (played(model, battery_j.tolist()) for model in (CompiledModel, ArrayModel))
        mapped(assert_same, ours, theirs)
        np.testing.assert_array_equal(ours[2].devices.participates, [[covers] * 3])


@pytest.mark.parametrize("num_envs", [3, 100])
def test_environments_do_not_depend_on_how_many_there_are(rng, num_envs):
    envs = TwoStageVectorEnv(num_envs, "tiny", autoreset_mode="SameStep", kernel="compiled")
    single = TwoStageEnv("tiny", kernel="compiled")
    observations, _ = envs.reset(seed=0)
    assert_same(observations[-1], single.reset(seed=num_envs - 1)[0])
    for _ in range(60):
        actions = uneven_actions(rng, envs.action_space.shape)
        observations, rewards, ends, _, _ = envs.step(actions)
        observation, reward, end, _, _ = single.step(actions[-1])
        assert (rewards[-1], ends[-1]) == (reward, end)
        assert_same(observations[-1], single.reset()[0] if end else observation)


def test_actions_of_any_layout_and_type_are_taken(rng, tiny):
    action = uneven_actions(rng, (5, 12))
    read_only = action.copy()
    read_only.flags.writeable = False

    def played(action):
        episodes = CompiledModel(tiny).episodes(5)
        episodes.begin(np.arange(5), np.arange(5), np.zeros(5, dtype=np.int64))
        episodes.play(action)
        return episodes.records()

    expected, before = played(action), action.copy()
    for other in (
        action.astype(np.float64),
        np.asfortranarray(action),
        np.repeat(action, 2, axis=1)[:, ::2],
        read_only,
    ):
        mapped(assert_same, played(other), expected)
    assert_same(action, before)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_episodes_do_not_depend_on_the_number_of_threads(rng, tiny, monkeypatch, num_threads):
    def played():
        episodes = CompiledModel(tiny).episodes(1500)
        episodes.begin(np.arange(1500), np.arange(1500), np.zeros(1500, dtype=np.int64))
        for action in actions:
            episodes.play(action)
        return episodes.records()

    actions, parts = uneven_actions(rng, (20, 1500, 12)), []
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", num_threads)
    threads._pool.cache_clear()
    monkeypatch.setattr(
        compiled_episodes, "play", lambda *given: (parts.append(given[:2]), compiled_round.play(*given))
    )
    here = played()
    assert {part for part in parts if part[0] == 0} == {(0, 24 // num_threads)}
    assert len(parts) == 20 * num_threads
    theirs = ArrayModel(tiny).episodes(1500)
    theirs.begin(np.arange(1500), np.arange(1500), np.zeros(1500, dtype=np.int64))
    for action in actions:
        theirs.play(action)
    mapped(assert_same, here, theirs.records())
    threads._pool.cache_clear()


def test_an_episode_that_has_ended_stays_as_it_is_when_another_begins_on_a_tape(tiny):
    # It ends long before its tape does.
    short, other = tiny.replace(budgets={"delay_s": 3.0}), np.array([1])
    tapes = Tape.stack([sample_tape(short, seed) for seed in range(2)])
    for model in (CompiledModel, ArrayModel):
        episodes = model(short).episodes(2)
        episodes.begin_given(np.arange(2), tapes)
        while not episodes.ended[0]:
            episodes.play(np.full((2, 12), 0.5))
        assert episodes.records()[0].state.round_index[0] < short.budgets.max_rounds - 2
        for _ in range(3):
            before = episodes.observation()[0]
            episodes.begin_given(other, tapes)
            assert_same(episodes.observation()[0], before)
            episodes.play(np.full((2, 12), 0.5))
            assert_same(episodes.observation()[0], before)


@pytest.mark.parametrize("ufunc", [np.exp, np.log, np.log1p, np.tan], ids=lambda ufunc: ufunc.__name__)
@pytest.mark.parametrize("size", [1, 3, 8, 65])
def test_numpys_own_loops_are_called(rng, ufunc, size):
    values = rng.uniform(0.1, 3.0, size)
    expected = ufunc(values)
    apply(loop_of(ufunc), values)
    assert_same(values, expected)


@pytest.mark.parametrize("ufunc", [np.add, np.frexp, np.matmul], ids=lambda ufunc: ufunc.__name__)
def test_functions_that_are_not_of_one_number_are_refused(ufunc):
    with pytest.raises(ImportError, match=f"does not show the loop of {ufunc.__name__}$"):
        loop_of(ufunc)


def test_environments_in_threads_of_their_own_play_as_one_after_the_other():
    def played(seed):
        env, rng = TwoStageVectorEnv(50, "tiny", kernel="compiled"), np.random.default_rng(seed)
        env.reset(seed=seed)
        return [env.step(uneven_actions(rng, env.action_space.shape))[:2] for _ in range(100)]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(played, range(4)))
    assert data_equivalence(together, [played(seed) for seed in range(4)], exact=True)


def test_a_pickled_environment_goes_on_in_another_process(rng):
    env = TwoStageEnv("tiny", kernel="compiled")
    env.reset(seed=3)
    action = uneven_actions(rng, env.action_space.shape)
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


def test_where_nothing_may_be_compiled_arrays_do():
    code = (
        "from edgelearn_env.model import model_of; from edgelearn_env import Scenario\n"
        "print(type(model_of(Scenario.preset('tiny'))).__name__); model_of(Scenario.preset('tiny'), 'compiled')"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert result.stdout.split() == ["ArrayModel"]
    assert result.stderr.endswith("kernel 'compiled' cannot be had: unset NUMBA_DISABLE_JIT\n")


def test_a_kernel_is_chosen_by_name(tiny):
    chosen = {name: type(model_of(tiny, name)) for name in KERNELS}
    assert chosen == {"auto": CompiledModel, "compiled": CompiledModel, "numpy": ArrayModel}
    with pytest.raises(InvalidInputError, match=r"^kernel must be one of auto, compiled, numpy, got 'fast'$"):
        TwoStageVectorEnv(2, tiny, kernel="fast")


class Halved(FinetuneBound):
    """A bound that is worth something else than its coefficients say."""

    def value(self, bound_terms):
        return FinetuneBound.value(self, bound_terms) / 2


def test_a_bound_that_loops_do_not_know_is_played_by_arrays(monkeypatch, tiny):
    monkeypatch.setitem(BOUNDS, "halved", Halved)
    scenario = tiny.replace(learning={"objective": "halved"})
    assert type(model_of(scenario)) is ArrayModel
    sentence = "kernel 'compiled' cannot compute the bound of objective 'halved': choose 'numpy'"
    with pytest.raises(InvalidInputError, match=f"^{sentence}$"):
        TwoStageEnv(scenario, kernel="compiled")
