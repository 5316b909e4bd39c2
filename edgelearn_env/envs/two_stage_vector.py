"""The environment of many episodes in lockstep: native, without a Python loop over them."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from edgelearn_env.encoding import Codec
from edgelearn_env.envs import arguments
from edgelearn_env.envs.episode_batch import EpisodeBatch
from edgelearn_env.envs.itemised import masked
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenario import Scenario


class TwoStageVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many `TwoStageEnv` at once; each plays, bit for bit, what a single one would.

    Environment i of one reset with `seed=s` is a `TwoStageEnv` reset with `seed=s + i`; a list of seeds names each,
    None in it leaves an environment its sequence of tapes. Reset options:

    * `"tape"`: a tape for all of them, or a batch with one each. It lasts one episode; an autoreset goes back to
      the seed's sequence.
    * `"reset_mask"`: (B,) booleans; those where it is False play on.

    When an episode ends, depending on `autoreset_mode`:

    * `NEXT_STEP` (default): the next step ignores its action and resets it, with reward 0.
    * `SAME_STEP`: it is reset at once; its last observation and info are in `info["final_obs"]`, `info["final_info"]`.
    * `DISABLED`: it has to be reset by a `reset_mask` before the next step.

    `info` holds the items of `TwoStageEnv` as arrays of shape (B,) or (B, K), and for each a mask `_key` of the
    environments that it speaks of.

    Args:
        num_envs: B.
        scenario: anything `Scenario.load` takes.
        objective: replaces `learning.objective`.
        max_episode_steps: only None, since episodes end by themselves.
        render_mode: "rgb_array" or "ansi"; `render` returns a frame for each environment.
        autoreset_mode: an `AutoresetMode`, or its value as text.
        **changes: scenario parts with their changed fields.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        scenario: arguments.ScenarioSource = "default",
        objective: str | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **changes: Any,
    ) -> None:
        if max_episode_steps is not None:
            sentence = "max_episode_steps must be None, since episodes end by themselves (set budgets.max_rounds)"
            raise InvalidInputError(f"{sentence}, got {max_episode_steps!r}")
        self.num_envs = _checked_num_envs(num_envs)
        self.render_mode = arguments.checked_render_mode(render_mode, self.metadata["render_modes"])
        self.autoreset_mode = _checked_autoreset_mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        system = arguments.configured_scenario(scenario, objective, changes)
        self._episodes = EpisodeBatch(system, self.num_envs, recording=render_mode is not None)
        self._all = np.ones(num_envs, dtype=bool)
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.codec.action_size,), np.float32)
        self.single_observation_space = gymnasium.spaces.Box(0.0, 1.0, (self.codec.observation_size,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)

    @property
    def scenario(self) -> Scenario:
        """What is fixed in all episodes."""
        return self._episodes.scenario

    @property
    def codec(self) -> Codec:
        """Translates between actions and allocations, states and observations."""
        return self._episodes.codec

    def reset(  # type: ignore[override]
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
        self._episodes.reset(mask, tape)
        return self._episodes.observation(), masked(self._episodes.info(mask), mask)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Do one learning round in every environment.

        Raises:
            InvalidInputError: actions of the wrong shape, or with an entry that is not a finite number.
            ResetNeeded: there is no episode, or, without autoreset, one has ended.
        """
        episodes, over = self._episodes, self._episodes.state.ended
        episodes.require_started("step()")
        self._require_episodes_that_run()
        any_over = bool(over.any())
        shape = (self.num_envs, self.codec.action_size)
        episodes.play(arguments.checked_action(actions, shape, over if any_over else None))
        if any_over:
            episodes.reset(over)
        rewards, terminated = episodes.outcome.reward.copy(), episodes.state.ended.copy()
        final: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP and terminated.any():
            final = self._final(terminated)
            episodes.reset(terminated)
        info = masked(episodes.info(), self._all) | final
        return episodes.observation(), rewards, terminated, np.zeros(self.num_envs, dtype=bool), info

    def render(self) -> tuple[Any, ...] | None:
        """Each episode so far, in the form that `render_mode` names."""
        if self.render_mode is None:
            gymnasium.logger.warn('choose a render_mode to render: gymnasium.make_vec(..., render_mode="rgb_array")')
            return None
        self._episodes.require_started("render()")
        as_text = self.render_mode == "ansi"
        return tuple(self._episodes.frame(index, as_text=as_text) for index in range(self.num_envs))

    def _require_episodes_that_run(self) -> None:
        if self.autoreset_mode is AutoresetMode.DISABLED and self._episodes.state.ended.any():
            ended = np.flatnonzero(self._episodes.state.ended).tolist()
            raise ResetNeeded(
                f"the episodes of environments {ended} have ended: reset them by a 'reset_mask' before the next step()"
            )

    def _final(self, ended: np.ndarray) -> dict[str, Any]:
        """Last observation and info of the episodes that have just ended, as Gymnasium lays them out."""
        rows = np.flatnonzero(ended)
        final_obs = np.full(self.num_envs, None, dtype=object)
        for index, observation in zip(rows, self._episodes.observation(rows), strict=True):
            final_obs[index] = observation
        return {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": masked(self._episodes.info(rows), ended),
            "_final_info": ended.copy(),
        }


def _checked_num_envs(num_envs: int) -> int:
    if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
        raise InvalidInputError(f"num_envs must be a whole number of at least 1, got {num_envs!r}")
    return int(num_envs)


def _checked_autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = ", ".join(repr(known.value) for known in AutoresetMode)
        raise InvalidInputError(f"autoreset_mode must be one of {known}, got {mode!r}") from None
