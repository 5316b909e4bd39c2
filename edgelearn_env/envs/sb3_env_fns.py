"""What the functions that make a `NativeVecEnv`'s environments ask for, once it is known that it can be had."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from stable_baselines3.common.monitor import Monitor

from edgelearn_env.envs.single import SingleEnv
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.registration import OTHER_REWARDS
from edgelearn_env.scenarios.systems import SYSTEMS

AnyEnv = gymnasium.Env[Any, Any]

# `gymnasium.make` and `make_vec_env` put these around every environment; the native form does what they do.
_HONOURED = (OrderEnforcing, PassiveEnvChecker, Monitor)
_SHARED = ("action_space", "codec", "metadata", "observation_space", "scenario", "spec")


class MadeEnv(NamedTuple):
    """What there is to know of an environment without playing it.

    Attributes:
        spec: makes the environment itself, without wrappers.
        wrappers: types of what it was in, from the outermost one.
        attributes: those that stay the same, whatever is played.
    """

    spec: EnvSpec
    wrappers: tuple[type[AnyEnv], ...]
    attributes: dict[str, Any]


def made_env(env_fns: Sequence[Callable[[], AnyEnv]]) -> MadeEnv:
    """What all these functions make, judged by the first and the last of them.

    Raises:
        InvalidInputError: it is no registered environment of this package, the two differ, or they ask for what
            environments that are stepped together cannot do; the sentence says what can be done instead.
    """
    first = _checked(env_fns[0]())
    if len(env_fns) > 1:
        _require_another_such(first, _checked(env_fns[-1]()))
    wrappers = tuple(type(layer) for layer in _layers(first)[:-1])
    return MadeEnv(_spec_of(first), wrappers, {name: first.get_wrapper_attr(name) for name in _SHARED})


def _checked(env: AnyEnv) -> AnyEnv:
    """`env`, closed, once it is known that the native form can do what it does."""
    try:
        _spec_of(env)
        for layer in _layers(env)[:-1]:
            _require_honoured(layer)
        if env.render_mode not in (None, "rgb_array"):
            sentence = "must leave frames to the render_mode of NativeVecEnv, 'rgb_array' or 'ansi' (vec_env_kwargs)"
            raise InvalidInputError(f"env_fns {sentence}, got {env.render_mode!r}")
    finally:
        env.close()
    return env


def _spec_of(env: AnyEnv) -> EnvSpec:
    spec = env.unwrapped.spec
    if spec is None or spec.vector_entry_point is None:
        raise InvalidInputError("env_fns must make a registered environment that has a native vector form")
    if not isinstance(env.unwrapped, SingleEnv) or spec.id in OTHER_REWARDS:
        known = ", ".join(system.environment for system in SYSTEMS.values())
        raise InvalidInputError(f"env_fns must make one of {known}, whose rewards are numbers, got {spec.id}")
    return spec


def _layers(env: AnyEnv) -> list[AnyEnv]:
    """The wrappers of an environment from the outermost one, and itself."""
    layers = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _require_honoured(wrapper: AnyEnv) -> None:
    if isinstance(wrapper, TimeLimit):
        sentence = "must not cut episodes (max_episode_steps), but set budgets.max_rounds, with which they end"
        raise InvalidInputError(f"env_fns {sentence}: budgets={{'max_rounds': {wrapper._max_episode_steps}}}")
    if type(wrapper) not in _HONOURED:
        name = type(wrapper).__name__
        raise InvalidInputError(f"env_fns must make environments without wrappers, got {name}: DummyVecEnv takes it")
    if isinstance(wrapper, Monitor):
        _require_plain(wrapper)


def _require_plain(monitor: Monitor[Any, Any]) -> None:
    """Raise if episodes are to be watched otherwise than `Monitor` does it of itself."""
    writer = monitor.results_writer
    if writer is not None:
        writer.close()
        if writer.file_handler.mode.startswith("w"):
            # It was begun a moment ago and holds nothing but its head.
            Path(writer.file_handler.name).unlink()
        raise InvalidInputError("env_fns cannot write files of episodes (monitor_dir): use VecMonitor(envs, filename)")
    if monitor.info_keywords:
        sentence = "use VecMonitor(envs, info_keywords=...)"
        raise InvalidInputError(
            f"env_fns cannot add info_keywords to episodes, got {monitor.info_keywords}: {sentence}"
        )
    if monitor.reset_keywords or not monitor.allow_early_resets:
        raise InvalidInputError("env_fns cannot watch resets (reset_keywords, allow_early_resets): use DummyVecEnv")


def _require_another_such(first: AnyEnv, last: AnyEnv) -> None:
    """Raise unless these are two environments, of the same system."""
    if first.unwrapped is last.unwrapped:
        raise InvalidInputError("env_fns must make an environment of their own at each call, got the same one twice")
    if first.get_wrapper_attr("scenario") != last.get_wrapper_attr("scenario"):
        raise InvalidInputError("env_fns must all make the same environment, but the last makes another than the first")
