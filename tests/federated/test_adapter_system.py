"""LoRA on the devices of layer tuning: who has the memory, what a step takes, and what it is planned by."""

import numpy as np
import pytest

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.adapter_system import adapter_system
from edgelearn_env.physics.transformer import adapter_costs
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import sample_tape

LAYERS = Scenario.preset("layers")
DEPTH, RANK = 2, 8


def test_devices_take_part_with_as_many_samples_as_their_memory_holds():
    scenario, devices = adapter_system(LAYERS, DEPTH, RANK)
    limits = np.asarray(LAYERS.memory.limit_byte)

    def needed(batch: float) -> float:
        return adapter_costs(LAYERS.networks.size, DEPTH, RANK, int(batch)).peak_bytes

    assert devices.tolist() == [k for k in range(9) if needed(1) <= limits[k]]
    assert len(devices) == scenario.num_devices
    for most, limit in zip(scenario.devices.batch_max, limits[devices], strict=True):
        assert needed(most) <= limit
        assert most == 64 or needed(most + 1) > limit
    assert len(set(np.asarray(scenario.devices.batch_max).tolist())) > 1


def test_devices_without_memory_for_a_sample_are_left_out():
    limits = np.array([64e6] * 4 + [1e6] * 5)
    scenario, devices = adapter_system(LAYERS.replace(memory={"limit_byte": limits}), DEPTH, RANK)
    assert devices.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(scenario.learning.device_weight, 0.25)
    tape = sample_tape(LAYERS, 3)
    system = adapter_system(LAYERS.replace(memory={"limit_byte": limits}), DEPTH, RANK)
    np.testing.assert_array_equal(system.tape(tape).channel_gain, tape.channel_gain[:, :4])
    with pytest.raises(InvalidInputError, match=r"memory\.limit_byte leaves no device the memory"):
        adapter_system(LAYERS.replace(memory={"limit_byte": 1.5e6}), 6, RANK)


def test_a_sample_takes_the_cycles_and_an_upload_the_bits_of_pairs():
    scenario, devices = adapter_system(LAYERS, DEPTH, RANK)
    costs = adapter_costs(LAYERS.networks.size, DEPTH, RANK, 1)
    flops = np.asarray(LAYERS.devices.flops_per_cycle)[devices]
    np.testing.assert_allclose(scenario.device_cycles_per_sample, costs.flops / flops)
    assert scenario.learning.upload_bit == 8 * costs.upload_bytes
