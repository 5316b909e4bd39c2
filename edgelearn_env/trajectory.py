"""Playing whole episodes outside of any environment: scenario + tape + policy -> trajectory."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.model import Allocation, Observed, Outcome, State, model_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Conditions, Tape

Policy = Callable[[Observed], Allocation]
Round = tuple[Observed, Allocation, Outcome]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """Episodes as they were played; every array has the leading axes (B, T) with T the longest episode's rounds.

    Attributes:
        scenario: what was played.
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
        nothing = np.zeros((len(final_state.ended), scenario.num_devices))
        no_round = model_of(scenario, "numpy").no_round(final_state)
        before = (Observed(final_state, Conditions(nothing, nothing)), *no_round)
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
        return np.asarray(model_of(self.scenario, "numpy").objective(self.final_state))

    @property
    def summary(self) -> dict[str, np.ndarray]:
        """What reports list of each episode beside its objective, by name, (B,); `Model.columns` says what."""
        return model_of(self.scenario, "numpy").summary(self.final_state)

    @property
    def num_pretrain_rounds(self) -> np.ndarray:
        """M of each episode, (B,)."""
        return self.summary["num_pretrain_rounds"]

    @property
    def num_finetune_rounds(self) -> np.ndarray:
        """N of each episode, (B,)."""
        return self.summary["num_finetune_rounds"]


def rollout(scenario: Scenario, tape: Tape, policy: Policy) -> Trajectory:
    """Play a policy on a tape, or on a batch of tapes at once.

    Args:
        scenario: of any system.
        tape: of shape (T, K), played as a batch of one, or (B, T, K).
        policy: maps what is observed of all episodes to what is done in all of them.

    Raises:
        InvalidInputError: the tape does not fit, or the policy decides beyond the scenario's limits.
    """
    tape = tape.checked(scenario)
    if tape.channel_gain.ndim == 2:
        tape = Tape.stack([tape])
    model = model_of(scenario, "numpy")
    state = model.initial_state(len(tape.channel_gain))
    rounds = []
    while not np.all(state.ended):
        conditions = tape.conditions(state.round_index)
        observed = Observed(state, conditions.seen)
        allocation = model.checked_allocation(policy(observed), len(state.ended))
        state, outcome = model.step(state, conditions, allocation)
        rounds.append((observed, allocation, outcome))
    return Trajectory.of_rounds(scenario, rounds, state)
