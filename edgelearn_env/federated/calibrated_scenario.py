"""Scenarios with measured learning constants: hardware of presets, budgets in proportion."""

import math
from collections.abc import Sequence
from typing import Any

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.calibration import Calibration
from edgelearn_env.federated.layer_constants import DepthConstants
from edgelearn_env.federated.networks import Net
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.physics.transformer import BYTES, layer_costs
from edgelearn_env.two_stage.scenario import TwoStageScenario

# Of the preset's time and energy for a FLOP.
_SHARE = 0.25


def calibrated_scenario(calibration: Calibration, net: Net, name: str, num_devices: int) -> TwoStageScenario:
    """The system in which this net is trained.

    Both step sizes are 1 / L. Time, energy and batteries of the default preset are changed with the FLOPs of a sample,
    and made smaller once more, so that an episode is trained for real within a minute.

    Args:
        calibration: what was measured.
        net: that is trained.
        name: of the scenario.
        num_devices: K; the default preset has ten.

    Raises:
        InvalidInputError: another number of devices than the preset has.
    """
    preset = TwoStageScenario.preset("default")
    if num_devices != preset.num_devices:
        raise InvalidInputError(f"num_devices must be {preset.num_devices}, as the preset has, got {num_devices}")
    costs = layer_costs(net.size, net.depth, net.depth, 1)
    upload_bit = 8.0 * (costs.upload_bytes + BYTES * net.size.embedding_weights)
    factor = _SHARE * float(costs.flops / preset.learning.flops_per_sample)
    budgets, energy = preset.budgets, preset.energy
    return preset.replace(
        name=name,
        budgets={
            "delay_s": _rounded(budgets.delay_s * factor),
            "energy_j": _rounded(budgets.energy_j * factor),
            "max_rounds": budgets.max_rounds // 3,
        },
        energy={
            "battery_initial_j": energy.battery_initial_j * factor,
            "battery_capacity_j": energy.battery_capacity_j * factor,
        },
        learning={
            **_learning(calibration),
            "flops_per_sample": float(costs.flops),
            "upload_bit": upload_bit,
            "initial_gap": calibration.initial_gap,
            "distribution_gap": calibration.mean("distribution_gap"),
            "device_gradient_variance": calibration.mean("device_variance"),
        },
    )


def calibrated_layers(
    calibration: Calibration, depths: Sequence[DepthConstants], net: Net, name: str
) -> LayerTuningScenario:
    """The system in which one of these nets is fine-tuned in part, with the devices of the preset `layers`.

    Smoothness, mu and the server's noise are those of the path that was measured; all else is each net's own.

    Args:
        calibration: of the deepest net, or of one like it.
        depths: what was measured of each net, from the shallowest on.
        net: shape of the nets but for their depth.
        name: of the scenario.
    """
    deepest, size = depths[-1], net.size
    costs = layer_costs(size, deepest.depth, deepest.depth, 1)
    return LayerTuningScenario.preset("layers").replace(
        name=name,
        networks={
            "width": size.width,
            "heads": size.heads,
            "tokens": size.tokens,
            "outputs": size.outputs,
            "embedding_weights": size.embedding_weights,
            "predicts_every_token": size.predicts_every_token,
            "depths": [each.depth for each in depths],
            "gap_factor": [each.gap / deepest.gap for each in depths],
            "distribution_factor": [each.distribution_gap / deepest.distribution_gap for each in depths],
            "floor": [each.floor for each in depths],
            "share": [list(each.shares[1:]) for each in depths],
            "noise_factor": [[v / deepest.variances[-1] for v in each.variances[1:]] for each in depths],
        },
        learning={
            **_learning(calibration),
            "flops_per_sample": float(costs.flops),
            "upload_bit": 8.0 * float(costs.upload_bytes),
            "initial_gap": deepest.gap,
            "distribution_gap": deepest.distribution_gap,
            "device_gradient_variance": deepest.variances[-1],
        },
    )


def _learning(calibration: Calibration) -> dict[str, Any]:
    """What a path says of any net like its own; both step sizes are 1 / L."""
    step_size = _rounded_down(1 / calibration.smoothness)
    return {
        "smoothness": calibration.smoothness,
        "pl_constant": min(calibration.pl_constant, calibration.smoothness),
        "dissimilarity": calibration.mean("dissimilarity"),
        "server_step_size": step_size,
        "device_step_size": step_size,
        "server_gradient_variance": calibration.mean("server_variance"),
    }


def _rounded(value: float) -> float:
    """In three digits."""
    return float(f"{value:.3g}")


def _rounded_down(value: float) -> float:
    """In three digits, and never above."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.floor(value / unit) * unit:.3g}")
