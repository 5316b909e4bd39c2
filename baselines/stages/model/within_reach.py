"""Budgets and batteries without what no plan could use: what cannot bind only costs a solver its digits."""

from typing import TypeVar

import numpy as np

from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.model.hardware import server_processor
from edgelearn_env.physics.compute import compute_energy_j
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Tape

Kind = TypeVar("Kind", bound=StagedScenario)

# Signal over noise below which a slower upload saves nothing, and how many leisurely rounds each round may last.
_FAINT, _LEISURE = 1e-3, 3.0


def within_reach(
    scenario: Kind, tape: Tape, devices: Processor, uplink: Uplink, *, most_load: float = 1.0, least_share: float = 1.0
) -> Kind:
    """The scenario with budgets and batteries cut to what rounds on a tape can use.

    Energies are cut to what all rounds take at the largest batches, the fastest clocks and full power, which changes
    nothing that can be played. The delay budget is cut to several times what rounds take at the largest batches and the
    slowest clocks, with uploads at a faint power, and with batteries filled from empty by the mean harvest: plans for
    the cut one can be played in the other, and more time than that is worth next to nothing.

    Args:
        scenario: the system.
        tape: of shape (T, K).
        devices, uplink: the hardware in its rounds.
        most_load: samples that a device computes for each of a batch, at most.
        least_share: of the budgets that a stage has for itself.
    """
    server, radio = server_processor(scenario), scenario.radio
    capacity_j = np.asarray(scenario.energy.battery_capacity_j)
    device_j = np.minimum(most_load * _most_j(devices) + uplink.power_max_w * uplink.least_s, capacity_j)
    round_j = np.maximum(np.sum(device_j, axis=1), _most_j(server)) + radio.downlink_j
    capacity_j = np.minimum(capacity_j, np.maximum(np.sum(device_j, axis=0), np.finfo(np.float64).tiny))

    harvest_w = np.mean(tape.harvest_w, axis=0)
    filled_s = np.divide(capacity_j, harvest_w, where=harvest_w > 0, out=np.zeros(harvest_w.shape))
    round_s = np.max(most_load * _slowest_s(devices) + uplink.nats_s / np.log1p(_FAINT) + uplink.wait_s + filled_s)
    leisurely_s = max(float(round_s), float(_slowest_s(server)), radio.idle_s) + radio.downlink_s
    return scenario.replace(
        budgets={
            "delay_s": min(scenario.budgets.delay_s, _LEISURE * len(round_j) * leisurely_s / least_share),
            "energy_j": min(scenario.budgets.energy_j, float(np.sum(round_j)) / least_share),
        },
        energy={
            "battery_capacity_j": capacity_j,
            "battery_initial_j": np.minimum(scenario.energy.battery_initial_j, capacity_j),
        },
    )


def _most_j(processor: Processor) -> np.ndarray | float:
    """Of one round's computing, J."""
    energy_j: np.ndarray | float = compute_energy_j(
        processor.capacitance_j_s2, processor.cycles_per_sample, processor.batch_max, processor.freq_max_hz
    )
    return energy_j


def _slowest_s(processor: Processor) -> np.ndarray | float:
    """Of one round's computing, s."""
    sample_s = processor.cycles_per_sample / processor.freq_min_hz + processor.stall_s
    slowest_s: np.ndarray | float = sample_s * processor.batch_max
    return slowest_s
