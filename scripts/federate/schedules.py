"""Schedules to hold the learning bound against: of all policies, of ablations, and random ones."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np

from edgelearn_env.baselines.ladder import ladder_of
from edgelearn_env.baselines.two_stage.ablations.problems import ABLATIONS
from edgelearn_env.baselines.two_stage.ablations.search import ablated_design
from edgelearn_env.baselines.two_stage.static.design import StaticDesign, static_design
from edgelearn_env.model import Observed
from edgelearn_env.schedule import Schedule
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import Policy, rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario


def varied_schedules(scenario: TwoStageScenario, tapes: int, random: int) -> dict[str, Callable[[], Schedule]]:
    """What makes each schedule, by name: all policies on some tapes, ablations, random changes of the design.

    Ablations' designs are played on the first tape.

    Args:
        scenario: the system.
        tapes: how many, seeds 0, 1, ...
        random: schedules of the design, shaken.
    """
    made: dict[str, Callable[[], Schedule]] = {}

    def add(name: str, policy: Callable[[], Policy], seed: int) -> None:
        made[name] = partial(_played, scenario, policy, name, seed)

    design = cache(partial(static_design, scenario))
    for seed in range(random):
        add(f"random {seed}", partial(_shaken, scenario, design, seed), seed)
    for name, policy_of in ladder_of(scenario).items():
        policy = cache(partial(policy_of, scenario))
        for seed in range(tapes):
            add(f"{name}, tape {seed}", policy, seed)
    for name in ABLATIONS:
        add(f"ablation: {name}", partial(_design, scenario, name), 0)
    return made


class ShakenDesign:
    """The static design with each of its decisions changed by a factor that is drawn once: constant in either stage.

    The switch, clocks, powers and batches are drawn; each device is asked with a chance that is drawn too. Drawn from
    whole ranges instead, nearly all schedules end after a few rounds.
    """

    def __init__(self, scenario: TwoStageScenario, design: StaticDesign, seed: int) -> None:
        """Draw.

        Args:
            scenario: the system.
            design: of it.
            seed: of the draws.
        """
        rng, server, devices = np.random.default_rng((seed, 8)), scenario.server, scenario.devices

        def factor(low: float, high: float) -> float:
            return float(2 ** rng.uniform(low, high))

        self._num_pretrain = round(rng.uniform(0, 1.6) * design.num_pretrain_rounds)
        server_batch = np.mean(design.server_batch) if design.num_pretrain_rounds else server.batch_max / 4
        server_hz = np.mean(design.server_freq_hz) if design.num_pretrain_rounds else server.freq_min_hz
        self._server_batch = np.clip(np.round(server_batch * factor(-3, 1)), 1, server.batch_max)
        self._server_freq_hz = np.clip(server_hz * factor(-0.7, 0.3), server.freq_min_hz, server.freq_max_hz)
        batch = np.clip(np.round(design.batch * factor(-3, 1)), 1, devices.batch_max)
        asked = rng.random(scenario.num_devices) < rng.uniform(0.3, 1.1)
        asked[rng.integers(scenario.num_devices)] = True
        self._batch = np.where(asked, batch, 0.0)
        self._freq_hz = np.clip(design.freq_hz * factor(-0.7, 0.3), devices.freq_min_hz, devices.freq_max_hz)
        self._power_w = np.clip(design.power_w * factor(-1, 1), devices.power_min_w, devices.power_max_w)

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


def _shaken(scenario: TwoStageScenario, design: Callable[[], StaticDesign], seed: int) -> Policy:
    return ShakenDesign(scenario, design(), seed)


def _design(scenario: TwoStageScenario, name: str) -> Policy:
    return ablated_design(name, scenario).plan


def _played(scenario: TwoStageScenario, policy: Callable[[], Policy], name: str, seed: int) -> Schedule:
    return Schedule.of(rollout(scenario, sample_tape(scenario, seed), policy()), name)
