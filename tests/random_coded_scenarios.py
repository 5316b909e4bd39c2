"""Small random scenarios with codes: every kind of straggler, tight budgets, both objectives."""

import numpy as np

from edgelearn_env import Scenario
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario

SHAPES = ((1, 2), (2, 1), (1, 3), (2, 2), (3, 1))


def random_coded_scenario(rng: np.random.Generator, most_rounds: int = 8) -> GradientCodingScenario:
    """Two to four devices, three rounds or more."""
    table = Scenario.load("coded-tiny").to_dict()
    edges, devices = SHAPES[rng.integers(len(SHAPES))]
    count, rounds = edges * devices, int(rng.integers(3, most_rounds + 1))
    each = {"freq_max_hz": rng.uniform(5e8, 1.3e9, count).tolist(), "distance_m": rng.uniform(60, 200, count).tolist()}
    fixed = {"flops_per_cycle": 4.0, "freq_min_hz": 1e8, "capacitance_j_s2": 1e-27, "power_min_w": 1e-4}
    table["devices"] = {
        **fixed,
        **each,
        "num_devices": count,
        "power_max_w": 0.2,
        "batch_max": int(rng.integers(2, 128)),
    }
    table["radio"]["bandwidth_hz"] = 1e6
    table["energy"] = {
        "battery_initial_j": float(rng.uniform(0.05, 1.0)),
        "battery_capacity_j": float(rng.uniform(1.0, 2.0)),
        "harvest_mean_w": 0.01,
        "harvest_flip_probability": 0.1,
    }
    table["learning"] |= {
        "objective": str(rng.choice(["finetune", "two-stage"])),
        "device_weight": (np.ones(count) / count).tolist(),
        "device_gradient_variance": 50.0,
        "dissimilarity": float(rng.choice([0.0, 5.0, 50.0])),
    }
    table["budgets"] = {
        "delay_s": float(rng.uniform(0.4, 1.5) * rounds),
        "energy_j": float(rng.uniform(0.1, 0.4) * rounds),
        "max_rounds": rounds,
    }
    table["coding"] = {
        "num_edges": edges,
        "stored_edge_stragglers": int(rng.integers(edges)),
        "stored_device_stragglers": int(rng.integers(devices)),
        "start_s": 0.02,
        "edge_s": 0.02,
    }
    table["stragglers"] = {
        "slow_factor": float(rng.choice([1.0, 4.0, 20.0])),
        "slow_begin": 0.25,
        "slow_end": 0.5,
        "stall_s": 0.002,
        "erasure": 0.2,
        "edge_erasure": 0.1,
    }
    return GradientCodingScenario.load(table)
