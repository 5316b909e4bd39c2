"""How many steps a second environments do: ours in each of their forms, beside those of others."""

import importlib.util
import statistics
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.vector.utils import batch_space
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.scenario import Scenario
from edgelearn_env.scripts.timing import seconds_of, table_of

# Long enough to tell, short enough to repeat; the repeats of all take turns, so that a busy moment hits all alike.
_SECONDS, _REPEATS = 0.5, 7
_NUM_ACTIONS = 16

_TWO_STAGE = "EdgeLearn/TwoStage-v0"

Play = Callable[[], int]


def timed_environments(scenario: Scenario, progress: Progress) -> Table:
    """Steps a second of random play, autoreset included: median and range of several turns."""
    plays = _forms(scenario)
    rates: dict[str, list[float]] = {label: [] for label in plays}
    for play in plays.values():
        play()
    for _ in progress.track(range(_REPEATS), description="stepping"):
        for label, play in plays.items():
            rates[label].append(_rate(play))
    reference = statistics.median(next(iter(rates.values())))
    table = table_of("environment, random play", "steps/s", "range", "to the first")
    for label, each in rates.items():
        median = statistics.median(each)
        table.add_row(label, f"{median:,.0f}", f"{min(each):,.0f} to {max(each):,.0f}", f"{median / reference:.3g}")
    return table


def _rate(play: Play) -> float:
    """Environment steps a second of `play`, which returns how many it did."""
    steps, elapsed_s = 0, 0.0
    while elapsed_s < _SECONDS:
        took_s, done = seconds_of(play)
        steps, elapsed_s = steps + done, elapsed_s + took_s
    return steps / elapsed_s


def _forms(scenario: Scenario) -> dict[str, Play]:
    forms = {"single": _single(gymnasium.make(_TWO_STAGE, scenario=scenario))}
    for num_envs in (1024, 4096):
        for mode in ("NextStep", "SameStep"):
            envs = gymnasium.make_vec(
                _TWO_STAGE, num_envs, "vector_entry_point", scenario=scenario, autoreset_mode=mode
            )
            forms[f"vector, {num_envs}, {mode}"] = _vector(envs)
    if importlib.util.find_spec("stable_baselines3"):
        forms["SB3 adapter, 1024"] = _sb3(scenario, 1024)
    forms["CartPole, single"] = _single(gymnasium.make("CartPole-v1"))
    forms["CartPole, SyncVectorEnv, 64"] = _vector(gymnasium.make_vec("CartPole-v1", 64, "sync"))
    forms["CartPole, native vector, 4096"] = _vector(gymnasium.make_vec("CartPole-v1", 4096, "vector_entry_point"))
    return forms


def _single(env: gymnasium.Env[Any, Any]) -> Play:
    """A thousand steps of one environment."""
    actions = _actions(env.action_space)
    env.reset(seed=0)

    def play() -> int:
        for index in range(1000):
            _, _, terminated, truncated, _ = env.step(actions[index % _NUM_ACTIONS])
            if terminated or truncated:
                env.reset()
        return 1000

    return play


def _vector(envs: gymnasium.vector.VectorEnv[Any, Any, Any]) -> Play:
    """As many steps of all environments as there are prepared actions."""
    actions = _actions(envs.action_space)
    envs.reset(seed=0)

    def play() -> int:
        for action in actions:
            envs.step(action)
        return _NUM_ACTIONS * envs.num_envs

    return play


def _sb3(scenario: Scenario, num_envs: int) -> Play:
    """The same through Stable-Baselines3's interface."""
    from edgelearn_env.envs.sb3 import NativeVecEnv

    envs = NativeVecEnv([lambda: gymnasium.make(_TWO_STAGE, scenario=scenario)] * num_envs)
    actions = _actions(batch_space(envs.action_space, num_envs))
    envs.reset()

    def play() -> int:
        for action in actions:
            envs.step(action)
        return _NUM_ACTIONS * num_envs

    return play


def _actions(space: gymnasium.Space[Any]) -> list[Any]:
    """Random actions, drawn beforehand."""
    space.seed(0)
    return [space.sample() for _ in range(_NUM_ACTIONS)]
