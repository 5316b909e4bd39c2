"""Traced array code is array code: the same numbers to the last bit, in every system, however it is called."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

import gymnasium
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from random_codings import random_coded_tape, random_coding
from random_layers import random_layers
from random_scenarios import random_scenario, random_tape, seeds
from same_episodes import assert_played_the_same, assert_same, uneven_actions
from systems_under_contract import SYSTEM_NAMES, random_actions, small_scenario

from edgelearn_env import traced_episodes
from edgelearn_env.array_episodes import ArrayEpisodes
from edgelearn_env.arrays import threads
from edgelearn_env.arrays.records import mapped
from edgelearn_env.arrays.traced import names
from edgelearn_env.arrays.traced.array import TracedArray
from edgelearn_env.arrays.traced.compiled_interpreter import LOOPS, run
from edgelearn_env.arrays.traced.graph import Graph
from edgelearn_env.arrays.traced.program import program_of
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.model import model_of
from edgelearn_env.scenarios.systems import SYSTEMS, located
from edgelearn_env.stages.bounds import BOUNDS, FinetuneBound
from edgelearn_env.stages.kernels import KERNELS
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.traced_episodes import TracedEpisodes

RANDOM = {
    "two-stage": (random_scenario, random_tape),
    "gradient-coding": (random_coding, random_coded_tape),
    "layer-tuning": (random_layers, random_tape),
}
TRACED = ("gradient-coding", "layer-tuning")


# One, a number that fills no vector register, and one that fills blocks and a part of one.
@pytest.mark.parametrize("batch_size", [1, 7, 130])
@pytest.mark.parametrize("system", SYSTEM_NAMES)
@settings(max_examples=8)
@given(seed=seeds)
def test_whole_episodes_of_random_systems_are_the_same_round_by_round(system, batch_size, seed):
    rng = np.random.default_rng(seed)
    draw, draw_tape = RANDOM[system]
    scenario = draw(rng)
    model = model_of(scenario, "numpy")
    ours, theirs = TracedEpisodes(model, batch_size), ArrayEpisodes(model, batch_size)
    tapes = Tape.stack([draw_tape(rng, scenario) for _ in range(batch_size)])
    assert_played_the_same(rng, ours, theirs, model, tapes)


@pytest.mark.parametrize("system", SYSTEM_NAMES)
def test_drawn_tapes_are_those_that_are_sampled_whole(system):
    scenario = small_scenario(system)
    model = model_of(scenario, "numpy")
    episodes, tapes = TracedEpisodes(model, 3), [sample_tape(scenario, 7, episode) for episode in range(3)]
    episodes.begin(np.arange(3), np.full(3, 7), np.arange(3))
    for t in range(5):
        conditions = episodes.records()[0].conditions
        for b, tape in enumerate(tapes):
            np.testing.assert_array_equal(conditions.channel_gain[b], tape.channel_gain[t])
            np.testing.assert_array_equal(conditions.harvest_w[b], tape.harvest_w[t])
        episodes.play(np.full((3, model.codec.action_size), -0.9))


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("system", TRACED)
def test_vector_environments_agree_on_everything_over_autoresets(system, mode):
    scenario, form = small_scenario(system), located(SYSTEMS[system].vector)
    ours, theirs = (form(6, scenario, autoreset_mode=mode, kernel=kernel) for kernel in ("compiled", "numpy"))
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in range(6)])
    ends = 0
    for options in (None, {"tape": tapes}):
        assert data_equivalence(*(envs.reset(seed=5, options=options) for envs in (ours, theirs)), exact=True)
        for actions in random_actions(ours, 40):
            here, there = ours.step(actions), theirs.step(actions)
            assert data_equivalence(here, there, exact=True)
            ends += np.count_nonzero(here[2])
            if mode is AutoresetMode.DISABLED and here[2].any():
                options = {"reset_mask": here[2]}
                assert data_equivalence(ours.reset(options=options), theirs.reset(options=options), exact=True)
    assert ends > 6


@pytest.mark.parametrize("system", TRACED)
def test_single_environments_agree_on_everything(system):
    form = located(SYSTEMS[system].single)
    ours, theirs = (form(small_scenario(system), kernel=kernel) for kernel in ("compiled", "numpy"))
    rng = np.random.default_rng(1)
    for seed in range(4):
        assert data_equivalence(ours.reset(seed=seed), theirs.reset(seed=seed), exact=True)
        terminated = False
        while not terminated:
            action = uneven_actions(rng, ours.action_space.shape)
            here, there = ours.step(action), theirs.step(action)
            assert data_equivalence(here, there, exact=True)
            terminated = here[2]


@pytest.mark.parametrize("num_threads", [1, 3])
def test_episodes_do_not_depend_on_the_number_of_threads(monkeypatch, num_threads):
    model = model_of(small_scenario("layer-tuning"), "numpy")
    rng, rows, parts = np.random.default_rng(2), np.arange(1500), []
    actions = uneven_actions(rng, (10, 1500, model.codec.action_size))
    monkeypatch.setattr(threads.numba.config, "NUMBA_NUM_THREADS", num_threads)
    threads._pool.cache_clear()
    play = traced_episodes.play
    monkeypatch.setattr(traced_episodes, "play", lambda *given: (parts.append(given[:2]), play(*given)))
    ours, theirs = TracedEpisodes(model, 1500), ArrayEpisodes(model, 1500)
    for episodes in (ours, theirs):
        episodes.begin(rows, rows, np.zeros_like(rows))
        for action in actions:
            episodes.play(action)
    assert {part for part in parts if part[0] == 0} == {(0, 24 // num_threads)}
    mapped(assert_same, ours.records(), theirs.records())
    threads._pool.cache_clear()


@pytest.mark.parametrize("system", TRACED)
def test_a_pickled_environment_goes_on_in_another_process(system):
    env = located(SYSTEMS[system].single)(small_scenario(system), kernel="compiled")
    env.reset(seed=3)
    # Pre-training goes on for a while.
    action = np.full(env.action_space.shape, -0.5, dtype=np.float32)
    env.step(action)
    code = "import pickle, sys; env, action = pickle.load(sys.stdin.buffer); print(repr(float(env.step(action)[1])))"
    result = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps((env, action)), capture_output=True, check=True
    )
    assert float(result.stdout) == env.step(action)[1] > 0


@pytest.mark.parametrize("system", TRACED)
def test_a_kernel_is_chosen_by_name(monkeypatch, system):
    scenario, single = small_scenario(system), located(SYSTEMS[system].single)
    plain = type(model_of(scenario, "numpy"))
    made = {name: type(model_of(scenario, name)) for name in KERNELS}
    assert made["auto"] is made["compiled"] is not plain is made["numpy"]
    monkeypatch.setitem(sys.modules, made["auto"].__module__, None)
    assert type(model_of(scenario)) is plain
    with pytest.raises(MissingExtraError, match=r"^kernel 'compiled' needs numba: pip install"):
        single(scenario, kernel="compiled")


class Halved(FinetuneBound):
    """A bound of the user's own, in operations that need not be traced."""

    def value(self, bound_terms):
        return np.asarray(FinetuneBound.value(self, bound_terms)) / 2


