"""How long policies take to decide on one round of one episode."""

import time

import numpy as np
from rich.progress import Progress
from rich.table import Table

from edgelearn_env.model import Allocation, Observed
from edgelearn_env.printing.tables import table_of
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.scripts.policies import named_policies
from edgelearn_env.tapes.seeds import test_seeds
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import Policy, rollout

_NUM_EPISODES = 2


class _Clocked:
    """A policy that notes how long each decision takes, s."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.decision_s: list[float] = []

    def __call__(self, observed: Observed) -> Allocation:
        start_s = time.perf_counter()
        allocation = self._policy(observed)
        self.decision_s.append(time.perf_counter() - start_s)
        return allocation


def timed_decisions(scenario: Scenario, progress: Progress) -> Table:
    """Time of one decision of each policy that needs no choice of the user, on test tapes."""
    tapes = [sample_tape(scenario, seed) for seed in test_seeds(_NUM_EPISODES)]
    policies = named_policies(scenario, None, progress)
    decision_s = {}
    for policy in progress.track(policies, description="deciding"):
        clocked = _Clocked(policy.runs[0])
        for tape in tapes:
            rollout(scenario, tape, clocked)
        decision_s[policy.name] = clocked.decision_s
    slowest = max(float(np.median(each)) for each in decision_s.values())
    table = table_of("decision on one round", "median, ms", "95th percentile, ms", "slowest policy / this one")
    for name, each in decision_s.items():
        median_s = float(np.median(each))
        ratio = slowest / median_s
        table.add_row(name, f"{1e3 * median_s:.3f}", f"{1e3 * np.quantile(each, 0.95):.3f}", f"{ratio:.0f}")
    return table
