"""All ways to wait for just enough devices: for each code, sets of n - s_e edge nodes with m - s_w devices each."""

import itertools
import math
from typing import NamedTuple

import numpy as np

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario

# Choices that are told apart in each round; their number grows exponentially with the devices.
MOST_CHOICES = 2000


class Choices(NamedTuple):
    """Rounds with a code in which just as many devices work as decoding takes; C of them.

    Attributes:
        role: of those who work, 1 + the code's place among `scenario.codes`, (C,).
        participates: who works, (C, K).
        holders: which parts each of these computes, (C, K, K), parts last; none of the others.
    """

    role: np.ndarray
    participates: np.ndarray
    holders: np.ndarray


def holders_of(scenario: GradientCodingScenario, code: tuple[int, int]) -> np.ndarray:
    """Which parts each device computes with a code, (K, K) booleans, parts last."""
    edges, devices = scenario.coding.num_edges, scenario.devices_per_edge
    after_edge = (np.arange(edges)[None, :] - np.arange(edges)[:, None]) % edges
    after_device = (np.arange(devices)[None, :] - np.arange(devices)[:, None]) % devices
    held = (after_edge <= code[0])[:, None, :, None] & (after_device <= code[1])[None, :, None, :]
    return held.reshape(scenario.num_devices, scenario.num_devices)


def choices_of(scenario: GradientCodingScenario) -> Choices:
    """All of a scenario's choices.

    Raises:
        InvalidInputError: there are too many to be told apart one by one.
    """
    edges, devices = scenario.coding.num_edges, scenario.devices_per_edge
    codes = scenario.codes[1:]
    count = sum(math.comb(edges, s_e) * math.comb(devices, s_w) ** (edges - s_e) for s_e, s_w in codes)
    if count > MOST_CHOICES:
        sentence = f"coding stores codes with {count} ways to wait for enough devices"
        raise InvalidInputError(f"{sentence}: an optimum is only proven for {MOST_CHOICES} at most")
    roles, sets, holders = [], [], []
    for place, (s_e, s_w) in enumerate(codes, start=1):
        held = holders_of(scenario, (s_e, s_w))
        for participates in _sets(edges, devices, edges - s_e, devices - s_w):
            roles.append(1 + place)
            sets.append(participates)
            holders.append(held & participates[:, None])
    num_devices = scenario.num_devices
    return Choices(
        np.array(roles, dtype=int),
        np.array(sets, dtype=bool).reshape(-1, num_devices),
        np.array(holders, dtype=bool).reshape(-1, num_devices, num_devices),
    )


def _sets(edges: int, devices: int, num_edges: int, num_devices: int) -> list[np.ndarray]:
    """All sets of so many devices under each of so many edge nodes, (K,) booleans."""
    found = []
    each = [np.isin(np.arange(devices), some) for some in itertools.combinations(range(devices), num_devices)]
    for chosen in itertools.combinations(range(edges), num_edges):
        for groups in itertools.product(each, repeat=num_edges):
            grid = np.zeros((edges, devices), dtype=bool)
            grid[list(chosen)] = groups
            found.append(grid.ravel())
    return found
