"""Playing whole episodes outside of any environment: scenario + tape + policy -> trajectory."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgelearn_env.dynamics import Allocation, Outcome, State, System, initial_state, step, system_of
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.quantities import shown
from edgelearn_env.scenario import Scenario
from edgelearn_env.tape import Conditions, Tape


class Observed(NamedTuple):
    """What an online policy knows before a round: the state and this round's conditions, never the future."""

    state: State
    conditions: Conditions


Policy = Callable[[Observed], Allocation]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """Episodes as they were played; every array has the leading axes (B, T) with T the longest episode's rounds.

    Attributes:
        scenario: the system that was played.
        observed: state and conditions before each round.
        allocations: what was decided.
        outcomes: what each round did; a round after an episode's end is not counted and changes nothing.
        final_state: after the last round, (B,).
    """

    scenario: Scenario
    observed: Observed
    allocations: Allocation
    outcomes: Outcome
    final_state: State

    @property
    def objective(self) -> np.ndarray:
        """Phi of each episode, (B,)."""
        return self.outcomes.objective[:, -1]

    @property
    def num_pretrain_rounds(self) -> np.ndarray:
        """M of each episode, (B,)."""
        return self.final_state.progress.num_pretrain_rounds

    @property
    def num_finetune_rounds(self) -> np.ndarray:
        """N of each episode, (B,)."""
        return self.final_state.progress.num_finetune_rounds


def rollout(scenario: Scenario, tape: Tape, policy: Policy) -> Trajectory:
    """Play a policy on a tape, or on a batch of tapes at once.

    Args:
        scenario: the system.
        tape: of shape (T, K), played as a batch of one, or (B, T, K).
        policy: maps what is observed of all episodes to what is done in all of them.

    Raises:
        InvalidInputError: the tape does not fit, or the policy decides beyond the scenario's limits.
    """
    tape = tape.checked(scenario)
    if tape.channel_gain.ndim == 2:
        tape = Tape.stack([tape])
    system = system_of(scenario)
    state = initial_state(system, len(tape.channel_gain))
    rounds = []
    while not np.all(state.ended):
        observed = Observed(state, tape.conditions(state.round_index))
        allocation = checked_allocation(system, policy(observed))
        state, outcome = step(system, state, observed.conditions, allocation)
        rounds.append((observed, allocation, outcome))
    observed, allocations, outcomes = (_stacked(records) for records in zip(*rounds, strict=True))
    return Trajectory(
        scenario=scenario, observed=observed, allocations=allocations, outcomes=outcomes, final_state=state
    )


def checked_allocation(system: System, allocation: Allocation) -> Allocation:
    """`allocation`, once every entry is known to lie within the scenario's limits.

    Raises:
        InvalidInputError: it does not; the model has no meaning outside of them.
    """
    server, devices = system.scenario.server, system.scenario.devices
    limits = {
        "server_freq_hz": (server.freq_min_hz, server.freq_max_hz),
        "server_batch": (1.0, server.batch_max),
        "freq_hz": (devices.freq_min_hz, devices.freq_max_hz),
        "power_w": (0.0, devices.power_max_w),
        "batch": (1.0, devices.batch_max),
    }
    for name, (low, high) in limits.items():
        value = getattr(allocation, name)
        inside = (value >= low * (1 - _ROUNDING)) & (value <= high * (1 + _ROUNDING)) & (value > 0)
        if not np.all(inside):
            worst = value[~inside].flat[0]
            raise InvalidInputError(
                f"allocation.{name} must lie between {shown(np.asarray(low))} and {shown(np.asarray(high))}, got {worst:g}"
            )
    return allocation


_ROUNDING = 1e-9


def _stacked(records):
    """A sequence of nested NamedTuples of (B, ...) arrays as one of (B, T, ...) arrays."""
    first = records[0]
    if isinstance(first, tuple):
        return type(first)(*(_stacked(fields) for fields in zip(*records, strict=True)))
    return np.stack(records, axis=1)
