"""The environment of one episode at a time: a batch of one."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from edgelearn_env.envs import arguments
from edgelearn_env.envs.episode_batch import EpisodeBatch
from edgelearn_env.envs.plain_spec import PlainSpec
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.two_stage.dynamics import END_REASONS
from edgelearn_env.two_stage.encoding import Codec

_ALL, _ONLY = np.ones(1, dtype=bool), np.zeros(1, dtype=np.int64)


class TwoStageEnv(PlainSpec, gymnasium.Env[np.ndarray, np.ndarray]):
    """Share delay and energy between pre-training at a server and fine-tuning on wireless devices.

    ## Description

    A server pre-trains a model on general data; then, once and for all, training goes over to K wireless devices that
    fine-tune it together on task data. One step is one learning round. In each, clock frequencies, transmit powers and
    batch sizes decide how long it takes, how much energy it costs, and how far it lowers Psi, a bound on the squared
    gradient norm of the task loss. Devices live on harvested energy: one whose battery cannot pay for its round waits
    until it can, and all others wait for it. Delay and energy are limited, so the question is when to switch and what
    each round may cost.

    Channel gains and harvested powers come from a tape drawn at reset: they depend on the seed alone, never on actions.

    ## Action Space

    `Box(-1, 1, (3 + 3 K,), float32)`. Entries beyond [-1, 1] count as the nearer end.

    | Index | Decides | Unit | Range, from -1 to 1 | Scale |
    |---|---|---|---|---|
    | 0 | to fine-tune from this round on | - | yes above 0 | threshold |
    | 1 | server clock frequency | Hz | `server.freq_min_hz` to `server.freq_max_hz` | log |
    | 2 | server batch size | sample | 1 to `server.batch_max` | log, rounded |
    | 3 to 2 + K | clock frequency of each device | Hz | `devices.freq_min_hz` to `devices.freq_max_hz` | log |
    | 3 + K to 2 + 2 K | transmit power of each device | W | `devices.power_min_w` to `devices.power_max_w` | log |
    | 3 + 2 K to 2 + 3 K | batch size of each device | sample | 1 to `devices.batch_max` | log, rounded |

    Before the switch only entries 0 to 2 matter, after it only those from 3 on.

    ## Observation Space

    `Box(0, 1, (5 + 3 K,), float32)`: what is known before a round, in units that the scenario fixes.

    | Index | Observes | Unit | At 0 | At 1 |
    |---|---|---|---|---|
    | 0 | stage | - | pre-training | fine-tuning |
    | 1 | rounds left | round | none | `budgets.max_rounds` |
    | 2 | time left | s | none | `budgets.delay_s` |
    | 3 | energy left | J | none | `budgets.energy_j` |
    | 4 | log Psi | - | the least it can become | the greatest it can become |
    | 5 to 4 + K | battery of each device | J | empty | `energy.battery_capacity_j` |
    | 5 + K to 4 + 2 K | log channel gain of each device | - | weakest mean less 40 dB | strongest plus 13 dB |
    | 5 + 2 K to 4 + 3 K | harvested power of each device | W | none | 2 `energy.harvest_mean_w` |

    With shadowing, the range of gains is wider by three standard deviations at both ends.

    ## Rewards

    log Psi before the round minus log Psi after it; 0 for a round that was not counted. The return of an episode is
    log Psi_0 - log Phi, with Psi_0 the bound before the first round and Phi the bound at the end, so the returns of two
    policies on one tape differ by the log ratio of their Phi. `learning.objective` says which bound it is.

    ## Starting State

    Pre-training, no round done, `energy.battery_initial_j` in each battery. `reset(seed=s)` starts on the tape
    `sample_tape(scenario, s)`; each reset without a seed goes on to the next, `sample_tape(scenario, s, episode)` with
    episode 1, 2, and so on. `reset(options={"tape": tape})` plays a tape of your own and leaves that sequence as it is.

    ## Episode End

    The episode terminates, and is never truncated, with the last round of the tape, or with a round that would pass the
    delay or the energy budget, or that a battery could never pay for. Such a round is not counted: it changes nothing.

    ## Info

    The same keys from `reset` and `step`, finite numbers only. What is marked * is about the last round: 0 after a
    reset, if the round was not counted, or in the other stage.

    | Key | Holds | Unit | Shape |
    |---|---|---|---|
    | `objective` | Psi; at the end, Phi | - | () |
    | `counted` | whether the last round was counted | bool | () |
    | `end_reason` | index into `dynamics.END_REASONS`; 0 while running | int | () |
    | `finetuning` | whether the switch has been made | bool | () |
    | `num_pretrain_rounds`, `num_finetune_rounds` | M and N so far | round | () |
    | `elapsed_s`, `spent_j` | time and energy used so far | s, J | () |
    | `battery_j` | charge of each device | J | (K,) |
    | `duration_s` * | duration | s | () |
    | `energy_j` * | energy of server, devices and downlink together | J | () |
    | `server_j` * | the server's part of it | J | () |
    | `wait_s`, `compute_s`, `upload_s` * | how long each device waited, computed, uploaded | s | (K,) |
    | `compute_j`, `upload_j` * | what each device spent on it | J | (K,) |
    | `server_freq_hz`, `server_batch` | the last action in physical units; 0 after a reset | Hz, sample | () |
    | `freq_hz`, `power_w`, `batch` | the same for each device | Hz, W, sample | (K,) |
    | `tape_seed`, `tape_episode` | arguments of `sample_tape`; -1 for a tape of your own | int | () |

    ## Arguments

    ```python
    gymnasium.make("EdgeLearn/TwoStage-v0", scenario="default", objective="two-stage", budgets={"delay_s": 100.0})
    ```

    * `scenario`: a preset's name, a path ending in `.toml`, a table of tables, or a `Scenario`.
    * `objective`: `"finetune"` or `"two-stage"`, in place of the scenario's `learning.objective`.
    * `render_mode`: `"human"` (a window), `"rgb_array"` or `"ansi"` (text).
    * `kernel`: what a round is computed by. `"compiled"` needs the extra `fast`, `"numpy"` nothing; `"auto"` (default)
      is the compiled one where it is installed. All numbers are the same to the last bit.
    * any part of the scenario, such as `budgets` or `energy`, with its changed fields.

    ## Version History

    * v0: initial release
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        scenario: arguments.ScenarioSource = "default",
        objective: str | None = None,
        render_mode: str | None = None,
        kernel: str = "auto",
        **changes: Any,
    ) -> None:
        self.render_mode = arguments.checked_render_mode(render_mode, self.metadata["render_modes"])
        loaded = arguments.configured_scenario(scenario, objective, changes)
        self._episodes = EpisodeBatch(loaded, 1, kernel=kernel, recording=render_mode is not None)
        self._window: Any = None
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.codec.action_size,), np.float32)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (self.codec.observation_size,), np.float32)

    @property
    def scenario(self) -> Scenario:
        """What is fixed in all episodes."""
        return self._episodes.scenario

    @property
    def codec(self) -> Codec:
        """Translates between actions and allocations, states and observations."""
        return self._episodes.codec

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode; see Starting State.

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
        return self._episodes.observation()[0], self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Do one learning round.

        Raises:
            InvalidInputError: an action of the wrong shape, or an entry that is not a finite number.
            ResetNeeded: there is no episode, or it has ended.
        """
        episodes = self._episodes
        episodes.require_started("step()")
        if episodes.state.ended[0]:
            reason = END_REASONS[episodes.outcome.end_reason[0]]
            raise ResetNeeded(f"the episode has ended ({reason}): call reset() before the next step()")
        episodes.play(arguments.checked_action(action, (self.codec.action_size,))[None])
        if self.render_mode == "human":
            self.render()
        reward, terminated = float(episodes.outcome.reward[0]), bool(episodes.state.ended[0])
        return episodes.observation()[0], reward, terminated, False, self._info()

    def render(self) -> np.ndarray | str | None:  # type: ignore[override]
        """The episode so far, in the form that `render_mode` names; a window shows it and returns nothing."""
        if self.render_mode is None:
            gymnasium.logger.warn('choose a render_mode to render: gymnasium.make(..., render_mode="rgb_array")')
            return None
        self._episodes.require_started("render()")
        frame = self._episodes.frame(0, as_text=self.render_mode == "ansi")
        if self.render_mode != "human":
            return frame
        if self._window is None:
            from edgelearn_env.two_stage.rendering import Window

            self._window = Window()
        self._window.show(frame)
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _info(self) -> dict[str, Any]:
        items = self._episodes.items().items()
        return {name: item[0].copy() if item.ndim > 1 else item.item() for name, item in items}
