"""The environment of many episodes in lockstep, of any system: native, without a Python loop over them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from edgelearn_env.envs import arguments
from edgelearn_env.envs.episode_batch import EpisodeBatch
from edgelearn_env.envs.masked import masked
from edgelearn_env.envs.plain_spec import PlainSpec
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.model import Codec, Model
from edgelearn_env.scenarios.scenario import Scenario


class NativeVectorEnv(PlainSpec, VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many `SingleEnv` of one model at once; each plays, bit for bit, what a single one would.

    Environment i of one reset with `seed=s` is a single one reset with `seed=s + i`; a list of seeds names each, None
    in it leaves an environment its sequence of tapes. Reset options:

    * `"tape"`: a tape for all of them, or a batch with one each. It lasts one episode; an autoreset goes back to
      the seed's sequence.
    * `"reset_mask"`: (B,) booleans; those where it is False play on.

    When an episode ends, depending on `autoreset_mode`:

    * `NEXT_STEP` (default): the next step ignores its action and resets it, with reward 0.
    * `SAME_STEP`: it is reset at once; its last observation and info are in `info["final_obs"]`, `info["final_info"]`.
    * `DISABLED`: it has to be reset by a `reset_mask` before the next step.

    `info` holds the items of a single environment as arrays of shape (B,) or (B, K), and for each a mask `_key` of the
    environments that it speaks of.

    Args:
        model: what is played.
        num_envs: B.
        max_episode_steps: only None, since episodes end by themselves.
        render_mode: "rgb_array" or "ansi"; `render` returns a frame for each environment.
        autoreset_mode: an `AutoresetMode`, or its value as text.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        model: Model,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        if max_episode_steps is not None:
            sentence = "max_episode_steps must be None, since episodes end by themselves (set budgets.max_rounds)"
            raise InvalidInputError(f"{sentence}, got {max_episode_steps!r}")
        self.num_envs = arguments.checked_num_envs(num_envs)
        self.render_mode = arguments.checked_render_mode(render_mode, self.metadata["render_modes"])
        self.autoreset_mode = _checked_autoreset_mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self._episodes = EpisodeBatch(model, self.num_envs, recording=render_mode is not None)
        self._all = np.ones(num_envs, dtype=bool)
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.codec.action_size,), np.float32)
        self.single_observation_space = gymnasium.spaces.Box(0.0, 1.0, (self.codec.observation_size,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

    @property
    def scenario(self) -> Scenario:
        """What is fixed in all episodes."""
        return self._episodes.model.scenario

    @property
    def codec(self) -> Codec:
        """Translates between actions and allocations, states and observations."""
        return self._episodes.model.codec

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode in all environments, or in those of `options["reset_mask"]`.

        Raises:
            InvalidInputError: an unknown option, a mask or a tape that does not fit, or a wrong seed.
            ResetNeeded: the first reset leaves some out.
        """
        options = arguments.checked_options(options, ("tape", "reset_mask"))
        seeds = arguments.checked_seeds(seed, self.num_envs)
        mask = arguments.checked_reset_mask(options.get("reset_mask"), self.num_envs)
        tape = arguments.checked_tape(options.get("tape"), self.scenario, self.num_envs)
        if not (self._episodes.started or mask.all()):
            raise ResetNeeded("the first reset must be of all environments: call reset() without a 'reset_mask'")
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seeds[0]))
        self._episodes.seed(mask, seeds, self.np_random)
        rows = np.flatnonzero(mask)
        self._episodes.reset(rows, tape)
        return self._episodes.observation(), masked(self._episodes.info(rows), mask)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Do one learning round in every environment.

        Raises:
            InvalidInputError: actions of the wrong shape, or with an entry that is not a finite number.
            ResetNeeded: there is no episode, or, without autoreset, one has ended.
        """
        rewards, terminated, ended = self._played(actions)
        info = masked(self._episodes.info(), self._all)
        if ended is not None:
            info |= ended.as_final(terminated)
        return self._episodes.observation(), rewards, terminated, np.zeros(self.num_envs, dtype=bool), info

    def step_tersely(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, "Ended | None"]:
        """As `step` with `SAME_STEP`: observations, rewards, ends, and no info but of the episodes that ended."""
        rewards, terminated, ended = self._played(actions)
        return self._episodes.observation(), rewards, terminated, ended

    def tapes(self) -> tuple[np.ndarray, np.ndarray]:
        """Which tape each environment plays: `tape_seed` and `tape_episode` of `info`, (B,)."""
        return self._episodes.tapes()

    def render(self) -> tuple[Any, ...] | None:
        """Each episode so far, in the form that `render_mode` names."""
        if self.render_mode is None:
            gymnasium.logger.warn('choose a render_mode to render: gymnasium.make_vec(..., render_mode="rgb_array")')
            return None
        self._episodes.require_started("render()")
        as_text = self.render_mode == "ansi"
        return tuple(self._episodes.frame(index, as_text=as_text) for index in range(self.num_envs))

    def _played(self, actions: np.ndarray) -> "tuple[np.ndarray, np.ndarray, Ended | None]":
        """Do one round and the autoresets: rewards, ends, and, with `SAME_STEP`, what has ended."""
        episodes, over = self._episodes, np.flatnonzero(self._episodes.ended)
        episodes.require_started("step()")
        if over.size and self.autoreset_mode is AutoresetMode.DISABLED:
            sentence = "reset them by a 'reset_mask' before the next step()"
            raise ResetNeeded(f"the episodes of environments {over.tolist()} have ended: {sentence}")
        episodes.play_round(arguments.checked_action(actions, (self.num_envs, self.codec.action_size), over))
        if over.size:
            episodes.reset(over)
        rewards, terminated = episodes.reward.copy(), episodes.ended.copy()
        rows = np.flatnonzero(terminated)
        if self.autoreset_mode is not AutoresetMode.SAME_STEP or not rows.size:
            return rewards, terminated, None
        ended = Ended(rows, episodes.observation(rows), episodes.info(rows))
        episodes.reset(rows)
        return rewards, terminated, ended


class Ended(NamedTuple):
    """Episodes that have just ended, one row each.

    Attributes:
        rows: indices of their environments, (R,).
        observation: their last, (R, observation_size).
        info: their last, arrays (R,) or (R, K).
    """

    rows: np.ndarray
    observation: np.ndarray
    info: dict[str, np.ndarray]

    def as_final(self, mask: np.ndarray) -> dict[str, Any]:
        """As Gymnasium lays them out, among all environments; `mask` says which they are, (B,)."""
        final_obs = np.full(len(mask), None, dtype=object)
        for index, observation in zip(self.rows, self.observation, strict=True):
            final_obs[index] = observation
        final_info = masked(self.info, mask)
        return {"final_obs": final_obs, "_final_obs": mask.copy(), "final_info": final_info, "_final_info": mask.copy()}


def _checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = ", ".join(repr(known.value) for known in AutoresetMode)
        raise InvalidInputError(f"autoreset_mode must be one of {known}, got {mode!r}") from None
