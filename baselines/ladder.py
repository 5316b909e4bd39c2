"""The ladder: every policy that needs no learning, by name, from the simplest up."""

from collections.abc import Callable, Mapping

from edgelearn_env.baselines.equal_split import tuned_equal_split
from edgelearn_env.baselines.fixed_plan import fixed_plan
from edgelearn_env.baselines.mpc import MPC
from edgelearn_env.baselines.myopic import Myopic
from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.baselines.tuned_lyapunov import tuned_lyapunov
from edgelearn_env.dynamics import system_of
from edgelearn_env.scenario import Scenario
from edgelearn_env.seeds import TUNING
from edgelearn_env.trajectory import Policy

LADDER: Mapping[str, Callable[[Scenario], Policy]] = {
    "random": lambda scenario: RandomPlay(scenario, seed=TUNING),
    "fixed": fixed_plan,
    "equal": tuned_equal_split,
    "myopic": lambda scenario: Myopic(system=system_of(scenario)),
    "lyapunov": tuned_lyapunov,
    "mpc": MPC,
}
