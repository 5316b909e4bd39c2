"""Budgets as constraints, for safe reinforcement learning: what passes them is a cost, not the end."""

from collections.abc import Mapping
from typing import Any, Self

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from edgelearn_env.envs.arguments import ScenarioSource
from edgelearn_env.envs.single import SingleEnv
from edgelearn_env.envs.vector import NativeVectorEnv
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario


class SoftBudgets(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray], RecordConstructorArgs):
    """Reports in `info` what a round costs beyond soft budgets of time and energy.

    Budgets are hard: a round that would pass one ends the episode. Here the scenario's budgets are the
    outer limits, which stay hard, and episodes play on beyond nominal budgets inside of them, at a cost. With the
    excess c(x) = max(0, x / nominal - 1), a round that takes time and energy from one level to the next costs

    | Key | Holds, after the round | Unit | Shape |
    |---|---|---|---|
    | `cost_delay` | c(elapsed time) now less before the round | share of `delay_s` | () |
    | `cost_energy` | c(energy spent) now less before the round | share of `energy_j` | () |
    | `cost` | their sum | - | () |

    None is negative, and all are 0 after a reset and for a round that was not counted. The costs of an episode add up
    to the shares by which it has passed the nominal budgets in the end, so a limit of 0.05 on their sum allows 5 % too
    much. The key `cost` is where Safety-Gymnasium's converters and safe agents look; it is no part of the reward.

    Passing a nominal budget does not end the episode, and no action is for ending it: to stay within, a policy has to
    spread what it uses over `budgets.max_rounds`. Episodes whose costs add up to 0 are episodes of the nominal
    scenario as well, whose proven optimum bounds them; that of the environment's own `scenario` bounds all.

    Spaces are unchanged. Observed time and energy left are shares of the hard budgets; the nominal ones pass at fixed
    values of them.

    ```python
    env = SoftBudgets.relaxing(1.5, scenario="default")  # soft where the scenario has them, hard at 1.5 times that
    env = SoftBudgets(gymnasium.make("EdgeLearn/TwoStage-v0"), delay_s=150.0, energy_j=50.0)  # soft at these
    ```

    Args:
        env: an environment of this package, maybe in wrappers.
        delay_s: nominal delay budget, s; at most the scenario's.
        energy_j: nominal energy budget, J; at most the scenario's.

    Raises:
        InvalidInputError: another environment, or a nominal budget that is not above 0 or not within the hard one.
    """

    def __init__(self, env: gymnasium.Env[np.ndarray, np.ndarray], *, delay_s: float, energy_j: float) -> None:
        RecordConstructorArgs.__init__(self, delay_s=delay_s, energy_j=energy_j)
        gymnasium.Wrapper.__init__(self, env)
        self._nominal = _within(env, SingleEnv, delay_s=delay_s, energy_j=energy_j)

    @classmethod
    def relaxing(
        cls,
        slack: float,
        scenario: ScenarioSource = "default",
        budgets: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """An environment in which the budgets of a scenario are soft, and `slack` times them hard.

        The number of rounds stays as it is, unless `budgets` changes it.

        Args:
            slack: hard over soft budgets, at least 1.
            scenario: as for `gymnasium.make`.
            budgets: changes of the scenario's budgets, made before they are relaxed.
            **kwargs: other arguments of `gymnasium.make`.
        """
        changes = dict(budgets or {})
        loaded = Scenario.load(scenario, budgets=changes)
        soft, hard = _relaxed(slack, loaded)
        return cls(gymnasium.make(loaded.environment, scenario=scenario, budgets=changes | hard, **kwargs), **soft)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode; nothing has been used, so its costs are 0."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | self._costs(info)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Do one round and report its costs."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, info | self._costs(info)

    def _costs(self, info: dict[str, Any]) -> dict[str, float]:
        return {name: float(cost) for name, cost in costs(info, self._nominal).items()}


class VectorSoftBudgets(gymnasium.vector.VectorWrapper, RecordConstructorArgs):
    """`SoftBudgets` for many environments at once; each cost is an array of shape (B,), with its mask `_key`.

    Where an environment is reset in the same step, the costs of its last round are in `info["final_info"]`.

    Args:
        env: a native vector environment of this package, maybe in wrappers.
        delay_s: nominal delay budget, s; at most the scenario's.
        energy_j: nominal energy budget, J; at most the scenario's.

    Raises:
        InvalidInputError: as for one environment.
    """

    def __init__(
        self,
        env: gymnasium.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray],
        *,
        delay_s: float,
        energy_j: float,
    ) -> None:
        RecordConstructorArgs.__init__(self, delay_s=delay_s, energy_j=energy_j)
        gymnasium.vector.VectorWrapper.__init__(self, env)
        self._nominal = _within(env, NativeVectorEnv, delay_s=delay_s, energy_j=energy_j)

    @classmethod
    def relaxing(
        cls,
        slack: float,
        num_envs: int,
        scenario: ScenarioSource = "default",
        budgets: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """`num_envs` environments in which the budgets of a scenario are soft; see `SoftBudgets.relaxing`."""
        changes = dict(budgets or {})
        loaded = Scenario.load(scenario, budgets=changes)
        soft, hard = _relaxed(slack, loaded)
        choices: dict[str, Any] = {"num_envs": num_envs, "scenario": scenario, "budgets": changes | hard}
        envs = gymnasium.make_vec(loaded.environment, **choices, **kwargs)
        return cls(envs, **soft)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episodes; their costs are 0."""
        observations, infos = self.env.reset(seed=seed, options=options)
        return observations, self._with_costs(infos)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Do one round in every environment and report its costs."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if "final_info" in infos:
            infos = infos | {"final_info": self._with_costs(infos["final_info"])}
        return observations, rewards, terminated, truncated, self._with_costs(infos)

    def _with_costs(self, infos: dict[str, Any]) -> dict[str, Any]:
        added = costs(infos, self._nominal)
        return infos | added | {f"_{name}": infos["_duration_s"].copy() for name in added}


def costs(info: Mapping[str, Any], nominal: Mapping[str, float]) -> dict[str, Any]:
    """The costs of the last round, from the items that `TwoStageEnv` reports of it.

    Args:
        info: numbers, or arrays of them.
        nominal: the soft budgets, `delay_s` and `energy_j`.
    """
    delay = _excess_added(info["elapsed_s"], info["duration_s"], nominal["delay_s"])
    energy = _excess_added(info["spent_j"], info["energy_j"], nominal["energy_j"])
    return {"cost": delay + energy, "cost_delay": delay, "cost_energy": energy}


def _excess_added(used: Any, just_used: Any, budget: float) -> Any:
    """How much of max(0, used / budget - 1) has come with what was `just_used`."""
    return np.maximum(used / budget - 1.0, 0.0) - np.maximum((used - just_used) / budget - 1.0, 0.0)


def _within(env: Any, kind: type[Any], **nominal: float) -> dict[str, float]:
    """The nominal budgets, once they are known to lie within the hard ones of an environment of that kind."""
    if not isinstance(env.unwrapped, kind):
        raise InvalidInputError(f"env must be an environment of this package, maybe in wrappers, got {env.unwrapped}")
    for name, value in nominal.items():
        hard = getattr(env.unwrapped.scenario.budgets, name)
        if not 0 < value <= hard:
            raise InvalidInputError(
                f"{name} must be above 0 and at most the hard budgets.{name} = {hard:g}, got {value!r}"
            )
    return nominal


def _relaxed(slack: float, scenario: Scenario) -> tuple[dict[str, float], dict[str, float]]:
    """Soft budgets, those of a scenario, and hard ones."""
    if not 1 <= slack < np.inf:
        raise InvalidInputError(f"slack must be a finite number of at least 1, got {slack!r}")
    soft = {"delay_s": scenario.budgets.delay_s, "energy_j": scenario.budgets.energy_j}
    return soft, {name: slack * value for name, value in soft.items()}
