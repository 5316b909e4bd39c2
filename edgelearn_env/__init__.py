"""Resource control in edge learning: environments, proven optima, agents.

Importing this package registers the environments with Gymnasium; solvers, torch and plotting load only when used.
"""

from typing import TYPE_CHECKING

from edgelearn_env.errors import CompilerError, EdgeLearnError, InvalidInputError, MissingExtraError, SolverError
from edgelearn_env.faces import lazy_face
from edgelearn_env.model import Model, Observed, model_of
from edgelearn_env.physics.budgets import END_REASONS
from edgelearn_env.registration import register_environments
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.bounds import BOUNDS, FinetuneBound, LearningBound, LearningConstants
from edgelearn_env.stages.records import Allocation, Outcome, State
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Policy, Trajectory, rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario

if TYPE_CHECKING:
    from edgelearn_env.two_stage.env import TwoStageEnv, TwoStageVectorEnv
    from edgelearn_env.two_stage.parallel import parallel_env
    from edgelearn_env.two_stage.tensor_env import TwoStageTorch

__all__ = [
    "BOUNDS",
    "END_REASONS",
    "Allocation",
    "CompilerError",
    "EdgeLearnError",
    "FinetuneBound",
    "InvalidInputError",
    "LearningBound",
    "LearningConstants",
    "MissingExtraError",
    "Model",
    "Observed",
    "Outcome",
    "Policy",
    "Scenario",
    "SolverError",
    "State",
    "Tape",
    "Trajectory",
    "TwoStageEnv",
    "TwoStageScenario",
    "TwoStageTorch",
    "TwoStageVectorEnv",
    "model_of",
    "parallel_env",
    "register_environments",
    "rollout",
    "sample_tape",
]

__getattr__, __dir__ = lazy_face(
    __name__,
    {
        "TwoStageEnv": ".two_stage.env",
        "TwoStageTorch": ".two_stage.tensor_env",
        "TwoStageVectorEnv": ".two_stage.env",
        "parallel_env": ".two_stage.parallel",
    },
)

register_environments()
