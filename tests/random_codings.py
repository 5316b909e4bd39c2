"""Random small systems with codes, their allocations and hidden values: raw material of the property tests."""

import numpy as np
from random_scenarios import random_allocation, random_scenario

from edgelearn_env.gradient_coding.hidden import Hidden
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.tapes.tape import Tape, sample_tape

SHAPES = ((1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3))


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
