"""The numbers of a planned episode's conic program, in units in which every variable is of order one."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import block_diag

from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.model.hardware import uplinks
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode

# The program counts every energy and duration this much too high: the plan read off it then stays within hard budgets
# in spite of the solver's rounding, at a cost in the bound far below the certificate's gap.
MARGIN = 5e-7


class Scales(NamedTuple):
    """Units of the program's variables.

    Tolerances are absolute in these units, so each quantity is measured against the most it can be: a small battery
    beside a large budget would otherwise be lost in the solver's rounding.
    """

    second: float
    joule: float
    server_second: float
    server_joule: float
    server_batch: float | np.ndarray
    compute_second: np.ndarray
    device_joule: np.ndarray
    batch: float | np.ndarray
    bound: float

    @classmethod
    def of(cls, episode: PlannedEpisode) -> "Scales":
        """The units for one episode."""
        num_pretrain, num_finetune = np.sum(episode.pretrain_repeats), np.sum(episode.finetune_repeats)
        scenario, server, devices = episode.scenario, episode.server, episode.devices
        second = episode.start.delay_s / (num_pretrain + num_finetune)
        joule = 1.5 * episode.start.energy_j / max(num_finetune, 1) / scenario.num_devices
        server_second = min(second, float(server.cycles_per_sample * server.batch_max / server.freq_min_hz))
        compute_second = np.minimum(second, devices.cycles_per_sample * devices.batch_max / devices.freq_min_hz)
        server_joule = episode.start.energy_j / max(num_pretrain, 1) / 2
        server_batch = _batch_within(server_second, 2 * server_joule, server)
        batch = _batch_within(compute_second, np.minimum(joule, scenario.energy.battery_capacity_j), devices)
        return cls(
            second=second,
            joule=joule,
            server_second=server_second,
            server_joule=server_joule,
            server_batch=server_batch,
            compute_second=compute_second,
            device_joule=np.minimum(joule, scenario.energy.battery_capacity_j),
            batch=batch,
            bound=episode.learning_bound(
                np.full(episode.num_pretrain_rounds, server_batch),
                np.broadcast_to(batch, (episode.num_finetune_rounds, scenario.num_devices)),
            ),
        )


def _batch_within(seconds: float | np.ndarray, joules: float | np.ndarray, processor: Processor) -> float | np.ndarray:
    """The batch a middling clock computes in half of `seconds`, or the lowest one with `joules`, within the limits."""
    middle_hz = np.sqrt(processor.freq_min_hz * processor.freq_max_hz)
    in_time = seconds * middle_hz / processor.cycles_per_sample / 2
    for_energy = joules / (processor.capacitance_j_s2 * processor.cycles_per_sample * processor.freq_min_hz**2)
    batch: float | np.ndarray = np.clip(np.minimum(in_time, for_energy), 1.0, processor.batch_max)
    return batch


def program_data(episode: PlannedEpisode, scales: Scales) -> dict[str, np.ndarray]:
    """Every number of the program, by the name of the parameter that takes it."""
    data: dict[str, Any] = {
        "delay": episode.finetune_delay_s / scales.second,
        "energy": episode.finetune_energy_j / scales.joule,
    }
    if episode.num_pretrain_rounds:
        data |= _pretraining(episode, scales)
    if episode.num_finetune_rounds:
        shape = (episode.num_finetune_rounds, episode.scenario.num_devices)
        for part in (_computing, _uploading, _coupling):
            data |= {name: np.broadcast_to(value, shape) for name, value in part(episode, scales).items()}
        if episode.holders is not None:
            data["held"] = _held(episode, scales)
        data["duration_use"] = episode.finetune_repeats * (1 + MARGIN)
        data["start"] = episode.start.battery_j / scales.device_joule
        if episode.is_idle.any():
            radio = episode.scenario.radio
            idle = episode.is_idle.astype(float)
            data |= {"idle": idle, "idle_s": idle * (radio.idle_s - radio.downlink_s) / scales.second}
    return {name: value if name == "held" else np.asarray(value) for name, value in data.items()}


def _held(episode: PlannedEpisode, scales: Scales) -> Any:
    """The matrix that makes loads of batches, in their units, (N K, N K); the silent load their own part."""
    shape = (episode.num_finetune_rounds, episode.scenario.num_devices)
    assert episode.holders is not None
    own = np.eye(shape[1], dtype=bool)
    held = np.where(episode.participates[:, :, None], episode.holders, own)
    batch = np.broadcast_to(scales.batch, shape)
    return block_diag(list(held * batch[:, None, :] / batch[:, :, None]), format="csr")


def _pretraining(episode: PlannedEpisode, scales: Scales) -> dict[str, Any]:
    server, repeats = episode.server, episode.pretrain_repeats
    noise = episode.server_noise_price / scales.bound
    fixed = None if episode.fixed_batches is None else episode.fixed_batches.server
    units = (scales.server_batch, scales.server_second, scales.server_joule)
    computing = _processing(episode, server, fixed, *units, noise)
    # While nothing is spent, a battery is min(capacity, initial + harvest): one inequality does for the stage.
    harvested = episode.pretrain_harvest_w * repeats[:, None] * (scales.server_second / scales.device_joule)
    own = {} if episode.restriction.pretrain_share is None else _own_budgets(episode, scales)
    return own | {
        **{f"server_{name}": value for name, value in computing.items()},
        "server_second_use": repeats * (scales.server_second / scales.second * (1 + MARGIN)),
        "server_joule_use": repeats * (scales.server_joule / scales.joule * (1 + MARGIN)),
        "server_harvest": harvested.T,
    }


def _own_budgets(episode: PlannedEpisode, scales: Scales) -> dict[str, Any]:
    """Budgets that only pre-training may use, where it has such."""
    return {
        "server_delay": episode.pretrain_delay_s / scales.second,
        "server_energy": episode.pretrain_energy_j / scales.joule,
    }


def _computing(episode: PlannedEpisode, scales: Scales) -> dict[str, Any]:
    noise = episode.finetune_repeats[:, None] * episode.counts * (episode.device_noise_price / scales.bound)
    fixed = None if episode.fixed_batches is None else episode.fixed_batches.devices
    units = (scales.batch, scales.compute_second, scales.device_joule)
    computing = _processing(episode, episode.devices, fixed, *units, noise)
    if np.any(episode.devices.stall_s):
        computing["stall"] = episode.devices.stall_s * scales.batch / scales.second
    return computing | {"compute_use": scales.compute_second / scales.second}


def _processing(
    episode: PlannedEpisode,
    processor: Processor,
    fixed: np.ndarray | None,
    batch: Any,
    second: Any,
    joule: Any,
    noise: np.ndarray,
) -> dict[str, Any]:
    """Of a stage's computing, in these units; limits that leave no choice make it linear in the batch, or fix that."""
    cycles_s = processor.cycles_per_sample * batch / second
    joules, fastest = processor.capacitance_j_s2 * cycles_s**3 * second / joule, cycles_s / processor.freq_max_hz
    data = {"fastest": fastest}
    if episode.has_fixed_clocks:
        data["sample_joule"] = joules / fastest**2
    else:
        data |= {"cone": np.cbrt(joules), "slowest": cycles_s / processor.freq_min_hz}
    if fixed is not None:
        return data | {"fixed_batch": fixed / batch}
    return data | {"least": 1 / batch, "most": processor.batch_max / batch, "noise": noise / batch}


