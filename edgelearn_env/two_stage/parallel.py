"""The server and each device's client as agents of their own, after PettingZoo: `parallel_env(scenario="tiny")`."""

from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box

from edgelearn_env.envs import arguments
from edgelearn_env.errors import InvalidInputError, MissingExtraError
from edgelearn_env.model import Codec
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.encoding import DECIDED_BY_DEVICE, OBSERVED_OF_DEVICE, OBSERVED_OF_EPISODE
from edgelearn_env.two_stage.env import TwoStageEnv

try:
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise MissingExtraError("PettingZoo is not installed: pip install 'edgelearn-env[multi-agent]'") from error

SERVER = "server"
# As many entries decide the server and each client.
_ACTION_SIZE = len(DECIDED_BY_DEVICE)
# What all agents observe, at the head of the single agent's observation.
_NUM_SHARED, _NUM_OWN = len(OBSERVED_OF_EPISODE), len(OBSERVED_OF_DEVICE)


class TwoStageParallelEnv(ParallelEnv[str, np.ndarray, np.ndarray]):
    """`TwoStageEnv` shared among K + 1 agents that act at once: `"server"`, `"client_0"` to `"client_<K-1>"`.

    A client decides for one device; they are numbered as the scenario's devices are. Libraries that group agents by
    their names, as TorchRL and BenchMARL do, make two groups, `server` and `client`. They could not hold a group
    `device`: their containers keep that name for the processor that their tensors are on.

    It plays, bit for bit, what a `TwoStageEnv` plays under the joint action. Seeds, tapes, ends and the arguments of
    the constructor are those of `TwoStageEnv`.

    ## Action Spaces

    `Box(-1, 1, (3,), float32)`, with ranges and scales of `TwoStageEnv`. The server's action counts before the switch,
    the clients' after it; the switch is the server's to make.

    | Index | Server decides | Client decides |
    |---|---|---|
    | 0 | to fine-tune from this round on | its device's clock frequency |
    | 1 | its clock frequency | its device's transmit power |
    | 2 | its batch size | its device's batch size |

    ## Observation Spaces

    `Box(0, 1, (5,), float32)` for the server, `Box(0, 1, (8,), float32)` for a client. `state()` is the whole
    observation of `TwoStageEnv`, (5 + 3 K,), for a critic that sees everything.

    | Index | Observes | Who |
    |---|---|---|
    | 0 to 4 | stage, rounds left, time left, energy left, log Psi | all |
    | 5 to 7 | its device's battery, log channel gain, harvested power | clients |

    ## Rewards

    All agents get the reward of `TwoStageEnv`: they have one goal, and their sum counts it K + 1 times.

    ## Episode End

    All agents terminate together, and `agents` is empty then.

    ## Info

    The items of `TwoStageEnv`: those of the round go to all, those of the server to it alone, and each client gets
    those of its device as numbers.

    Args:
        scenario, objective, render_mode, **changes: as for `TwoStageEnv`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        **TwoStageEnv.metadata,
        "name": "edgelearn_two_stage_v0",
        "is_parallelizable": True,
    }

    def __init__(
        self,
        scenario: arguments.ScenarioSource = "default",
        objective: str | None = None,
        render_mode: str | None = None,
        **changes: Any,
    ) -> None:
        self._env = TwoStageEnv(scenario, objective, render_mode, **changes)
        self.render_mode = render_mode
        num_devices = self.scenario.num_devices
        self.possible_agents = [SERVER, *(f"client_{index}" for index in range(num_devices))]
        self.agents: list[str] = []
        self.action_spaces = {agent: Box(-1.0, 1.0, (_ACTION_SIZE,), np.float32) for agent in self.possible_agents}
        sizes = [_NUM_SHARED, *[_NUM_SHARED + _NUM_OWN] * num_devices]
        spaces = [Box(0.0, 1.0, (size,), np.float32) for size in sizes]
        self.observation_spaces = dict(zip(self.possible_agents, spaces, strict=True))
        self._observed = np.zeros(self.codec.observation_size, dtype=np.float32)

    @property
    def scenario(self) -> Scenario:
        """What is fixed in all episodes."""
        return self._env.scenario

    @property
    def codec(self) -> Codec:
        """Translates between joint actions and allocations, states and whole observations."""
        return self._env.codec

    def observation_space(self, agent: str) -> Box:
        """What that agent can observe."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Box:
        """What that agent can do."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        """Begin the next episode; see `TwoStageEnv`.

        Args:
            seed: names a sequence of tapes; None goes on with the present one.
            options: may hold a `"tape"`. Others are for wrappers, as PettingZoo has it, and not looked at.

        Raises:
            InvalidInputError: a tape that does not fit, or a seed that is not a whole number.
        """
        tape = {"tape": options["tape"]} if options and "tape" in options else None
        self._observed, info = self._env.reset(seed=seed, options=tape)
        self.agents = list(self.possible_agents)
        return self._observations(), self._infos(info)

    def step(
        self, actions: dict[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Do one learning round.

        Args:
            actions: of all agents, each (3,).

        Raises:
            InvalidInputError: an action is missing, of the wrong shape or not finite, or its agent is unknown.
            ResetNeeded: there is no episode, or it has ended.
        """
        if not self.agents:
            raise ResetNeeded("no agent is in play: call reset() before the next step()")
        self._observed, reward, terminated, truncated, info = self._env.step(self.joint_action(actions))
        played, self.agents = self.agents, [] if terminated else list(self.agents)
        ends = dict.fromkeys(played, terminated), dict.fromkeys(played, truncated)
        return self._observations(), dict.fromkeys(played, reward), *ends, self._infos(info)

    def joint_action(self, actions: dict[str, np.ndarray]) -> np.ndarray:
        """The action of `TwoStageEnv` in which each agent does its part, (3 + 3 K,)."""
        for agent in self.possible_agents:
            if agent not in actions:
                raise InvalidInputError(f"actions must hold one of every agent, but that of {agent!r} is missing")
        for agent in actions:
            if agent not in self.action_spaces:
                raise InvalidInputError(
                    f"unknown agent {agent!r} in actions: choose among {', '.join(self.action_spaces)}"
                )
        server, *devices = (self._checked(agent, actions[agent]) for agent in self.possible_agents)
        return np.concatenate([server, np.stack(devices, axis=1).ravel()])

    def state(self) -> np.ndarray:
        """What is observed by all agents together, as a `TwoStageEnv` shows it, (5 + 3 K,)."""
        return self._observed.copy()

    def render(self) -> Any:
        """The episode so far; see `TwoStageEnv.render`."""
        return self._env.render()

    def close(self) -> None:
        """Close the window, if there is one."""
        self._env.close()

    def _observations(self) -> dict[str, np.ndarray]:
        shared, own = self._observed[:_NUM_SHARED], self._observed[_NUM_SHARED:].reshape(_NUM_OWN, -1).T
        parts = [shared.copy(), *(np.concatenate([shared, part]) for part in own)]
        return dict(zip(self.possible_agents, parts, strict=True))

    def _infos(self, info: dict[str, Any]) -> dict[str, dict[str, Any]]:
        by_device = {name: item.tolist() for name, item in info.items() if isinstance(item, np.ndarray)}
        servers = {name: item for name, item in info.items() if name.startswith("server_")}
        shared = {name: item for name, item in info.items() if name not in by_device.keys() | servers.keys()}
        devices = (dict(zip(by_device, items, strict=True)) for items in zip(*by_device.values(), strict=True))
        return {agent: shared | own for agent, own in zip(self.possible_agents, (servers, *devices), strict=True)}

    @staticmethod
    def _checked(agent: str, action: Any) -> np.ndarray:
        try:
            return arguments.checked_action(action, (_ACTION_SIZE,))
        except InvalidInputError as error:
            raise InvalidInputError(f"agent {agent!r}: {error}") from None


def parallel_env(**kwargs: Any) -> TwoStageParallelEnv:
    """A `TwoStageParallelEnv` with these arguments, by the name that PettingZoo's modules give their constructor."""
    return TwoStageParallelEnv(**kwargs)
