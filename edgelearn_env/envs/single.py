"""The environment of one episode at a time, of any system: a batch of one."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from edgelearn_env.envs import arguments
from edgelearn_env.envs.episode_batch import EpisodeBatch
from edgelearn_env.envs.plain_spec import PlainSpec
from edgelearn_env.model import Codec, Model
from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.scenarios.scenario import Scenario

_ALL, _ONLY = np.ones(1, dtype=bool), np.zeros(1, dtype=np.int64)


class SingleEnv(PlainSpec, gymnasium.Env[np.ndarray, np.ndarray]):
    """A model as a Gymnasium environment; a system's own class names its arguments and says what it means.

    Args:
        model: what is played.
        render_mode: "human" (a window), "rgb_array" or "ansi" (text).
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, model: Model, render_mode: str | None = None) -> None:
        self.render_mode = arguments.checked_render_mode(render_mode, self.metadata["render_modes"])
        self._episodes = EpisodeBatch(model, 1, recording=render_mode is not None)
        self._window: Any = None
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.codec.action_size,), np.float32)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (self.codec.observation_size,), np.float32)

    @property
    def scenario(self) -> Scenario:
        """What is fixed in all episodes."""
        return self._episodes.model.scenario

    @property
    def codec(self) -> Codec:
        """Translates between actions and allocations, states and observations."""
        return self._episodes.model.codec

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode; see the class of its system.

        Raises:
            InvalidInputError: an unknown option, a tape that does not fit, or a seed that is not a whole number.
        """
        seeds = arguments.checked_seeds([seed], 1)
        tape = arguments.checked_tape(arguments.checked_options(options, ("tape",)).get("tape"), self.scenario, 1)
        super().reset(seed=None if seed is None else int(seed))
        self._episodes.seed(_ALL, seeds, self.np_random)
        self._episodes.reset(_ONLY, tape)
        if self.render_mode == "human":
            self.render()
        return self._episodes.observation()[0], self._episodes.only_info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Do one learning round.

        Raises:
            InvalidInputError: an action of the wrong shape, or an entry that is not a finite number.
            ResetNeeded: there is no episode, or it has ended.
        """
        episodes = self._episodes
        episodes.require_started("step()")
        if episodes.ended[0]:
            reason = END_REASONS[episodes.info()["end_reason"][0]]
            raise ResetNeeded(f"the episode has ended ({reason}): call reset() before the next step()")
        episodes.play_round(arguments.checked_action(action, (self.codec.action_size,))[None])
        if self.render_mode == "human":
            self.render()
        reward, terminated = episodes.reward.item(), episodes.ended.item()
        return episodes.observation()[0], reward, terminated, False, episodes.only_info()

    def render(self) -> np.ndarray | str | None:
        """The episode so far, in the form that `render_mode` names; a window shows it and returns nothing."""
        if self.render_mode is None:
            gymnasium.logger.warn('choose a render_mode to render: gymnasium.make(..., render_mode="rgb_array")')
            return None
        self._episodes.require_started("render()")
        frame = self._episodes.frame(0, as_text=self.render_mode == "ansi")
        if self.render_mode != "human":
            return frame
        if self._window is None:
            from edgelearn_env.envs.window import Window

            self._window = Window()
        self._window.show(frame)
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None