def _uploading(episode: PlannedEpisode, scales: Scales) -> dict[str, Any]:
    """Of u e^(nats / u) - u <= e / noise, written u e^(nats / u - s) <= e e^-s / noise + u e^-s.

    s is half the logarithm of the best SNR, which keeps both sides of order one; without this the solver needs twice
    the iterations and may end inaccurate.
    """
    uplink, silent, part = episode.uplink, _silent_uplink(episode), episode.participates
    uplink = uplink._replace(
        noise_w=np.where(part, uplink.noise_w, silent.noise_w),
        power_max_w=np.where(part, uplink.power_max_w, silent.power_max_w),
    )
    if episode.restriction.power_w is not None:
        joules = uplink.power_max_w * uplink.least_s
        return {"fixed_upload_s": uplink.least_s / scales.second, "fixed_upload_j": joules / scales.device_joule}
    shift = 0.5 * np.log1p(uplink.power_max_w / uplink.noise_w)
    noise = uplink.noise_w * scales.second / scales.device_joule
    return {
        "nats": uplink.nats_s / scales.second,
        "shift": shift,
        "decay": np.exp(-shift),
        "decay_by_noise": np.exp(-shift) / noise,
        "power": uplink.power_max_w * scales.second / scales.device_joule,
    }


def _coupling(episode: PlannedEpisode, scales: Scales) -> dict[str, Any]:
    repeats, radio, part = episode.finetune_repeats[:, None], episode.scenario.radio, episode.participates
    harvest = episode.finetune_harvest_w * (scales.second / scales.device_joule)
    return {
        "stored": repeats * harvest,
        "stored_in_downlink": repeats * harvest * (radio.downlink_s / scales.second),
        "spending": repeats * part * (1 + MARGIN),
        "paying": part * (1 + MARGIN),
        "overdrawing": repeats,
        "energy_use": repeats * part * (scales.device_joule / scales.joule * (1 + MARGIN)),
        "late": np.where(part, -np.asarray(episode.uplink.wait_s), _silent_finish_s(episode)) / scales.second,
        "capacity": episode.scenario.energy.battery_capacity_j / scales.device_joule,
    }


def _silent_uplink(episode: PlannedEpisode) -> Uplink:
    """What silent devices have in the program: the mean channel and all powers, whatever the plan must keep to."""
    return uplinks(episode.scenario, episode.scenario.mean_channel_gain)


def _silent_finish_s(episode: PlannedEpisode) -> np.ndarray:
    """More than enough time for a silent device's variables, s, (K,) or (N, K)."""
    devices = episode.devices
    slowest_s: np.ndarray = devices.cycles_per_sample * devices.batch_max / devices.freq_min_hz
    finish_s: np.ndarray = slowest_s + devices.stall_s * devices.batch_max + 10 * _silent_uplink(episode).least_s
    return finish_s
