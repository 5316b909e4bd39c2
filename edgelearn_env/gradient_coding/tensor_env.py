"""Many episodes with coded rounds at once as torch tensors; gradients flow to what is decided."""

from typing import Any

from edgelearn_env.envs.arguments import ScenarioSource, configured_scenario
from edgelearn_env.envs.tensors import TensorEnv  # first of those that need the extra, since it says so
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario

import torch  # isort: skip


class GradientCodingTorch(TensorEnv):
    """Many `GradientCodingEnv` as float64 tensors on one device; each plays what a single one would, to rounding.

    See `TensorEnv`. Gradients are those of `TwoStageTorch`: the code, who is asked, and who was late are steps, with
    derivative 0; within a round the time of the device that it last waited for has a derivative, and so has the energy
    of whoever is cancelled then.

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
        scenario: ScenarioSource = "coded",
        objective: str | None = None,
        *,
        device: torch.device | str = "cpu",
        autoreset: bool = True,
        compiled: bool = False,
        **changes: Any,
    ) -> None:
        made = configured_scenario(GradientCodingScenario, scenario, objective, changes)
        super().__init__(num_envs, made, device=device, autoreset=autoreset, compiled=compiled)
