"""Delay, energy and learning as three rewards, after the conventions of MO-Gymnasium."""

from functools import cached_property
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.two_stage.env import TwoStageEnv, TwoStageVectorEnv
from edgelearn_env.two_stage.scenario import TwoStageScenario


class MultiObjectiveEnv(TwoStageEnv):
    """`TwoStageEnv` with a vector for a reward: what a round takes, and what it brings.

    `reward` is a float32 array of shape (3,), in `reward_space`, and more is better in each entry:

    | Index | Rewards | Unit | Sum over an episode |
    |---|---|---|---|
    | 0 | minus the round's duration | share of `budgets.delay_s` | minus the share of time used |
    | 1 | minus the round's energy | share of `budgets.energy_j` | minus the share of energy used |
    | 2 | log Psi before minus log Psi after the round | - | log Psi_0 - log Phi |

    `info["scalar_reward"]` is the reward of `TwoStageEnv`, entry 2 before rounding; 0 after a reset. All else is as
    there: both budgets stay hard, whatever they weigh. It is an environment of its own and not a wrapper, since
    MO-Gymnasium's wrappers ask the unwrapped environment for `reward_space`; they all work on it.

    ```python
    env = gymnasium.make("EdgeLearn/mo-TwoStage-v0", scenario="tiny")
    env = mo_gymnasium.wrappers.LinearReward(env, weight=np.array([0.1, 0.1, 1.0]))
    ```
    """

    reward_dim = 3

    @cached_property
    def reward_space(self) -> Box:
        """What rewards can be, float32, (3,)."""
        return reward_space(self.scenario)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode; see `TwoStageEnv.reset`."""
        observation, info = super().reset(**kwargs)
        return observation, info | {"scalar_reward": 0.0}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool, bool, dict[str, Any]]:  # type: ignore[override]
        """Do one learning round; see `TwoStageEnv.step`."""
        observation, reward, terminated, truncated, info = super().step(action)
        rewards = reward_vector(self.scenario, info, reward)
        return observation, rewards, terminated, truncated, info | {"scalar_reward": reward}


class MultiObjectiveVectorEnv(TwoStageVectorEnv):
    """Many `MultiObjectiveEnv` at once, bit for bit; rewards are float32 arrays of shape (B, 3).

    `reward_space` is that of one environment, as in MO-Gymnasium's own vector environments. Where an environment is
    reset in the same step, `info["final_info"]` has its last `scalar_reward`.
    """

    reward_dim = 3

    @cached_property
    def reward_space(self) -> Box:
        """What rewards of one environment can be, float32, (3,)."""
        return reward_space(self.scenario)

    def reset(self, **kwargs: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode in all environments or some; see `TwoStageVectorEnv.reset`."""
        observations, infos = super().reset(**kwargs)
        return observations, _with_scalar(infos, np.zeros(self.num_envs))

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Do one learning round in every environment; see `TwoStageVectorEnv.step`."""
        observations, scalars, terminated, truncated, infos = super().step(actions)
        if "final_info" not in infos:
            rewards, infos = reward_vector(self.scenario, infos, scalars), _with_scalar(infos, scalars)
            return observations, rewards, terminated, truncated, infos
        ended, final = infos["_final_info"], infos["final_info"]
        last = {name: np.where(ended, final[name], infos[name]) for name in ("duration_s", "energy_j")}
        infos["final_info"] = _with_scalar(final, np.where(ended, scalars, 0.0))
        infos = _with_scalar(infos, np.where(ended, 0.0, scalars))
        return observations, reward_vector(self.scenario, last, scalars), terminated, truncated, infos


def reward_space(scenario: Scenario) -> Box:
    """What the reward vector of one environment can be: a round takes at most a whole budget."""
    lowest, highest = np.log(TwoStageScenario.load(scenario).bound_value_range)
    most = np.nextafter(np.float32(highest - lowest), np.float32(np.inf))
    return Box(np.array([-1, -1, -most], dtype=np.float32), np.array([0, 0, most], dtype=np.float32))


def reward_vector(scenario: Scenario, info: dict[str, Any], scalar: Any) -> np.ndarray:
    """Rewards for time, energy and learning, float32, (3,) or (B, 3).

    Args:
        scenario: knows the budgets.
        info: has `duration_s` and `energy_j` of the round.
        scalar: the decrease of log Psi.
    """
    budgets = scenario.budgets
    # Subtracted from 0, so that a round without costs has no negative zeros.
    parts = (0.0 - info["duration_s"] / budgets.delay_s, 0.0 - info["energy_j"] / budgets.energy_j, scalar)
    return np.stack(parts, axis=-1, dtype=np.float32, casting="same_kind")


def _with_scalar(infos: dict[str, Any], scalars: np.ndarray) -> dict[str, Any]:
    return infos | {"scalar_reward": scalars.copy(), "_scalar_reward": infos["_objective"].copy()}
