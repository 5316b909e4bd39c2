"""The selection rule: against trying everything, and on limits whose answer is known."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from random_scenarios import seeds

from edgelearn_env.baselines.layer_tuning.policies.selection_rule import StepLimits, most_blocks, selected
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.physics.transformer import layer_costs
from edgelearn_env.scenarios.scenario import Scenario

NETWORKS = Scenario.preset("layers").networks
SHALLOW = Scenario.preset("layers").replace(
    networks={
        "depths": [2, 4],
        "gap_factor": [1.0, 1.0],
        "distribution_factor": [1.0, 1.0],
        "floor": [0.0, 0.0],
        "share": [[0.7, 1.0], [0.5, 0.7, 0.9, 1.0]],
        "noise_factor": [[1.0, 1.0], [1.0, 1.0, 1.0, 1.0]],
    }
)


def everything_tried(batch, limits, num_devices):
    """The net, and the blocks of each device, with the largest mean over all choices that meet all limits; deepest."""
    best = None
    for depth in (2, 4, 6):
        able = []
        for device in range(num_devices):
            costs = [layer_costs(NETWORKS.size, depth, blocks, batch) for blocks in range(1, depth + 1)]
            meets = [
                cost.peak_bytes <= limits.memory_byte[device]
                and cost.upload_bytes <= limits.upload_byte[device]
                and cost.flops <= limits.flops[device]
                for cost in costs
            ]
            able.append([blocks for blocks, fits in enumerate(meets, start=1) if fits])
        for blocks in itertools.product(*able):
            if best is None or (np.sum(blocks), depth) >= (np.sum(best[1]), best[0]):
                best = (depth, np.array(blocks))
    return best


@given(seeds)
def test_the_rule_is_what_trying_everything_finds(seed):
    rng = np.random.default_rng(seed)
    batch, count = int(rng.integers(1, 33)), int(rng.integers(1, 4))
    most = layer_costs(NETWORKS.size, 6, 6, batch)
    limits = StepLimits(*(np.exp(rng.uniform(-1.8, 0.2, count)) * float(cost) for cost in reversed(most)))
    limits = limits._replace(upload_byte=np.exp(rng.uniform(-1.8, 0.2, count)) * most.upload_bytes)
    best = everything_tried(batch, limits, count)
    if best is None:
        with pytest.raises(InvalidInputError, match="limits must let every device train a block of some net"):
            selected(NETWORKS, batch, limits)
        return
    found = selected(NETWORKS, batch, limits)
    assert found.depth == best[0]
    np.testing.assert_array_equal(found.blocks, best[1])


@pytest.mark.parametrize(
    ("limits", "depth", "blocks"),
    [
        (StepLimits(memory_byte=26e6), 4, 2),
        # The rule's worse choice: of two nets that cost as much it takes the one of which it trains more blocks.
        (StepLimits(flops=1.5e9), 2, 2),
        (StepLimits(upload_byte=0.25e6), 4, 1),
        (StepLimits(), 4, 4),
    ],
)
def test_alike_devices_under_one_limit_train_what_is_known_of_a_step_of_32(limits, depth, blocks):
    found = selected(SHALLOW.networks, 32, StepLimits(*(np.full(3, limit) for limit in limits)))
    assert found.depth == depth
    np.testing.assert_array_equal(found.blocks, blocks)
    last, shallow = (layer_costs(NETWORKS.size, *level, 32).flops for level in ((4, 1), (2, 2)))
    assert last == shallow < 1.5e9


def test_unlike_devices_train_what_each_of_them_can():
    limits = StepLimits(memory_byte=np.array([64e6, 20e6, 8e6]))
    np.testing.assert_array_equal(most_blocks(NETWORKS, 16, limits), [[2, 2, 1], [4, 3, 1], [6, 3, 1]])
    np.testing.assert_array_equal(most_blocks(NETWORKS, 8, limits), [[2, 2, 2], [4, 4, 2], [6, 6, 2]])
    assert selected(NETWORKS, 8, limits).depth == 6
    with pytest.raises(InvalidInputError):
        selected(NETWORKS, 32, limits)
