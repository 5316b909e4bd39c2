"""Many episodes of a policy, on all cores where that helps."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from joblib import delayed

from edgelearn_env.baselines.optimum import Plan
from edgelearn_env.baselines.parallel import shared_out
from edgelearn_env.baselines.stages.policies.receding_horizon import RecedingHorizon
from edgelearn_env.model import Allocation, Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import Policy

Batch = TypeVar("Batch")


def play(
    how: Callable[[Scenario, Tape, Policy], Batch],
    scenario: Scenario,
    tapes: Tape,
    policy: Policy,
    workers: int | None = None,
) -> tuple[Iterator[Batch], int]:
    """What `how`, such as `rollout`, makes of a policy on the tapes, batch by batch; and the number of batches.

    MPC solves programs in every round of every episode, so each of its episodes is a job of its own, which waits for no
    other. All other policies decide for all episodes at once, in milliseconds.

    Args:
        how: of the scenario, some of the tapes and the policy.
        scenario: the system.
        tapes: of shape (B, T, K).
        policy: to play.
        workers: processes; all cores that this process may use if None.
    """
    if not isinstance(policy, RecedingHorizon):
        return iter([how(scenario, tapes, policy)]), 1
    each = [Tape.stack([tape]) for tape in tapes.each()]
    jobs = (delayed(how)(scenario, tape, policy) for tape in each)
    return shared_out(jobs, len(each), workers), len(each)


def each_its_own(plans: Sequence[Plan]) -> Policy:
    """A policy that plays plan i in episode i."""

    def policy(observed: Observed) -> Allocation:
        rows = [plan(observed) for plan in plans]
        return type(rows[0])(
            *(np.stack([array[i] for i, array in enumerate(arrays)]) for arrays in zip(*rows, strict=True))
        )

    return policy
