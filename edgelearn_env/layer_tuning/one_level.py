"""Layer tuning in which everyone trains the same blocks of the same net is two-stage edge learning."""

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.scenarios.scenario import Scenario, checked_scenario


def as_two_stage(scenario: LayerTuningScenario, depth: int, blocks: int) -> Scenario:
    """The two-stage scenario that is played if all who take part train the last t blocks of the net of l.

    To count rho of every gradient is to take a step of rho eta with gradients of the noise sigma^2 / rho^2, so both
    learning bounds are the same to rounding (where rho is a power of 2, to the last bit), and all else is to the last
    bit. The objective is Phi, not J = floor_l + Phi / (2 mu), and before anybody has taken part Phi counts the least
    weight of a device, not that of a single block.

    Args:
        scenario: of layer tuning.
        depth: l.
        blocks: t.

    Raises:
        InvalidInputError: the scenario is of another system, there is no such level, or not every device has the memory
            for one sample.
    """
    checked_scenario(scenario, LayerTuningScenario)
    place = scenario.networks.place_of(depth)
    if not 1 <= blocks <= depth:
        raise InvalidInputError(f"blocks must lie between 1 and the net's depth {depth}, got {blocks}")
    levels, at = scenario.levels, (place, blocks - 1)
    without = np.flatnonzero(levels.most_batch[at] < 1)
    if without.size:
        sentence = f"device {without[0]} has no memory to train {blocks} of {depth} blocks with one sample"
        limit = np.asarray(scenario.memory.limit_byte)[without[0]]
        raise InvalidInputError(f"memory.limit_byte: {sentence}, got {limit:g}")
    share, learning = float(levels.share[at]), scenario.learning
    changed = scenario.replace(
        name=f"{scenario.name}, {blocks} of {depth} blocks",
        server={"flops_per_cycle": scenario.server_flops_per_cycle},
        devices={"flops_per_cycle": levels.flops_per_cycle[at], "batch_max": levels.most_batch[at]},
        learning={
            "initial_gap": scenario.initial_gap_of(place),
            "distribution_gap": scenario.distribution_gap_of(place),
            "upload_bit": float(levels.upload_bit[at]),
            "device_step_size": learning.device_step_size * share,
            "device_gradient_variance": levels.gradient_variance[at] / share**2,
        },
    )
    parts = {name: part for name, part in changed.to_dict().items() if name not in ("networks", "memory")}
    return Scenario.from_dict({**parts, "system": "two-stage"})
