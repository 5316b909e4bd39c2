"""One learning round: the transition of the two-stage system, pure, batched, in any array library.

    Scenario --initial_state--> State --step(conditions, allocation)--> State, Outcome

What all systems share of it is in `stages.dynamics`; here is what is its own, a round that waits for everyone who takes
part. This array code is the statement of the physics. Two others are tied to it by tests: the compiled loops in
`compiled_round`, which environments run where numba is installed, bit for bit (tests/two_stage/test_compiled.py); and a
scalar transcription in pure Python, to rounding (tests/two_stage/golden). The conic program of the optimum is tied to
it by replaying its plans.
"""

from edgelearn_env.stages import dynamics as stages
from edgelearn_env.stages.constants import Constants
from edgelearn_env.stages.records import Allocation, Outcome, PlannedRound, State
from edgelearn_env.stages.synchronous import synchronous_round
from edgelearn_env.tapes.tape import Conditions


def step(constants: Constants, state: State, conditions: Conditions, allocation: Allocation) -> tuple[State, Outcome]:
    """Do one round in each of B episodes; see `stages.dynamics.step`."""
    finetuning = synchronous_round(constants, state.battery_j, conditions, allocation)
    return stages.step(constants, state, conditions, allocation, finetuning)


def planned_round(constants: Constants, state: State, conditions: Conditions, allocation: Allocation) -> PlannedRound:
    """What the round would be if no budget applied; see `stages.dynamics.planned_round`."""
    finetuning = synchronous_round(constants, state.battery_j, conditions, allocation)
    return stages.planned_round(constants, state, allocation, finetuning)
