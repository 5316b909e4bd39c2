"""The environment with coded rounds: of one episode at a time, and of many in lockstep."""

from typing import Any

from gymnasium.vector import AutoresetMode

from edgelearn_env.envs.arguments import ScenarioSource, configured_scenario
from edgelearn_env.envs.single import SingleEnv
from edgelearn_env.envs.vector import NativeVectorEnv
from edgelearn_env.gradient_coding.kernels import model_of
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario


class GradientCodingEnv(SingleEnv):
    """Two-stage edge learning with stragglers: choose in every round how many late nodes its code makes up for.

    ## Description

    A server pre-trains a model on general data; then, once and for all, training goes over to K wireless devices under
    n edge nodes, m = K / n each. One step is one learning round, and Psi is a bound on the squared gradient norm of the
    task loss, as in `TwoStageEnv`; so are server, batteries, channels and budgets. But devices are late: slowed for
    some rounds, stalled, or heard only at the second try, and what a round hides shows when it is over.

    The data are in K parts, one for each device, and copied beforehand so that a round may use a hierarchical gradient
    code for (s_e, s_w), up to what is stored: device j under edge node i then computes the parts of (s_e + 1)(s_w + 1)
    devices, those from its own on, and sends one combination of their gradients. The round is over when n - s_e edge
    nodes have the results of m - s_w devices each, which give the gradient of all data exactly. Whoever is late is
    cancelled, and has spent in proportion to the time. Codes buy time and certainty with computing. With (0, 0) there
    is no code: a round waits for everyone who takes part and counts their data only, as in `TwoStageEnv`.

    Tapes come from the seed alone, never from actions.

    ## Action Space

    `Box(-1, 1, (5 + 4 K,), float32)`. Entries beyond [-1, 1] count as the nearer end.

    | Index | Decides | Unit | Range, from -1 to 1 | Scale |
    |---|---|---|---|---|
    | 0 to 2 + 3 K | as in `TwoStageEnv`; the batch is that of the device's own part | | | |
    | 3 + 3 K | s_e, late edge nodes to make up for | 1 | 0 to `coding.stored_edge_stragglers` | rounded |
    | 4 + 3 K | s_w, late devices under each other one | 1 | 0 to `coding.stored_device_stragglers` | rounded |
    | 5 + 3 K to 4 + 4 K | whom to ask to work in a round with a code | - | yes above -1/2 | threshold |

    In a round with a code each part has at least one sample; without one a batch of 0 says that a device sits it out.

    ## Observation Space

    `Box(0, 1, (7 + 6 K,), float32)`: what is known before a round, in units that the scenario fixes.

    | Index | Observes | At 0 | At 1 |
    |---|---|---|---|
    | 0 to 4 + 3 K | as in `TwoStageEnv` | | |
    | 5 + 3 K | s_e of the last fine-tuning round | 0 | `coding.stored_edge_stragglers` |
    | 6 + 3 K | s_w of it | 0 | `coding.stored_device_stragglers` |
    | 7 + 3 K to 6 + 4 K | 1 - 1/x, x how many times as long each device computed | not slowed | - |
    | 7 + 4 K to 6 + 5 K | 1 - 1/N, N how often it had to send | once | - |
    | 7 + 5 K to 6 + 6 K | lateness: share of its work not done when the round ended | done | - |

    ## Rewards

    log Psi before the round minus log Psi after it, as in `TwoStageEnv`. A round whose code cannot be decoded, since
    too few devices work, waits for all who do and `radio.idle_s` more, costs what was spent, and gives nothing.

    ## Starting State

    As in `TwoStageEnv`, with no straggler seen. Gains and harvests of a seed are those of a two-stage scenario alike.

    ## Episode End

    As in `TwoStageEnv`: the last round of the tape, or a round that would pass a budget, which is not counted.

    ## Info

    That of `TwoStageEnv`, `participates` being who worked, and besides (*: of the last round, as there):

    | Key | Holds | Unit | Shape |
    |---|---|---|---|
    | `edge_stragglers`, `device_stragglers` | s_e, s_w of the last action | - | () |
    | `asked` | whom it asked | bool | (K,) |
    | `decoded` * | whether the round gave a gradient | bool | () |
    | `load_samples` * | samples that each device was to compute | sample | (K,) |
    | `lateness` * | share of its work not done when the round ended | - | (K,) |
    | `edge_s` * | when each edge node had sent its result; 0 if it was not waited for | s | (n,) |
    | `slowdown`, `tries` | x and N of the last fine-tuning round; 1 before one | - | (K,) |

    ## Arguments

    ```python
    gymnasium.make("edgelearn_env:EdgeLearn/GradientCoding-v0", coding={"stored_edge_stragglers": 1})
    ```

    As those of `TwoStageEnv`.

    ## Version History

    * v0: initial release
    """

    def __init__(
        self,
        scenario: ScenarioSource = "coded",
        objective: str | None = None,
        render_mode: str | None = None,
        kernel: str = "auto",
        **changes: Any,
    ) -> None:
        made = configured_scenario(GradientCodingScenario, scenario, objective, changes)
        super().__init__(model_of(made, kernel), render_mode)


class GradientCodingVectorEnv(NativeVectorEnv):
    """Many `GradientCodingEnv` at once; each plays, bit for bit, what a single one would. See `NativeVectorEnv`.

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
        scenario: ScenarioSource = "coded",
        objective: str | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        kernel: str = "auto",
        **changes: Any,
    ) -> None:
        made = configured_scenario(GradientCodingScenario, scenario, objective, changes)
        super().__init__(model_of(made, kernel), num_envs, max_episode_steps, render_mode, autoreset_mode)
