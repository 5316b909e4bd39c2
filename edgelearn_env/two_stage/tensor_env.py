"""Many two-stage episodes at once as torch tensors; gradients flow to what is decided."""

from typing import Any

from edgelearn_env.envs.arguments import ScenarioSource, configured_scenario
from edgelearn_env.envs.tensors import TensorEnv  # first of those that need the extra, since it says so
from edgelearn_env.two_stage.scenario import TwoStageScenario

import torch  # isort: skip


class TwoStageTorch(TensorEnv):
    """Many `TwoStageEnv` as float64 tensors on one device; each plays what a single one would, to rounding.

    Environment i of one reset with `seed=s` is a `TwoStageEnv` reset with `seed=s + i`. Where an episode ends, the next
    one begins in the same step, as in `TwoStageVectorEnv` with autoreset mode `SAME_STEP`. A step asks nothing of the
    device that the host would have to wait for: what differs between episodes is chosen element by element, and an
    action with an entry that is not a number is not refused but ends its episode.

    **Gradients** flow from everything that `step` and `play_round` return to the actions of this and of earlier rounds:

    * *Batch sizes* are rounded, but their derivatives are those of batches that are not: straight through. Below a
      whole sample there is no less of it, and the derivative is 0. `play_round` takes fractional batches as they are.
    * *Ends of an action*: beyond -1 and 1 the derivative is 0, at them it is the one from within.
    * *The switch, who takes part, and what ends an episode* (budgets, the last round) are steps, with derivative 0. So
      the gradient is that of an episode whose numbers of rounds and participants stay as they are: it says nothing of a
      round more that thriftier ones before it would leave room for, nor of a battery that would then have covered one.
      The bound itself then depends on the batch sizes alone; what frequencies and powers do shows in `state.elapsed_s`,
      `state.spent_j` and `state.battery_j`, to be priced.
    * *A round that is not counted*, and whatever lies before the beginning of an episode, has derivative 0.
    * *Where several devices finish last at once*, each has an equal share of the derivative of the duration.
    * *Infinities*, of a device without a channel, end with its silence; no gradient is infinite or not a number.

    As long as an action needs a gradient, each step is remembered for it: call `detach` to forget.

    On a GPU a step takes about as long for four thousand environments as for a hundred thousand: make many, and have it
    compiled, which makes it several times as fast.

    Args:
        num_envs: B.
        scenario: anything `Scenario.load` takes.
        objective: replaces `learning.objective`.
        device: where the tensors are; anything `torch.device` takes. It must know float64.
        autoreset: whether the next episode begins where one ends. If not, that one stays as it is, with reward 0.
        compiled: whether `torch.compile` fuses the operations of a step, when the first one is done: see `TensorEnv`.
        **changes: scenario parts with their changed fields.
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenario: ScenarioSource = "default",
        objective: str | None = None,
        *,
        device: torch.device | str = "cpu",
        autoreset: bool = True,
        compiled: bool = False,
        **changes: Any,
    ) -> None:
        made = configured_scenario(TwoStageScenario, scenario, objective, changes)
        super().__init__(num_envs, made, device=device, autoreset=autoreset, compiled=compiled)