@pytest.mark.parametrize("system", TRACED)
def test_a_bound_of_the_users_own_is_played_by_arrays(monkeypatch, system):
    monkeypatch.setitem(BOUNDS, "halved", Halved)
    scenario = small_scenario(system).replace(learning={"objective": "halved"})
    assert type(model_of(scenario)) is type(model_of(scenario, "numpy"))
    with pytest.raises(InvalidInputError, match=r"^kernel 'compiled' cannot compute the bound of objective 'halved'"):
        located(SYSTEMS[system].single)(scenario, kernel="compiled")


def evaluated(function, *arrays: np.ndarray) -> np.ndarray:
    """What traced code makes of arrays (B, ...), played for all B at once."""
    graph, lanes = Graph(), len(arrays[0])
    traced = [TracedArray(graph.inputs((1, *array.shape[1:])), array.dtype, graph) for array in arrays]
    made = function(*traced)
    program = program_of(graph, [made.rows_in(graph)])
    *_, (num_registers, most_rows) = program.numbers
    registers = np.zeros((num_registers, lanes), dtype=np.int64)
    registers[: len(program.constants)] = program.constants[:, None]
    rows = [np.moveaxis(array, 0, -1).reshape(-1, lanes) for array in arrays]
    bits = [row.view(np.int64) if row.dtype == np.float64 else row.astype(np.int64) for row in map(np.copy, rows)]
    registers[len(program.constants) :][: program.num_inputs] = np.concatenate(bits)
    sizes = (len(program.constants), most_rows)
    run(program.code, program.tables, LOOPS, registers, *sizes, np.zeros((0, 0, 0)), np.arange(lanes))
    found = np.moveaxis(registers[program.results].reshape(*made.shape[1:], lanes), -1, 0)
    return np.ascontiguousarray(found).view(np.float64) if made.dtype.kind == "f" else found.astype(made.dtype)


