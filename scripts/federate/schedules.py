"""Schedules to hold the learning bound against: of all policies, of ablations, and random ones."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from edgelearn_env.baselines.ladder import ladder_of
from edgelearn_env.baselines.two_stage.ablations.problems import ABLATIONS
from edgelearn_env.baselines.two_stage.ablations.search import ablated_design
from edgelearn_env.model import Observed
from edgelearn_env.schedule import Schedule
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import Policy, rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario


def varied_schedules(scenario: TwoStageScenario, tapes: int, random: int) -> dict[str, Callable[[], Schedule]]:
    """What makes each schedule, by name: every policy of the ladder on some tapes, every ablation, random decisions.

    Ablations' designs are played on the first tape.

    Args:
        scenario: the system.
        tapes: how many, seeds 0, 1, ...
        random: schedules of constant decisions that are drawn anew for each.
    """
    made: dict[str, Callable[[], Schedule]] = {}
    for seed in range(random):
        made[f"random {seed}"] = partial(_played, scenario, lambda seed=seed: ConstantPlay(scenario, seed), seed)
    for name, policy_of in ladder_of(scenario).items():
        policy = cache(partial(policy_of, scenario))
        made |= {f"{name}, tape {seed}": partial(_played, scenario, policy, seed) for seed in range(tapes)}
    for name in ABLATIONS:
        made[f"ablation: {name}"] = partial(_played, scenario, partial(_design, scenario, name), 0)
    return {name: partial(make, name) for name, make in made.items()}


class ConstantPlay:
    """The same decisions in every round, drawn once: batches, clocks, powers, when to switch, who is asked.

    Batches are drawn log-uniformly, clocks and powers uniformly, each device is asked with a chance that is drawn too.
    """

    def __init__(self, scenario: TwoStageScenario, seed: int) -> None:
        rng, server, devices = np.random.default_rng((seed, 8)), scenario.server, scenario.devices
        self._num_pretrain = int(rng.integers(0, 1 + scenario.budgets.max_rounds // 2))
        self._server_batch = np.round(server.batch_max ** rng.uniform(0.2, 1))
        self._server_freq_hz = rng.uniform(server.freq_min_hz, server.freq_max_hz)
        asked = rng.random(scenario.num_devices) < rng.uniform(0.3, 1.1)
        asked[rng.integers(scenario.num_devices)] = True
        self._batch = np.where(asked, np.round(devices.batch_max ** rng.uniform(0, 1)), 0.0)
        self._freq_hz = devices.freq_min_hz + rng.uniform(0.2, 1) * (devices.freq_max_hz - devices.freq_min_hz)
        self._power_w = devices.power_max_w * rng.uniform(0.1, 1)

    def __call__(self, observed: Observed) -> Allocation:
        """The drawn decisions."""
        episodes = len(observed.state.ended)

        def for_all(value: np.ndarray | float) -> np.ndarray:
            return np.broadcast_to(value, (episodes, *np.shape(value))).copy()

        return Allocation(
            switch=np.asarray(observed.state.round_index) >= self._num_pretrain,
            server_freq_hz=for_all(self._server_freq_hz),
            server_batch=for_all(self._server_batch),
            freq_hz=for_all(self._freq_hz),
            power_w=for_all(self._power_w),
            batch=for_all(self._batch),
        )


def _design(scenario: TwoStageScenario, name: str) -> Policy:
    return ablated_design(name, scenario).plan


def _played(scenario: TwoStageScenario, policy: Callable[[], Policy], seed: int, name: str) -> Schedule:
    return Schedule.of(rollout(scenario, sample_tape(scenario, seed), policy()), name)
