"""Small random systems, their episodes as data, and many random ways of playing them: what the solver is judged by."""

import numpy as np
from random_scenarios import random_allocation, random_scenario, random_tape

from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import Tape


def random_system(seed: int, *, shortest: int = 3, longest: int = 8, **choices) -> tuple[Scenario, Tape]:
    """A system with a tape of `shortest` to `longest` rounds; `choices` are those of `random_scenario`."""
    rng = np.random.default_rng(seed)
    rounds = int(rng.integers(shortest, longest + 1))
    scenario = random_scenario(rng, **{"max_rounds": rounds} | choices)
    return scenario, random_tape(rng, scenario)


def planned(
    scenario: Scenario, tape: Tape, num_pretrain: int, num_finetune: int, participates: np.ndarray | None = None
) -> PlannedEpisode:
    """M pre-training and N fine-tuning rounds on a tape, in which all devices take part or those of (N, K) do."""
    return PlannedEpisode(
        scenario=scenario,
        tape=tape,
        num_pretrain_rounds=num_pretrain,
        num_finetune_rounds=num_finetune,
        given_participates=participates,
    )


def random_participants(rng: np.random.Generator, shape: tuple[int, int], silent: float) -> np.ndarray:
    """Who takes part in each of N fine-tuning rounds, (N, K); somebody does in the last one, maybe nobody in others."""
    participates = rng.random(shape) >= silent
    participates[-1:, int(rng.integers(shape[1]))] = True
    return participates


def pairs_of(num_rounds: int) -> list[tuple[int, int]]:
    """All (M, N) but (0, 0) with M + N rounds on a tape of that length."""
    return [(m, n) for m in range(num_rounds + 1) for n in range(num_rounds + 1 - m) if m + n]


def copies(tape: Tape, count: int) -> Tape:
    """The same tape for every episode of a batch."""
    return Tape.stack([tape] * count)


def many_ways(rng: np.random.Generator, scenario: Scenario, batch_size: int, *, whole: bool = True):
    """A policy that plays every episode of a batch at random: some switch at once or never, some are thrifty.

    Args:
        rng: decides; the policy keeps drawing from it.
        scenario: gives the limits.
        batch_size: B.
        whole: whether batch sizes are whole numbers.
    """
    chance = rng.choice([0.0, 0.15, 0.4, 1.0], batch_size)
    ceiling = float(rng.choice([0.2, 0.5, 1.0]))

    def decide(observed) -> Allocation:
        allocation = random_allocation(rng, scenario, batch_size, chance, ceiling)
        return allocation if whole else _fractional(rng, scenario, allocation)

    return decide


def _fractional(rng, scenario, allocation):
    server, devices = allocation.server_batch, allocation.batch
    server = server * np.exp(rng.uniform(-0.5, 0.5, server.shape))
    devices = devices * np.exp(rng.uniform(-0.5, 0.5, devices.shape))
    return allocation._replace(
        server_batch=np.clip(server, 1, scenario.server.batch_max),
        batch=np.where(devices > 0, np.clip(devices, 1, scenario.devices.batch_max), 0.0),
    )
