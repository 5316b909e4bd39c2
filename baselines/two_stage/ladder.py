"""The two-stage ladder: every policy that needs no learning, by name, from the simplest up."""

from collections.abc import Callable, Mapping

from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.baselines.stages.policies.myopic import Myopic
from edgelearn_env.baselines.stages.policies.tuned_lyapunov import tuned_lyapunov
from edgelearn_env.baselines.two_stage.policies.equal_split import tuned_equal_split
from edgelearn_env.baselines.two_stage.policies.fixed_plan import fixed_plan
from edgelearn_env.baselines.two_stage.policies.mpc import MPC
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.trajectory import Policy
from edgelearn_env.two_stage.scenario import TwoStageScenario

LADDER: Mapping[str, Callable[[TwoStageScenario], Policy]] = {
    "random": lambda scenario: RandomPlay(scenario, seed=TUNING),
    "fixed": fixed_plan,
    "equal": tuned_equal_split,
    "myopic": lambda scenario: Myopic(constants=constants_of(scenario)),
    "lyapunov": tuned_lyapunov,
    "mpc": MPC,
}
