"""A two-stage scenario with measured learning constants: hardware of the default preset, budgets in proportion."""

import math

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.calibration import Calibration
from edgelearn_env.federated.networks import Net
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
    step_size = _rounded_down(1 / calibration.smoothness)
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
            "flops_per_sample": float(costs.flops),
            "upload_bit": upload_bit,
            "initial_gap": calibration.initial_gap,
            "smoothness": calibration.smoothness,
            "pl_constant": min(calibration.pl_constant, calibration.smoothness),
            "distribution_gap": calibration.mean("distribution_gap"),
            "dissimilarity": calibration.mean("dissimilarity"),
            "server_step_size": step_size,
            "device_step_size": step_size,
            "server_gradient_variance": calibration.mean("server_variance"),
            "device_gradient_variance": calibration.mean("device_variance"),
        },
    )


def _rounded(value: float) -> float:
    """In three digits."""
    return float(f"{value:.3g}")


def _rounded_down(value: float) -> float:
    """In three digits, and never above."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.floor(value / unit) * unit:.3g}")
