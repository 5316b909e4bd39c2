"""The environment of layer tuning: of one episode at a time, and of many in lockstep."""

from typing import Any

from gymnasium.vector import AutoresetMode

from edgelearn_env.envs.arguments import ScenarioSource, configured_scenario
from edgelearn_env.envs.single import SingleEnv
from edgelearn_env.envs.vector import NativeVectorEnv
from edgelearn_env.layer_tuning.kernels import model_of
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario


class LayerTuningEnv(SingleEnv):
    """Two-stage edge learning with unlike devices: choose a net once, and in every round how much of it each trains.

    ## Description

    A server pre-trains transformers of several depths on general data; then, once and for all, training goes over to K
    wireless devices, with one of these nets. One step is one learning round; server, batteries, channels and budgets
    are those of `TwoStageEnv`. In a fine-tuning round each device trains the last t of the net's l blocks and its head,
    t from 0 (silent) to l: fewer blocks take less computing, less to upload and less memory, and count for less.

    Psi bounds the squared gradient norm of the task loss as in `TwoStageEnv`, with rho_l(t) omega_k for omega_k: the
    last t blocks have at least the share rho_l(t) of the squared gradient norm. J = floor_l + Psi / (2 mu) bounds the
    task loss above the least that any of the nets can reach; a shallower net loses floor_l for good.

    A device's memory is a hard limit. What training takes grows with its blocks and its batch; if too much is decided,
    it trains as many blocks as fit with that batch, which may be none.

    Tapes come from the seed alone, never from actions.

    ## Action Space

    `Box(-1, 1, (4 + 4 K,), float32)`. Entries beyond [-1, 1] count as the nearer end.

    | Index | Decides | Unit | Range, from -1 to 1 | Scale |
    |---|---|---|---|---|
    | 0 to 2 + 3 K | as in `TwoStageEnv` | | | |
    | 3 + 3 K | net to go on with | - | `networks.depths` from the first to the last | rounded |
    | 4 + 3 K to 3 + 4 K | t, blocks that each device trains | block | 0 to those of the deepest net | rounded |

    The net counts in the round of the switch alone. More blocks than it has are all that it has.

    ## Observation Space

    `Box(0, 1, (6 + 3 K,), float32)`: what is known before a round, in units that the scenario fixes.

    | Index | Observes | At 0 | At 1 |
    |---|---|---|---|
    | 0 to 4 + 3 K | as in `TwoStageEnv`; before the switch log Psi is that of the net with the least J | | |
    | 5 + 3 K | l, blocks of the chosen net | not chosen | the deepest net |

    ## Rewards

    log J before the round minus log J after it; 0 for a round that was not counted. Before the switch J is the least of
    all nets, so a switch to another one costs what it is worse.

    ## Starting State

    As in `TwoStageEnv`, with all nets as they are before pre-training. Gains and harvests of a seed are those of a
    two-stage scenario alike.

    ## Episode End

    As in `TwoStageEnv`: the last round of the tape, or a round that would pass a budget, which is not counted.

    ## Info

    That of `TwoStageEnv`, `objective` being J, and besides (*: of the last round, as there):

    | Key | Holds | Unit | Shape |
    |---|---|---|---|
    | `net_depth` | l of the chosen net; 0 before the switch | block | () |
    | `asked_blocks` | t of the last action for each device | block | (K,) |
    | `blocks` * | how many last blocks each device trained | block | (K,) |
    | `memory_byte` * | the most memory that it took | byte | (K,) |
    | `lowered` * | whether it was to train more blocks than fit into its memory | bool | (K,) |

    ## Arguments

    ```python
    gymnasium.make("edgelearn_env:EdgeLearn/LayerTuning-v0", scenario="layers", memory={"limit_byte": 20e6})
    ```

    As those of `TwoStageEnv`.

    ## Version History

    * v0: initial release
    """

    def __init__(
        self,
        scenario: ScenarioSource = "layers",
        objective: str | None = None,
        render_mode: str | None = None,
        kernel: str = "auto",
        **changes: Any,
    ) -> None:
        made = configured_scenario(LayerTuningScenario, scenario, objective, changes)
        super().__init__(model_of(made, kernel), render_mode)


class LayerTuningVectorEnv(NativeVectorEnv):
    """Many `LayerTuningEnv` at once; each plays, bit for bit, what a single one would. See `NativeVectorEnv`.

    Args:
        num_envs: B.
        scenario: anything `Scenario.load` takes.
        objective: replaces `learning.objective`.
        max_episode_steps: only None, since episodes end by themselves.
        render_mode: "rgb_array" or "ansi"; `render` returns a frame for each environment.
        autoreset_mode: an `AutoresetMode`, or its value as text.
        kernel: "auto", "compiled" or "numpy", as for `TwoStageEnv`.
        **changes: scenario parts with their changed fields.
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenario: ScenarioSource = "layers",
        objective: str | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        kernel: str = "auto",
        **changes: Any,
    ) -> None:
        made = configured_scenario(LayerTuningScenario, scenario, objective, changes)
        super().__init__(model_of(made, kernel), num_envs, max_episode_steps, render_mode, autoreset_mode)
