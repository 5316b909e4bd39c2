"""What agents decide at first of what a system adds to two stages: codes, or the net and its blocks."""

import functools
from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.layer_tuning.model.roomy_design import roomy_design
from edgelearn_env.baselines.layer_tuning.policies.selections import by_rule
from edgelearn_env.gradient_coding.encoding import Codec as CodedCodec
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.stages.encoding import whole_entry
from edgelearn_env.stages.scenario import StagedScenario

# For late edge nodes no code, but now and then it is tried; for late devices one that is now and then left out, since
# without any code a rare slow device takes much of the time; every device is asked.
_CODE, _ASKED = (-0.25, 0.5), 0.0


class FirstChoice(NamedTuple):
    """Entries of actions that come after those of all systems, and which static plan goes with them.

    Attributes:
        for_all: of entries for all devices, (A,).
        for_device: of entries for each device, (K, D).
        planned: the scenario whose static plan is played.
        copies: how many devices compute each sample of that plan.
        most_batch: samples that a device can compute at a time, (K,).
    """

    for_all: np.ndarray
    for_device: np.ndarray
    planned: StagedScenario
    copies: int
    most_batch: np.ndarray


@functools.singledispatch
def first_choice(scenario: StagedScenario) -> FirstChoice:
    """Of a scenario of two stages alone nothing is added."""
    none = np.zeros((scenario.num_devices, 0))
    return FirstChoice(none[0], none, scenario, 1, _most_batch(scenario))


@first_choice.register
def _(scenario: GradientCodingScenario) -> FirstChoice:
    codec = CodedCodec.of(scenario)
    action = np.zeros((1, codec.action_size), dtype=np.float32)
    action[:, codec.staged.action_size :][:, : len(_CODE)] = _CODE
    first = codec.decode(action)
    copies = int((first.edge_stragglers[0] + 1) * (first.device_stragglers[0] + 1))
    asked = np.full((scenario.num_devices, 1), _ASKED)
    return FirstChoice(np.array(_CODE), asked, scenario, copies, _most_batch(scenario))


@first_choice.register
def _(scenario: LayerTuningScenario) -> FirstChoice:
    """The selection rule's net and blocks; the plan is for as many blocks as half of those who train have."""
    networks, selection = scenario.networks, by_rule(scenario)
    depth, blocks = selection
    place = networks.place_of(depth)
    level, each = np.maximum(blocks - 1, 0), np.arange(scenario.num_devices)
    return FirstChoice(
        for_all=whole_entry(np.array([place]), networks.num_depths - 1),
        for_device=whole_entry(blocks[:, None], networks.most_blocks),
        planned=roomy_design(scenario, depth, selection.typical_blocks),
        copies=1,
        most_batch=scenario.levels.most_batch[place, level, each],
    )


def _most_batch(scenario: StagedScenario) -> np.ndarray:
    return np.broadcast_to(np.asarray(scenario.devices.batch_max, dtype=float), scenario.num_devices)
