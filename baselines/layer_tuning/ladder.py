"""The ladder of layer tuning: every policy that needs no learning, by name, from the simplest up."""

from collections.abc import Callable, Mapping

from edgelearn_env.baselines.layer_tuning.policies.fixed_levels import FixedLevels
from edgelearn_env.baselines.layer_tuning.policies.selections import by_rule, deepest, last_block, whole_net
from edgelearn_env.baselines.layer_tuning.policies.tuned_layers import planned_levels, tuned_levels, tuned_selection
from edgelearn_env.baselines.random_play import RandomPlay
from edgelearn_env.baselines.stages.policies.myopic import Myopic
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.trajectory import Policy


def _myopic(scenario: LayerTuningScenario) -> Policy:
    """One-step lookahead with the net and the levels of the rule."""
    return FixedLevels.of(scenario, by_rule(scenario), lambda constants: Myopic(constants=constants))


# One-step lookahead; then drift plus penalty with one selection for good: the least that counts, whole nets, random
# numbers of blocks, the deepest net, the selection rule; then with levels chosen in every round, or planned ahead.
LADDER: Mapping[str, Callable[[LayerTuningScenario], Policy]] = {
    "random": lambda scenario: RandomPlay(scenario, seed=TUNING),
    "myopic": _myopic,
    "last-block": tuned_selection(last_block),
    "whole-net": tuned_selection(whole_net),
    "random-levels": tuned_selection(by_rule, at_random=True),
    "deepest": tuned_selection(deepest),
    "rule": tuned_selection(by_rule),
    "lyapunov": tuned_levels,
    "mpc": planned_levels,
}
