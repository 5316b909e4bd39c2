"""Low-rank adapters on the devices of a scenario of layer tuning: the two-stage system in which they are trained."""

from typing import Any, NamedTuple

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning.one_level import as_two_stage
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.physics.transformer import adapter_costs, layer_costs
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape


class AdapterSystem(NamedTuple):
    """Where adapters are trained.

    Attributes:
        scenario: two-stage, of the devices that have the memory for one sample.
        devices: which those are, k in the scenario of layer tuning.
    """

    scenario: Scenario
    devices: np.ndarray

    def tape(self, tape: Tape) -> Tape:
        """What a tape of the scenario of layer tuning brings these devices."""
        return mapped(lambda array: array[..., self.devices], tape)


def adapter_system(scenario: LayerTuningScenario, depth: int, rank: int) -> AdapterSystem:
    """The system in which devices train pairs of that rank beside all matrices of the net of l blocks, and its head.

    Clocks, radio, batteries, budgets and memory limits are those of the scenario; a step's FLOPs, memory and upload are
    `adapter_costs`. The learning bound is that of the whole net, which knows nothing of ranks: it serves to plan.

    Args:
        scenario: of layer tuning.
        depth: l.
        rank: r.

    Raises:
        InvalidInputError: there is no such net, or no device has the memory.
    """
    networks, memory = scenario.networks, scenario.memory
    batch = np.arange(1, int(np.max(scenario.devices.batch_max)) + 1)
    costs = adapter_costs(networks.size, depth, rank, batch, memory.optimizer_words)
    limit_byte = np.broadcast_to(np.asarray(memory.limit_byte, dtype=float), scenario.num_devices)
    most = np.sum(np.asarray(costs.peak_bytes)[:, None] <= limit_byte, axis=0)
    devices = np.flatnonzero(most >= 1)
    if not devices.size:
        sentence = f"leaves no device the memory to train pairs of rank {rank} of {depth} blocks with one sample"
        raise InvalidInputError(f"memory.limit_byte {sentence}, got {np.max(limit_byte):g}")
    deepest = max(networks.depths)
    whole, one = layer_costs(networks.size, deepest, deepest, 1), adapter_costs(networks.size, depth, rank, 1)
    roomy = scenario.replace(memory={"limit_byte": _NO_LIMIT_BYTE})
    tables = as_two_stage(roomy, depth, depth).to_dict()
    kept = {
        name: {field: _at(value, devices, scenario.num_devices) for field, value in part.items()}
        for name, part in tables.items()
        if isinstance(part, dict)
    }
    weight = np.asarray(kept["learning"]["device_weight"])
    kept["devices"] |= {
        "num_devices": len(devices),
        "batch_max": most[devices],
        "flops_per_cycle": np.asarray(scenario.devices.flops_per_cycle)[devices] * float(whole.flops / one.flops),
    }
    kept["learning"] |= {"device_weight": weight / weight.sum(), "upload_bit": 8.0 * float(one.upload_bytes)}
    name = f"{scenario.name}, pairs of rank {rank} of {depth} blocks"
    return AdapterSystem(Scenario.from_dict({**kept, "name": name, "system": "two-stage"}), devices)


def _at(value: Any, devices: np.ndarray, num_devices: int) -> Any:
    """Of what each device has, what these have."""
    return np.asarray(value)[devices] if np.shape(value) == (num_devices,) else value


_NO_LIMIT_BYTE = 1e18
