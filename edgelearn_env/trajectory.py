"""Playing whole episodes outside of any environment: scenario + tape + policy -> trajectory."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.quantities import shown
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Conditions, Tape
from edgelearn_env.two_stage.dynamics import (
    Allocation,
    Constants,
    DeviceRound,
    Outcome,
    State,
    constants_of,
    initial_state,
    step,
)


class Observed(NamedTuple):
    """What an online policy knows before a round: the state and this round's conditions, never the future."""

    state: State
    conditions: Conditions


Policy = Callable[[Observed], Allocation]
Round = tuple[Observed, Allocation, Outcome]


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

    @classmethod
    def of_rounds(cls, scenario: Scenario, rounds: Sequence[Round], final_state: State) -> Self:
        """The trajectory of rounds played one after another; without any it has T = 0."""
        nothing = np.zeros_like(final_state.battery_j)
        before = (Observed(final_state, Conditions(nothing, nothing)), *no_round(scenario, final_state))
        played = mapped(lambda *arrays: np.stack(arrays, axis=1), before, *rounds)
        observed, allocations, outcomes = mapped(lambda array: array[:, 1:], played)
        return cls(
            scenario=scenario,
            observed=observed,
            allocations=allocations,
            outcomes=outcomes,
            final_state=final_state,
        )

    @property
    def objective(self) -> np.ndarray:
        """Phi of each episode, (B,)."""
        return self.scenario.bound.value(self.final_state.bound_terms)

    @property
    def num_pretrain_rounds(self) -> np.ndarray:
        """M of each episode, (B,)."""
        return self.final_state.bound_terms.num_pretrain_rounds

    @property
    def num_finetune_rounds(self) -> np.ndarray:
        """N of each episode, (B,)."""
        return self.final_state.bound_terms.num_finetune_rounds


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
    constants = constants_of(scenario)
    state = initial_state(constants, len(tape.channel_gain))
    rounds = []
    while not np.all(state.ended):
        observed = Observed(state, tape.conditions(state.round_index))
        allocation = checked_allocation(constants, policy(observed), len(state.ended))
        state, outcome = step(constants, state, observed.conditions, allocation)
        rounds.append((observed, allocation, outcome))
    return Trajectory.of_rounds(scenario, rounds, state)


def no_round(scenario: Scenario, state: State) -> tuple[Allocation, Outcome]:
    """What stands for the last round before there was one: nothing decided, nothing counted, Psi as it is."""
    one, each = np.zeros_like(state.elapsed_s), np.zeros_like(state.battery_j)
    no = np.zeros_like(state.ended)
    allocation = Allocation(no, one, one, each, each, each)
    outcome = Outcome(
        counted=no,
        end_reason=np.zeros_like(state.round_index),
        reward=one,
        objective=scenario.bound.value(state.bound_terms),
        duration_s=one,
        energy_j=one,
        server_j=one,
        devices=DeviceRound(each, each, each, each, each),
    )
    return allocation, outcome


def checked_allocation(constants: Constants, allocation: Allocation, batch_size: int) -> Allocation:
    """`allocation`, once it is known to be one for every episode and to lie within the scenario's limits.

    Raises:
        InvalidInputError: it is not, or does not; the model has no meaning outside of the limits.
    """
    server, devices = constants.scenario.server, constants.scenario.devices
    for name, value in allocation._asdict().items():
        of_devices = name in ("freq_hz", "power_w", "batch")
        shape = (batch_size, constants.scenario.num_devices) if of_devices else (batch_size,)
        if np.shape(value) != shape:
            raise InvalidInputError(f"allocation.{name} must have shape {shape}, got {np.shape(value)}")
    if allocation.switch.dtype != bool:
        raise InvalidInputError(f"allocation.switch must hold truth values, got {allocation.switch.dtype} numbers")
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
            ends = f"{shown(np.asarray(low))} and {shown(np.asarray(high))}"
            raise InvalidInputError(f"allocation.{name} must lie between {ends}, got {worst:g}")
    return allocation


_ROUNDING = 1e-9
