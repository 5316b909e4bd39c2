"""The two-stage environment: of one episode at a time, and of many in lockstep."""

from typing import Any

from gymnasium.vector import AutoresetMode

from edgelearn_env.envs.arguments import ScenarioSource, configured_scenario
from edgelearn_env.envs.single import SingleEnv
from edgelearn_env.envs.vector import NativeVectorEnv
from edgelearn_env.two_stage.kernels import model_of
from edgelearn_env.two_stage.scenario import TwoStageScenario


class TwoStageEnv(SingleEnv):
    """Share delay and energy between pre-training at a server and fine-tuning on wireless devices.

    ## Description

    A server pre-trains a model on general data; then, once and for all, training goes over to K wireless devices that
    fine-tune it together on task data. One step is one learning round. In each, clock frequencies, transmit powers and
    batch sizes decide who takes part, how long it takes, how much energy it costs, and how far it lowers Psi, a bound
    on the squared gradient norm of the task loss. Devices live on harvested energy: one whose battery does not cover
    its round is silent, as is one that is given no batch, and the server waits for all others. Delay and energy are
    limited, so the question is when to switch, what each round may cost, and who is worth waiting for.

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
    | 3 + 2 K to 2 + 3 K | batch size of each device | sample | 0 to `devices.batch_max` | log from 1/4, rounded |

    Before the switch only entries 0 to 2 matter, after it only those from 3 on. A device with batch 0 sits the round
    out. A round in which nobody takes part lasts `radio.idle_s`.

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
    delay or the energy budget. Such a round is not counted: it changes nothing.

    ## Info

    The same keys from `reset` and `step`, finite numbers only. What is marked * is about the last round: 0 after a
    reset, if the round was not counted, in the other stage, and of a device that was silent.

    | Key | Holds | Unit | Shape |
    |---|---|---|---|
    | `objective` | Psi; at the end, Phi | - | () |
    | `counted` | whether the last round was counted | bool | () |
    | `end_reason` | index into `edgelearn_env.END_REASONS`; 0 while running | int | () |
    | `finetuning` | whether the switch has been made | bool | () |
    | `num_pretrain_rounds`, `num_finetune_rounds` | M and N so far | round | () |
    | `participation` | P so far: the weights of those who took part, summed over the rounds | - | () |
    | `elapsed_s`, `spent_j` | time and energy used so far | s, J | () |
    | `battery_j` | charge of each device | J | (K,) |
    | `duration_s` * | duration | s | () |
    | `energy_j` * | energy of server, devices and downlink together | J | () |
    | `server_j` * | the server's part of it | J | () |
    | `participates` * | whether each device took part | bool | (K,) |
    | `compute_s`, `upload_s` * | how long each device computed, uploaded | s | (K,) |
    | `compute_j`, `upload_j` * | what each device spent on it | J | (K,) |
    | `server_freq_hz`, `server_batch` | the last action in physical units; 0 after a reset | Hz, sample | () |
    | `freq_hz`, `power_w`, `batch` | the same for each device | Hz, W, sample | (K,) |
    | `tape_seed`, `tape_episode` | arguments of `sample_tape`; -1 for a tape of your own | int | () |

    ## Arguments

    ```python
    gymnasium.make("edgelearn_env:EdgeLearn/TwoStage-v0", objective="two-stage", budgets={"delay_s": 100.0})
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

    def __init__(
        self,
        scenario: ScenarioSource = "default",
        objective: str | None = None,
        render_mode: str | None = None,
        kernel: str = "auto",
        **changes: Any,
    ) -> None:
        made = configured_scenario(TwoStageScenario, scenario, objective, changes)
        super().__init__(model_of(made, kernel), render_mode)


class TwoStageVectorEnv(NativeVectorEnv):
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
        kernel: "auto", "compiled" or "numpy", as for `TwoStageEnv`.
        **changes: scenario parts with their changed fields.
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenario: ScenarioSource = "default",
        objective: str | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        kernel: str = "auto",
        **changes: Any,
    ) -> None:
        made = configured_scenario(TwoStageScenario, scenario, objective, changes)
        super().__init__(model_of(made, kernel), num_envs, max_episode_steps, render_mode, autoreset_mode)
