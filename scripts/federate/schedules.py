"""Schedules to hold the learning bound against: of all policies, of ablations, and random ones."""

from collections.abc import Iterator

import numpy as np

from edgelearn_env.baselines.ladder import ladder_of
from edgelearn_env.baselines.two_stage.ablations.problems import ABLATIONS
from edgelearn_env.baselines.two_stage.ablations.search import ablated_design
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.model import Observed
from edgelearn_env.schedule import Schedule
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import Policy, rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario


def varied_schedules(scenario: TwoStageScenario, tapes: int, random: int) -> Iterator[Schedule]:
    """Every policy of the ladder on some tapes, every ablation's design on the first, random constant decisions.

    Args:
        scenario: the system.
        tapes: how many, seeds 0, 1, ...
        random: schedules of constant decisions that are drawn anew for each.
    """
    for name, made in ladder_of(scenario).items():
        policy = made(scenario)
        for seed in range(tapes):
            yield _played(scenario, policy, f"{name}, tape {seed}", seed)
    for name in ABLATIONS:
        try:
            design = ablated_design(name, scenario)
        except InvalidInputError:
            continue
        yield _played(scenario, design.plan, f"without: {name}", 0)
    for seed in range(random):
        yield _played(scenario, ConstantPlay(scenario, seed), f"random {seed}", seed)


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


def _played(scenario: TwoStageScenario, policy: Policy, name: str, seed: int) -> Schedule:
    return Schedule.of(rollout(scenario, sample_tape(scenario, seed), policy), name)
