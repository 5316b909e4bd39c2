"""Policies of layer tuning, tuned for themselves: with a selection for good, or with levels chosen in every round."""

import functools
from collections.abc import Callable

import numpy as np

from edgelearn_env.baselines.layer_tuning.model.roomy_design import roomy_design
from edgelearn_env.baselines.layer_tuning.policies.layer_lyapunov import LayerLyapunov
from edgelearn_env.baselines.layer_tuning.policies.layer_mpc import LayerMPC
from edgelearn_env.baselines.layer_tuning.policies.selection_rule import Selection
from edgelearn_env.baselines.layer_tuning.policies.selections import by_rule
from edgelearn_env.baselines.stages.policies.lyapunov import Lyapunov
from edgelearn_env.baselines.stages.policies.tuned_lyapunov import Design, tuned_lyapunov
from edgelearn_env.layer_tuning.scenario import LayerTuningScenario
from edgelearn_env.tapes.seeds import TUNING, tuning_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import Policy, rollout

Select = Callable[[LayerTuningScenario], Selection]

# Tapes on which nets are compared; fewer where each takes minutes.
_NUM_TAPES, _NUM_PLANNED_TAPES = 8, 2


def tuned_selection(select: Select, *, at_random: bool = False) -> Callable[[LayerTuningScenario], Policy]:
    """What makes the policy that keeps to a selection, or to random numbers of blocks up to it."""

    def made(scenario: LayerTuningScenario) -> Policy:
        depth, blocks = select(scenario)
        return _tuned(scenario, depth, blocks, TUNING if at_random else None)

    return made


def tuned_levels(scenario: LayerTuningScenario) -> Policy:
    """Drift plus penalty that chooses levels in every round, with the net that is best on tuning tapes."""
    return _best_net(scenario, lambda depth: _tuned(scenario, depth, None, None), _NUM_TAPES)


def planned_levels(scenario: LayerTuningScenario) -> Policy:
    """MPC, which plans levels, with the net that is best for it on tuning tapes."""
    return _best_net(scenario, lambda depth: LayerMPC(scenario, depth), _NUM_PLANNED_TAPES)


def _best_net(scenario: LayerTuningScenario, policy_with: Callable[[int], Policy], num_tapes: int) -> Policy:
    """The policy with the net, of those that any device can train, with which it is best on so many tuning tapes."""
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in tuning_seeds(num_tapes)])
    able = np.any(scenario.levels.most_batch >= 1, axis=(1, 2))
    policies = [policy_with(depth) for depth in np.asarray(scenario.networks.depths)[able].tolist()]
    means = [float(np.mean(np.log(rollout(scenario, tapes, policy).objective))) for policy in policies]
    return policies[int(np.argmin(means))]


def _tuned(scenario: LayerTuningScenario, depth: int, blocks: np.ndarray | None, seed: int | None) -> Lyapunov:
    """With the numbers of rounds that are best on tuning tapes, at prices of a design in which all train alike."""
    selection = by_rule(scenario) if blocks is None else Selection(depth, blocks)
    typical = min(selection.typical_blocks, depth)
    design = roomy_design(scenario, depth, typical)
    share = float(scenario.levels.share[scenario.networks.place_of(depth), typical - 1])
    kind = functools.partial(LayerLyapunov, scenario=scenario, depth=depth, blocks=blocks, seed=seed)
    # Their gradients have the noise of ours over the square of the share.
    return tuned_lyapunov(scenario, kind, Design(design, share**2))
