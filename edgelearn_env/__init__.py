"""Resource control in two-stage edge learning: environment, proven optimum, agents.

Importing this package registers the environments with Gymnasium; solvers, torch and plotting load only when used.
"""

from edgelearn_env.errors import EdgeLearnError, InvalidInputError, MissingExtraError, SolverError
from edgelearn_env.registration import register_environments
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Observed, Policy, Trajectory, rollout
from edgelearn_env.two_stage.dynamics import Allocation, Outcome, State

__all__ = [
    "Allocation",
    "EdgeLearnError",
    "InvalidInputError",
    "MissingExtraError",
    "Observed",
    "Outcome",
    "Policy",
    "Scenario",
    "SolverError",
    "State",
    "Tape",
    "Trajectory",
    "register_environments",
    "rollout",
    "sample_tape",
]

register_environments()
