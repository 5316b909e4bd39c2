"""Random small systems with codes, their allocations and hidden values: raw material of the property tests."""

import numpy as np
from random_scenarios import random_allocation, random_scenario

from edgelearn_env import Scenario
from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.tapes.tape import Tape, sample_tape

SHAPES = ((1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3))
SMALL_SHAPES = ((1, 2), (2, 1), (1, 3), (2, 2), (3, 1))


def random_coding(
    rng: np.random.Generator, *, shape: tuple[int, int] | None = None, **choices
) -> GradientCodingScenario:
    """A valid system of n edge nodes with m devices each, codes stored for some number of stragglers.

    Args:
        rng: decides everything that is not given.
        shape: (n, m).
        choices: those of `random_scenario`.
    """
    num_edges, per_edge = SHAPES[rng.integers(len(SHAPES))] if shape is None else shape
    table = random_scenario(rng, num_devices=num_edges * per_edge, **choices).to_dict()
    K = num_edges * per_edge
    table["system"] = "gradient-coding"
    table["coding"] = {
        "num_edges": num_edges,
        "stored_edge_stragglers": int(rng.integers(num_edges)),
        "stored_device_stragglers": int(rng.integers(per_edge)),
        "start_s": rng.choice([0.0, 0.02], K).tolist(),
        "edge_s": float(rng.choice([0.0, 0.05])),
    }
    table["stragglers"] = {
        "slow_factor": rng.choice([1.0, 1.5, 8.0], K).tolist(),
        "slow_begin": rng.choice([0.0, 0.2, 1.0], K).tolist(),
        "slow_end": rng.choice([0.0, 0.5, 1.0], K).tolist(),
        "stall_s": float(rng.choice([0.0, 0.01])),
        "erasure": rng.choice([0.0, 0.3], K).tolist(),
        "edge_erasure": float(rng.choice([0.0, 0.2])),
    }
    return GradientCodingScenario.from_dict(table)


def small_random_coding(rng: np.random.Generator, most_rounds: int = 8) -> GradientCodingScenario:
    """One whose optimum is soon proven: two to four devices, three rounds or more, devices that differ in little."""
    table = Scenario.load("coded-tiny").to_dict()
    edges, devices = SMALL_SHAPES[rng.integers(len(SMALL_SHAPES))]
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


def random_coded_tape(rng: np.random.Generator, scenario: GradientCodingScenario) -> Tape:
    """A tape of the scenario's own law, or one whose hidden part obeys none."""
    tape = sample_tape(scenario, int(rng.integers(2**31)))
    if rng.random() < 0.5:
        return tape
    rounds, (devices, edges) = len(tape.channel_gain), (scenario.num_devices, scenario.coding.num_edges)
    hidden = Hidden(
        slowdown=1.0 + rng.exponential(1.0, (rounds, devices)),
        stall_s=rng.exponential(0.02, (rounds, devices)),
        tries=rng.geometric(0.6, (rounds, devices)).astype(float),
        edge_tries=rng.geometric(0.6, (rounds, edges)).astype(float),
    )
    return tape._replace(hidden=hidden)


def random_coded_allocation(
    rng: np.random.Generator, scenario: GradientCodingScenario, batch_size: int, asked: float = 0.9, **choices
) -> Allocation:
    """Any allocation within the limits; `asked` is the chance of a device to be, `choices` as `random_allocation`'s."""
    staged, coding = random_allocation(rng, scenario, batch_size, **choices), scenario.coding
    return Allocation(
        **staged._asdict(),
        edge_stragglers=rng.integers(coding.stored_edge_stragglers + 1, size=batch_size),
        device_stragglers=rng.integers(coding.stored_device_stragglers + 1, size=batch_size),
        asked=rng.random((batch_size, scenario.num_devices)) < asked,
    )


def random_coded_policy(rng: np.random.Generator, scenario: GradientCodingScenario):
    """A policy that decides at random in every round; some never switch, some are thrifty, some ask few."""
    chance, ceiling = float(rng.choice([0.0, 0.4, 1.0, 1.0])), float(rng.choice([0.2, 0.5, 1.0]))
    asked, silent = float(rng.choice([0.0, 0.7, 0.95, 1.0])), float(rng.choice([0.0, 0.1, 0.5]))

    def decide(observed) -> Allocation:
        size = len(observed.state.ended)
        choices = {"switch": chance, "ceiling": ceiling, "silent": silent}
        return random_coded_allocation(rng, scenario, size, asked, **choices)

    return decide
