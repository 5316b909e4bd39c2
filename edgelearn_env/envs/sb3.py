"""Stable-Baselines3 over the native vector environment: `make_vec_env(id, n_envs=256, vec_env_cls=NativeVecEnv)`."""

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from edgelearn_env.arrays.records import mapped
from edgelearn_env.envs import arguments
from edgelearn_env.envs.vector import Ended
from edgelearn_env.errors import MissingExtraError, UnknownAttributeError
from edgelearn_env.tapes.tape import Tape

try:
    from stable_baselines3.common.vec_env.base_vec_env import VecEnv
except ImportError as error:
    raise MissingExtraError("Stable-Baselines3 is not installed: pip install 'edgelearn-env[agents]'") from error

from edgelearn_env.envs.sb3_env_fns import made_env


class NativeVecEnv(VecEnv):
    """A Stable-Baselines3 `VecEnv` whose environments are stepped together, without a Python loop over them.

    Observations, rewards, ends and terminal observations are, bit for bit, those of a `DummyVecEnv` of the same
    environments. Info dicts are empty, and the same objects at every step, but at an episode's end: then they hold the
    items of `TwoStageEnv`, `terminal_observation`, `TimeLimit.truncated`, and `episode` with return, length and time as
    `Monitor` writes them.

    What environments that are stepped together cannot do is refused, in a sentence that says what to do instead:
    wrappers (`DummyVecEnv`), limits on steps (`budgets.max_rounds`), files of episodes and `info_keywords`
    (`VecMonitor`), methods of single environments but `reset`, `render` and `close`.

    Args:
        env_fns: as for `DummyVecEnv`, but all must make the same environment. The first and the last are called, to
            learn which. Their number is the number of environments.
        render_mode: "rgb_array" to have frames. That of `env_fns` is left aside, since `make_vec_env` always asks for
            them and an environment that draws frames has to record its episodes, which is slow.

    Raises:
        InvalidInputError: `env_fns` ask for what this cannot do, or make different environments.
    """

    def __init__(
        self, env_fns: Sequence[Callable[[], gymnasium.Env[Any, Any]]], render_mode: str | None = None
    ) -> None:
        made = made_env(env_fns)
        self.envs: Any = gymnasium.make_vec(
            made.spec,
            num_envs=len(env_fns),
            vectorization_mode="vector_entry_point",
            autoreset_mode=AutoresetMode.SAME_STEP,
            render_mode=render_mode,
        )
        self._wrappers = made.wrappers
        self._attributes = [made.attributes | {"render_mode": render_mode} for _ in env_fns]
        self._actions: np.ndarray | None = None
        self._return = np.zeros(len(env_fns))
        self._length = np.zeros(len(env_fns), dtype=np.int64)
        self._start_s = time.perf_counter()
        # Fresh ones at every step would take a tenth of its time.
        self._empty_infos: list[dict[str, Any]] = [{} for _ in env_fns]
        super().__init__(len(env_fns), made.attributes["observation_space"], made.attributes["action_space"])
        self.metadata = made.attributes["metadata"]

    def reset(self) -> np.ndarray:
        """Begin the next episode in every environment, with the seeds and options set since the last reset."""
        tapes = [self._tape_in(self._options[index]) for index in range(self.num_envs)]
        given = next((tape for tape in tapes if tape is not None), None)
        batch = None if given is None else Tape.stack([given if tape is None else tape for tape in tapes])
        observation: np.ndarray
        observation, info = self.envs.reset(seed=list(self._seeds), options={"tape": batch})
        self.reset_infos = _rows(_items(info))
        others = np.array([given is not None and tape is None for tape in tapes])
        if others.any():
            # A tape that is given leaves the seeds' sequences as they are, so these lose nothing of theirs.
            observation, _ = self.envs.reset(options={"reset_mask": others})
            self._begin(np.flatnonzero(others))
        self._return[:], self._length[:] = 0.0, 0
        self._reset_seeds()
        self._reset_options()
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
        """An attribute of each of the chosen environments; of one that changes with play they have none of their own.

        Raises:
            UnknownAttributeError: there is none of that name.
        """
        rows = self._chosen(indices)
        for index in rows:
            if attr_name not in self._attributes[index]:
                raise UnknownAttributeError(_lacking(f"attribute {attr_name!r}", self._attributes[index]))
        return [self._attributes[index][attr_name] for index in rows]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of each of the chosen environments, for `get_attr`: what they play does not change by it."""
        for index in self._chosen(indices):
            self._attributes[index][attr_name] = value

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call `reset`, `render` or `close` of each of the chosen environments, with the same arguments.

        Raises:
            UnknownAttributeError: another method.
        """
        methods = {"reset": self._reset_some, "render": self._frames_of, "close": self._close_some}
        if method_name not in methods:
            raise UnknownAttributeError(_lacking(f"method {method_name!r}", methods))
        return methods[method_name](self._chosen(indices), *args, **kwargs)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Whether `env_fns` put that wrapper around the environments."""
        is_wrapped = any(issubclass(wrapper, wrapper_class) for wrapper in self._wrappers)
        return [is_wrapped for _ in self._chosen(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A frame of each environment; None of each, and a warning, unless `render_mode` is "rgb_array"."""
        if self.render_mode != "rgb_array":
            way = "set it to 'rgb_array' (in make_vec_env by vec_env_kwargs)"
            warnings.warn(f"NativeVecEnv has no images with render_mode {self.render_mode!r}: {way}", stacklevel=2)
            return [None] * self.num_envs
        return list(self.envs.render())

    def _chosen(self, indices: Any) -> list[int]:
        """The environments that Stable-Baselines3's `indices` name; they count from the end if negative."""
        return [range(self.num_envs)[index] for index in self._get_indices(indices)]

    def _reset_some(
        self, rows: list[int], *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> list[tuple[np.ndarray, dict[str, Any]]]:
        """Begin the next episode in these environments, each as if it were reset by itself."""
        if not rows:
            return []
        mask = np.isin(np.arange(self.num_envs), rows)
        choices = {"tape": self._tape_in(options), "reset_mask": mask}
        observation, info = self.envs.reset(seed=[seed if chosen else None for chosen in mask], options=choices)
        self._return[mask], self._length[mask] = 0.0, 0
        infos = _rows(_items(info))
        return [(observation[index].copy(), infos[index]) for index in rows]

    def _frames_of(self, rows: list[int]) -> list[Any]:
        """What these environments draw; None of each without a `render_mode`."""
        frames = self.envs.render() or [None] * self.num_envs
        return [frames[index] for index in rows]

    def _close_some(self, rows: list[int]) -> list[None]:
        """Nothing is held for one environment alone."""
        return [None for _ in rows]

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

    def _tape_in(self, options: dict[str, Any] | None) -> Tape | None:
        """The tape in the reset options of one environment, (T, K), if there is one."""
        tape = arguments.checked_options(options, ("tape",)).get("tape")
        tape = arguments.checked_tape(tape, self.envs.scenario, 1)
        return None if tape is None else mapped(lambda array: array.reshape(array.shape[-2:]), tape)


def _lacking(name: str, known: Iterable[str]) -> str:
    """A sentence on what single environments may have and these do not."""
    return f"environments stepped together have no {name} each, but {', '.join(known)} (those of DummyVecEnv have more)"


def _items(info: dict[str, Any]) -> dict[str, Any]:
    """An info dict of arrays without its masks."""
    return {name: item for name, item in info.items() if not name.startswith("_")}


def _rows(info: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """An info dict of arrays as one dict a row, as single environments say it."""
    columns = [list(column) if column.ndim > 1 else column.tolist() for column in info.values()]
    return [dict(zip(info, row, strict=True)) for row in zip(*columns, strict=True)]
