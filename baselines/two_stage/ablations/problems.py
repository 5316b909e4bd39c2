"""Ablations: the joint design without one of its freedoms, as a problem that the same solvers can solve.

Each is the best plan under one restriction over everything that is left free, the numbers of rounds included. What it
is worse than the joint optimum is what the freedom is worth. No ablation is an online policy: on a tape all of them
know the future, as the clairvoyant does.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction, Stages
from edgelearn_env.two_stage.scenario import TwoStageScenario


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Restricted:
    """A problem with less freedom than a scenario leaves.

    Attributes:
        scenario: with that freedom taken away, so far as a scenario can say so.
        stages: which may be played.
        restriction: what plans must keep to besides.
        server_batch, batch: how many samples one sample of `scenario` stands for, a number and (K,).
    """

    scenario: TwoStageScenario
    stages: Stages = "both"
    restriction: Restriction = UNRESTRICTED
    server_batch: float = 1.0
    batch: np.ndarray | float = 1.0


class Ablation(NamedTuple):
    """A freedom taken away.

    Attributes:
        restricted: the problem that is left of a scenario, given where in its range each thing that it fixes is fixed:
            places from 0 (the lower end) to 1.
        num_places: how many such things there are.
    """

    restricted: Callable[..., Restricted]
    num_places: int = 0


def everyone_takes_part(scenario: TwoStageScenario) -> Restricted:
    """No device sits a fine-tuning round out."""
    return Restricted(scenario=scenario, restriction=Restriction(everyone=True))


def pretraining_only(scenario: TwoStageScenario) -> Restricted:
    """No fine-tuning."""
    return Restricted(scenario=scenario, stages="pretrain")


def finetuning_only(scenario: TwoStageScenario) -> Restricted:
    """No pre-training."""
    return Restricted(scenario=scenario, stages="finetune")


def separate_budgets(scenario: TwoStageScenario, place: float) -> Restricted:
    """Pre-training has one share of both budgets, 1/16 to 15/16, and fine-tuning the rest; neither lends to the other.

    With a share for each budget there would be nothing to see: the best ones are what the joint design's stages use.
    """
    return Restricted(scenario=scenario, restriction=Restriction(pretrain_share=(1 + 14 * place) / 16))


def fixed_frequency(scenario: TwoStageScenario, server_place: float, place: float) -> Restricted:
    """The server's clock at one place of its range in every round, and all devices' at one of theirs."""
    server_hz = float(_between(scenario.server.freq_min_hz, scenario.server.freq_max_hz, server_place))
    devices_hz = _between(scenario.devices.freq_min_hz, scenario.devices.freq_max_hz, place)
    fixed = scenario.replace(
        server={"freq_min_hz": server_hz, "freq_max_hz": server_hz},
        devices={"freq_min_hz": devices_hz, "freq_max_hz": devices_hz},
    )
    return Restricted(scenario=fixed)


def fixed_power(scenario: TwoStageScenario, place: float) -> Restricted:
    """All transmit powers at one place of the ranges that actions have, in every round."""
    power_w = _between(scenario.devices.power_min_w, scenario.devices.power_max_w, place)
    return Restricted(scenario=scenario, restriction=Restriction(power_w=power_w))


def fixed_batch(scenario: TwoStageScenario, server_place: float, place: float) -> Restricted:
    """The server's batch at one place of its range in every round, and all devices' at one of theirs; whole numbers.

    A batch of b is one sample of a system with b times the work a sample and a b-th of its gradient variance.
    """
    server, devices, learning = scenario.server, scenario.devices, scenario.learning
    server_batch = float(np.round(_between(1.0, server.batch_max, server_place)))
    batch = np.round(_between(1.0, devices.batch_max, place))
    fixed = scenario.replace(
        server={"flops_per_cycle": server.flops_per_cycle / server_batch, "batch_max": 1},
        devices={"flops_per_cycle": devices.flops_per_cycle / batch, "batch_max": 1},
        learning={
            "server_gradient_variance": learning.server_gradient_variance / server_batch,
            "device_gradient_variance": learning.device_gradient_variance / batch,
        },
    )
    return Restricted(scenario=fixed, server_batch=server_batch, batch=batch)


def _between(low: np.ndarray | float, high: np.ndarray | float, place: float) -> np.ndarray:
    """`low` at place 0, `high` at place 1, geometric between."""
    low, high = np.asarray(low), np.asarray(high)
    return np.asarray(np.clip(low ** (1 - place) * high**place, low, high))


ABLATIONS: Mapping[str, Ablation] = {
    "everyone takes part": Ablation(everyone_takes_part),
    "pre-training only": Ablation(pretraining_only),
    "fine-tuning only": Ablation(finetuning_only),
    "separate budgets": Ablation(separate_budgets, 1),
    "fixed batch": Ablation(fixed_batch, 2),
    "fixed frequency": Ablation(fixed_frequency, 2),
    "fixed power": Ablation(fixed_power, 1),
}