ODD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.5, 2.5, 1e-320, 1e308])


@pytest.mark.parametrize(
    "function",
    [
        lambda xp, a, b: xp.where(a < b, a, b),
        lambda xp, a, b: xp.minimum(a, b),
        lambda xp, a, b: xp.maximum(a, b),
        lambda xp, a, b: xp.astype((a <= b) | (a != b) & ~(a >= b), xp.float64),
        lambda xp, a, b: a / b - a * b + (a - b),
        lambda xp, a, b: xp.sort(xp.stack([a, b, a * 0.5, b - a, a + 1.0], axis=1), axis=1),
        lambda xp, a, b: xp.max(xp.stack([a, b, a + b], axis=1), axis=1),
        lambda xp, a, b: xp.floor(a) + xp.ceil(b) + xp.round(a) + xp.abs(b) - (-a),
        lambda xp, a, b: xp.isnan(a) & (a > b),
    ],
)
def test_numbers_that_are_none_or_infinite_do_as_they_do_in_arrays(function):
    a, b = (array.ravel().copy() for array in np.meshgrid(ODD, ODD))
    with np.errstate(all="ignore"):
        assert_same(evaluated(lambda *arrays: function(names, *arrays), a, b), function(np, a, b))


@pytest.mark.parametrize("count", range(1, 12))
def test_sorting_networks_sort(count):
    values = np.random.default_rng(count).permuted(np.tile(np.arange(float(count)), (200, 1)), axis=1)
    assert_same(evaluated(lambda array: names.sort(array, axis=-1), values), np.sort(values, axis=-1))


def test_the_first_of_equals_is_the_least():
    values = np.random.default_rng(0).integers(0, 3, (50, 4)).astype(float)
    assert_same(evaluated(lambda array: names.argmin(array, axis=1), values), np.argmin(values, axis=1))


def test_what_depends_on_an_episode_decides_no_branch():
    array = TracedArray(Graph().inputs((1,)), np.float64, Graph())
    with pytest.raises(TypeError, match="asked for the value of an array that differs from episode to episode"):
        bool(array > 0)


@pytest.mark.parametrize("broken", [lambda a: a**3, lambda a: ~a, lambda a: a // a, lambda a: a & a])
def test_what_is_not_traced_is_refused(broken):
    graph = Graph()
    with pytest.raises((NotImplementedError, TypeError)):
        broken(TracedArray(graph.inputs((1,)), np.float64, graph))


def test_environments_are_compiled_by_default():
    for system in TRACED:
        env = gymnasium.make(SYSTEMS[system].environment, scenario=small_scenario(system))
        assert type(env.unwrapped._episodes._episodes) is TracedEpisodes
