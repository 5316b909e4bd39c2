"""Stable-Baselines3 over the native vector environment: `make_vec_env(id, n_envs=256, vec_env_cls=NativeVecEnv)`."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from edgelearn_env.envs.vector import Ended, NativeVectorEnv
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.registration import OTHER_REWARDS
from edgelearn_env.scenarios.systems import SYSTEMS
from edgelearn_env.tapes.tape import Tape

try:
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env.base_vec_env import VecEnv
except ImportError as error:
    raise MissingExtraError("Stable-Baselines3 is not installed: pip install 'edgelearn-env[agents]'") from error

# An environment that stands for one of many answers by these of its vector form.
_SINGLE = {"action_space": "single_action_space", "observation_space": "single_observation_space"}


class NativeVecEnv(VecEnv):
    """A Stable-Baselines3 `VecEnv` whose environments are stepped together, without a Python loop over them.

    Observations, rewards, ends and terminal observations are, bit for bit, those of a `DummyVecEnv` of the same
    environments. Info dicts are empty, and the same objects at every step, but at an episode's end: then they hold the
    items of `TwoStageEnv`, `terminal_observation`, `TimeLimit.truncated`, and `episode` with return, length and time as
    `Monitor` writes them.

    Args:
        env_fns: as for `DummyVecEnv`; the first is called once to learn which environment it makes, and all must make
            the same one. Their number is the number of environments.
        render_mode: "rgb_array" to have frames. The one of `env_fns` is left aside, since `make_vec_env` always asks
            for frames and an environment that draws them has to record its episodes, which is slow.
    """

    def __init__(
        self, env_fns: Sequence[Callable[[], gymnasium.Env[Any, Any]]], render_mode: str | None = None
    ) -> None:
        name, kwargs = _named(env_fns[0]())
        envs = gymnasium.make_vec(
            name,
            num_envs=len(env_fns),
            vectorization_mode="vector_entry_point",
            **{**kwargs, "autoreset_mode": AutoresetMode.SAME_STEP, "render_mode": render_mode},
        )
        if not isinstance(envs, NativeVectorEnv) or name in OTHER_REWARDS:
            raise InvalidInputError(f"env_fns must make one of {_ids()}, whose rewards are numbers, got {name}")
        self.envs = envs
        self.metadata = self.envs.metadata
        self._actions: Any = None
        self._return = np.zeros(len(env_fns))
        self._length = np.zeros(len(env_fns), dtype=np.int64)
        self._start_s = time.perf_counter()
        # Fresh ones at every step would take a tenth of its time.
        self._empty_infos: list[dict[str, Any]] = [{} for _ in env_fns]
        super().__init__(len(env_fns), self.envs.single_observation_space, self.envs.single_action_space)

    def reset(self) -> np.ndarray:
        """Begin the next episode in every environment, with the seeds and options set since the last reset."""
        observation, info = self.envs.reset(seed=list(self._seeds), options=self._taken_options())
        self.reset_infos = _rows({name: item for name, item in info.items() if not name.startswith("_")})
        self._return[:], self._length[:] = 0.0, 0
        self._reset_seeds()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Do the step; environments whose episode ends begin the next one."""
        observation, reward, done, last = self.envs.step_tersely(self._actions)
        self._return += reward
        self._length += 1
        infos = self._empty_infos.copy()
        if last is not None:
            for index, info in zip(last.rows.tolist(), self._last_infos(last), strict=True):
                infos[index] = info
            self._begin(last.rows)
        return observation, reward.astype(np.float32), done, infos

    def close(self) -> None:
        """Release what the environments hold."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute, once for each of the chosen environments, which share it."""
        value = getattr(self.envs, _SINGLE.get(attr_name, attr_name))
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of all environments, which share it."""
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise InvalidInputError(f"attribute {attr_name!r} can only be set for all environments at once")
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of the vector environment; a result with a row for each environment is handed out by rows."""
        result = getattr(self.envs, method_name)(*args, **kwargs)
        by_row = isinstance(result, tuple | np.ndarray) and np.ndim(result) > 0 and len(result) == self.num_envs
        return [result[index] if by_row else result for index in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Whether the environments do what a wrapper does: they report episodes as `Monitor` does, and no more."""
        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A frame of each environment, if `render_mode` is "rgb_array"."""
        return list(self.envs.render() or [None] * self.num_envs)

    def _last_infos(self, last: Ended) -> list[dict[str, Any]]:
        """Info of the episodes that have ended, as `DummyVecEnv` and `Monitor` write it."""
        infos, elapsed_s = _rows(last.info), round(time.perf_counter() - self._start_s, 6)
        returns, lengths = self._return[last.rows].tolist(), self._length[last.rows].tolist()
        for info, observation, total, length in zip(infos, last.observation, returns, lengths, strict=True):
            info["terminal_observation"] = observation
            info["TimeLimit.truncated"] = False
            info["episode"] = {"r": round(total, 6), "l": length, "t": elapsed_s}
        return infos

    def _begin(self, rows: np.ndarray) -> None:
        """Note that episodes have begun in these environments, (R,)."""
        self._return[rows], self._length[rows] = 0.0, 0
        # Episodes begin alike but for their tapes.
        seeds, episodes = (tape[rows].tolist() for tape in self.envs.tapes())
        for index, seed, episode in zip(rows.tolist(), seeds, episodes, strict=True):
            self.reset_infos[index] = self.reset_infos[index] | {"tape_seed": seed, "tape_episode": episode}

    def _taken_options(self) -> dict[str, Any] | None:
        """The reset options set for the environments, as the vector environment takes them; forgotten afterwards."""
        options = list(self._options)
        self._reset_options()
        if not any(options):
            return None
        if not all(option.keys() == {"tape"} for option in options):
            raise InvalidInputError("reset options must hold a 'tape', and nothing else, for every environment")
        return {"tape": Tape.stack([option["tape"] for option in options])}


def _named(env: gymnasium.Env[Any, Any]) -> tuple[str, dict[str, Any]]:
    """Id and arguments an environment was made with; it is closed."""
    spec = env.spec
    env.close()
    if spec is None or spec.vector_entry_point is None:
        raise InvalidInputError("env_fns must make a registered environment that has a native vector form")
    wrappers = [wrapper.name for wrapper in spec.additional_wrappers if wrapper.name != Monitor.__name__]
    if wrappers:
        raise InvalidInputError(f"env_fns must make environments without wrappers, got {wrappers[0]}")
    return spec.id, {name: value for name, value in spec.kwargs.items() if name != "render_mode"}


def _ids() -> str:
    return ", ".join(system.environment for system in SYSTEMS.values())


def _rows(info: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """An info dict of arrays as one dict a row, as single environments say it."""
    columns = [list(column) if column.ndim > 1 else column.tolist() for column in info.values()]
    return [dict(zip(info, row, strict=True)) for row in zip(*columns, strict=True)]
