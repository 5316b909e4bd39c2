"""How time and memory grow with the number of devices, of rounds, and of environments."""

import functools
import tracemalloc
from collections.abc import Iterator
from typing import NamedTuple

import gymnasium
import numpy as np
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.baselines import ladder_of
from edgelearn_env.baselines.clairvoyance import clairvoyant
from edgelearn_env.errors import SolverError
from edgelearn_env.model import Observed, model_of
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.speed.random_play import play_vector
from edgelearn_env.scripts.speed.timing import seconds_of
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.seeds import test_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape

DEVICES, ROUNDS, ENVIRONMENTS = (2, 10, 50, 200), (30, 300, 3000, 10_000), (1, 64, 1024, 4096, 16_384, 65_536)

# Environments where it is not these that grow.
_MANY = 1024

# Devices times rounds beyond which nobody waits for plans here.
_MOST_CELLS = 5_000

# Decisions that are timed, after one that is not.
_DECISIONS = 8


class Growth(NamedTuple):
    """What one size came to: seconds, and bytes; NaN where it was not measured.

    Attributes:
        step_s, reset_s: of all environments together.
        memory_byte: what environments that were reset and stepped hold, at most.
        decision_s: of MPC, in one round of one episode.
        optimum_s: of one tape, proven to the default gap.
    """

    step_s: float
    reset_s: float
    memory_byte: float
    decision_s: float = float("nan")
    optimum_s: float = float("nan")


def timed_growth(scenario: StagedScenario, progress: Progress) -> Table:
    """Time of a step, of a reset, of a decision of MPC and of an optimum, and memory, one size after another.

    Args:
        scenario: what is changed in one thing at a time.
        progress: where to show how far it is.
    """
    sizes = list(_sizes(scenario))
    columns = ("of one, ns", "a reset, ms", "memory, MB", "MPC, ms a round", "optimum, s")
    table = table_of("size", "a step, ms", *columns)
    for label, sized, num_envs, solves in progress.track(sizes, description="growing"):
        found = _measured(sized, num_envs, solves=solves)
        numbers = (found.step_s * 1e9 / num_envs, found.reset_s * 1e3, found.memory_byte / 1e6)
        rest = (*numbers, found.decision_s * 1e3, found.optimum_s)
        table.add_row(label, f"{found.step_s * 1e3:.3g}", *("" if np.isnan(each) else f"{each:.3g}" for each in rest))
    return table


def _sizes(scenario: StagedScenario) -> Iterator[tuple[str, StagedScenario, int, bool]]:
    """Label, scenario, number of environments, and whether policies and optima are timed too."""
    for count in DEVICES:
        yield f"{count} devices", with_devices(scenario, count), _MANY, True
    for count in ROUNDS:
        yield f"{count:,} rounds", scenario.replace(budgets={"max_rounds": count}), _MANY, True
    for count in ENVIRONMENTS:
        yield f"{count:,} environments", scenario, count, False


def with_devices(scenario: StagedScenario, count: int) -> StagedScenario:
    """The scenario with so many devices, its own over and over, and as much energy for each."""
    energy_j = scenario.budgets.energy_j * count / scenario.num_devices
    return scenario.replace(devices={"num_devices": count}, budgets={"energy_j": energy_j})


def _measured(scenario: Scenario, num_envs: int, *, solves: bool) -> Growth:
    envs = gymnasium.make_vec(scenario.environment, num_envs, "vector_entry_point", scenario=scenario)
    play = play_vector(envs)
    play()
    reset_s = float(np.median([seconds_of(envs.reset)[0] for _ in range(5)]))
    stepped = [seconds_of(play) for _ in range(5)]
    step_s = float(np.median([took_s / (steps / num_envs) for took_s, steps in stepped]))
    del envs, play
    found = Growth(step_s, reset_s, _memory_byte(scenario, num_envs))
    if not solves or scenario.num_devices * scenario.budgets.max_rounds > _MOST_CELLS:
        return found
    return found._replace(decision_s=_decision_s(scenario), optimum_s=_optimum_s(scenario))


def _memory_byte(scenario: Scenario, num_envs: int) -> float:
    tracemalloc.start()
    envs = gymnasium.make_vec(scenario.environment, num_envs, "vector_entry_point", scenario=scenario)
    # Without what the C library is shown to keep.
    tracemalloc.reset_peak()
    play_vector(envs)()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return float(peak)


def _decision_s(scenario: Scenario) -> float:
    """Of MPC in its first rounds."""
    policy, tape, model = ladder_of(scenario)["mpc"](scenario), _tape(scenario), model_of(scenario, "numpy")
    tapes, state, taken = Tape.stack([tape]), model.initial_state(1), []
    for _ in range(1 + _DECISIONS):
        conditions = tapes.conditions(state.round_index)
        took_s, allocation = seconds_of(functools.partial(policy, Observed(state, conditions.seen)))
        state, _ = model.step(state, conditions, allocation)
        taken.append(took_s)
    return float(np.median(taken[1:]))


def _optimum_s(scenario: Scenario) -> float:
    """NaN where its gap is not reached."""
    try:
        return seconds_of(functools.partial(clairvoyant, scenario, _tape(scenario)))[0]
    except SolverError:
        return float("nan")


def _tape(scenario: Scenario) -> Tape:
    """The first test tape."""
    return sample_tape(scenario, test_seeds(1)[0])
