"""Actions from a grid, for algorithms that choose among finitely many."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, MultiDiscrete
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector.utils import batch_space

from edgelearn_env.errors import InvalidInputError


class MultiDiscreteActions(gymnasium.ActionWrapper[np.ndarray, np.ndarray, np.ndarray], RecordConstructorArgs):
    """Lets each entry of an action be one of a few levels.

    `MultiDiscrete([2, levels, ..., levels])` of length 3 + 3 K takes the place of the action space of `TwoStageEnv`,
    whose order of entries it keeps:

    | Index | Chooses | Levels | Level j means |
    |---|---|---|---|
    | 0 | to fine-tune from this round on | 2 | -1 (no), 1 (yes) |
    | 1 to 2 + 3 K | a frequency, a power or a batch size | `levels` | -1 + 2 j / (`levels` - 1) |

    So level 0 is the low end of a range, the last one its high end, and the steps between them are equal ratios, as
    frequencies, powers and batch sizes are on log scales; batch sizes are rounded to integers after that.

    ```python
    env = MultiDiscreteActions(gymnasium.make("EdgeLearn/TwoStage-v0"), levels=5)
    ```

    Args:
        env: an environment with the action space of `TwoStageEnv`.
        levels: how many levels the entries after the switch have, at least 2.

    Raises:
        InvalidInputError: another action space, or a wrong number of levels; in `step`, an action that is none.
    """

    def __init__(self, env: gymnasium.Env[np.ndarray, np.ndarray], levels: int = 11) -> None:
        RecordConstructorArgs.__init__(self, levels=levels)
        gymnasium.ActionWrapper.__init__(self, env)
        space = level_space(env.action_space, levels)
        self.action_space = space
        self._num_levels = space.nvec

    def action(self, action: Any) -> np.ndarray:
        """The action that these levels mean, float32 in [-1, 1], (3 + 3 K,)."""
        return at_levels(action, self._num_levels)


class VectorMultiDiscreteActions(gymnasium.vector.VectorActionWrapper, RecordConstructorArgs):
    """`MultiDiscreteActions` for many environments at once, over `gymnasium.make_vec`; actions have shape (B, 3 + 3 K).

    Args:
        env: environments with the action space of `TwoStageEnv`.
        levels: how many levels the entries after the switch have, at least 2.

    Raises:
        InvalidInputError: as for one environment. Levels must be right even where an environment is about to be reset.
    """

    def __init__(self, env: gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray], levels: int = 11) -> None:
        RecordConstructorArgs.__init__(self, levels=levels)
        gymnasium.vector.VectorActionWrapper.__init__(self, env)
        space = level_space(env.single_action_space, levels)
        self.single_action_space = space
        self.action_space = batch_space(space, self.num_envs)
        self._num_levels = np.tile(space.nvec, (self.num_envs, 1))

    def actions(self, actions: Any) -> np.ndarray:
        """The actions that these levels mean, float32 in [-1, 1], (B, 3 + 3 K)."""
        return at_levels(actions, self._num_levels)


def level_space(space: gymnasium.Space[Any], levels: int) -> MultiDiscrete:
    """The grid over an action space: 2 levels for the switch, `levels` for each other entry."""
    if not (isinstance(space, Box) and len(space.shape) == 1 and np.all(space.low == -1) and np.all(space.high == 1)):
        raise InvalidInputError(f"env must take actions in Box(-1, 1, (3 + 3 K,)) to put a grid on, got {space}")
    if not isinstance(levels, int | np.integer) or levels < 2:
        raise InvalidInputError(f"levels must be a whole number of at least 2, got {levels!r}")
    return MultiDiscrete([2, *[levels] * (space.shape[0] - 1)])


def at_levels(action: Any, num_levels: np.ndarray) -> np.ndarray:
    """Level j of n as -1 + 2 j / (n - 1), float32.

    Args:
        action: whole numbers from 0 to n - 1, one for each entry of `num_levels`.
        num_levels: n of each entry.
    """
    try:
        chosen = np.asarray(action)
    except ValueError:
        raise InvalidInputError(f"action must be an array of whole numbers, got {action!r}") from None
    if chosen.shape != num_levels.shape:
        raise InvalidInputError(f"action must have shape {num_levels.shape}, got {chosen.shape}")
    if chosen.dtype.kind not in "iu":
        raise InvalidInputError(f"action must hold whole numbers, got {chosen.dtype} numbers")
    wrong = (chosen < 0) | (chosen >= num_levels)
    if wrong.any():
        index = tuple(np.argwhere(wrong)[0].tolist())
        where = ", ".join(map(str, index))
        raise InvalidInputError(
            f"action[{where}] must be a level from 0 to {num_levels[index] - 1}, got {chosen[index]}"
        )
    named: np.ndarray = 2.0 * chosen / (num_levels - 1) - 1.0
    return named.astype(np.float32)
