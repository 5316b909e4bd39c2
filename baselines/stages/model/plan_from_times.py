"""From the times of a solved program to a plan that keeps them."""

import numpy as np

from edgelearn_env.baselines.stages.model.closed_forms import Processor, in_rounds
from edgelearn_env.baselines.stages.model.plan import Plan
from edgelearn_env.baselines.stages.model.planned_episode import Batches, PlannedEpisode
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.physics.battery import battery_after_round_j
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.stages.records import Allocation

_NUDGE = 1e-9


def plan_from_times(
    episode: PlannedEpisode, times: RoundTimes, *, shrink: float = 0.0, whole_batches: bool = False
) -> Plan:
    """The plan that keeps the times of a solved program, with its batches or with whole numbers below them.

    Devices that would be early use the time left for a slower upload, which costs them less energy. So each round in
    which anyone takes part lasts as long as the program says, brings the harvest that the program counts on, and leaves
    no less in any battery.

    Args:
        episode: the rounds.
        times: what the program decided.
        shrink: share by which all batches are cut, to make up for a solver's rounding.
        whole_batches: round batches down, and further where a battery would else not cover its round.
    """
    shorten = np.floor if whole_batches else np.asarray
    server, devices, keep = episode.server, episode.devices, 1 - shrink
    if episode.fixed_batches is not None:
        server_batch, batch = episode.fixed_batches
    else:
        # The nudge keeps a batch that the solver put a rounding error below a whole number.
        kept = _affordable_share(server, times.server_batch, times.server_s)
        server_batch = shorten(times.server_batch * kept * keep + _NUDGE)
        kept = episode.least_of_holders(_affordable_share(devices, episode.loads(times.batch), times.compute_s))
        batch = shorten(times.batch * kept * keep + _NUDGE)
        server_batch, batch = np.clip(server_batch, 1, server.batch_max), np.clip(batch, 1, devices.batch_max)
    batch = np.where(episode.counts, batch, 0.0)
    server_freq_hz = _clock_hz(server, server_batch, times.server_s)
    server_s = compute_time_s(server.cycles_per_sample, server_batch, server_freq_hz)
    charge = episode.start.battery_j + server_s @ episode.pretrain_harvest_w
    batch, freq_hz, upload_s = _filled_rounds(episode, times, batch, charge, cut=1.0 if whole_batches else 0.0)
    rows = _rows(episode, server_freq_hz, server_batch, freq_hz, _power_w(episode, upload_s), batch)
    return episode.as_plan(rows)


def nearest_batches(episode: PlannedEpisode, times: RoundTimes, scale: float = 1.0) -> Batches:
    """All batches times a number, then the whole number below or above, whichever is nearer by ratio."""
    server, devices = episode.server, episode.devices
    return Batches(
        _nearest(scale * times.server_batch, server.batch_max), _nearest(scale * times.batch, devices.batch_max)
    )


def _nearest(batch: np.ndarray, batch_max: np.ndarray | float) -> np.ndarray:
    below = np.floor(batch)
    whole = np.where(batch > np.sqrt(below * (below + 1)), below + 1, below)
    nearest: np.ndarray = np.clip(whole, 1, batch_max)
    return nearest


def _affordable_share(processor: Processor, samples: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Share of the samples that is not beyond the clock's limits by a solver's rounding.

    Too fast a clock is cut to the highest, at which fewer samples fit into the same time; too slow a one is raised to
    the lowest, at which fewer samples cost the same energy.
    """
    freq_hz = processor.cycles_per_sample * samples / seconds
    cut, raised = np.minimum(1, processor.freq_max_hz / freq_hz), np.minimum(1, freq_hz / processor.freq_min_hz)
    share: np.ndarray = cut * raised**2
    return share


def _clock_hz(processor: Processor, samples: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """The frequency that computes so many samples in `seconds`, within the clock's limits."""
    asked_hz = processor.cycles_per_sample * samples / seconds
    freq_hz: np.ndarray = np.clip(asked_hz, processor.freq_min_hz, processor.freq_max_hz)
    return freq_hz


def _power_w(episode: PlannedEpisode, upload_s: np.ndarray) -> np.ndarray:
    """The transmit power that uploads in `upload_s`: noise (e^(nats / u) - 1), within its limits."""
    uplink = episode.uplink
    asked_w = uplink.noise_w * np.expm1(uplink.nats_s / upload_s)
    power_w: np.ndarray = np.clip(asked_w, uplink.power_min_w, uplink.power_max_w)
    return power_w


def _filled_rounds(
    episode: PlannedEpisode, times: RoundTimes, batch: np.ndarray, charge_j: np.ndarray, cut: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batches, frequencies and upload times with which every round lasts as planned, each (N, K).

    Args:
        episode: the rounds.
        times: what the program decided.
        batch: the batches to keep if the batteries allow.
        charge_j: in each battery after pre-training, before it is capped, J, (K,).
        cut: samples to take off a batch, again and again, while a battery does not cover the round of who computes it.
    """
    capacity_j, radio = episode.scenario.energy.battery_capacity_j, episode.scenario.radio
    battery_j, batch, uploads_s = np.minimum(charge_j, capacity_j), batch.copy(), np.empty_like(batch)
    duration_s = np.where(episode.is_idle, radio.idle_s, times.duration_s + radio.downlink_s)
    for n, harvest_w in enumerate(episode.finetune_harvest_w):
        devices, round_, short = in_rounds(episode.devices, n), slice(n, n + 1), episode.participates[n]
        while short.any():
            samples = episode.loads(batch[round_], round_)[0]
            freq_hz = _clock_hz(devices, samples, times.compute_s[n])
            busy_s = compute_time_s(devices.cycles_per_sample, samples, freq_hz) + devices.stall_s * samples
            uploads_s[n] = _stretched_s(episode, times, n, busy_s)
            energy_j = _energy_j(episode, n, samples, freq_hz, uploads_s[n])
            kept = episode.least_of_holders(np.where(energy_j > battery_j, 0.0, 1.0)[None], round_)[0]
            short = (kept < 1) & (batch[n] > 1) & (cut > 0)
            batch[n] = np.where(short, np.maximum(batch[n] - cut, 1.0), batch[n])
        if episode.is_idle[n]:
            uploads_s[n], energy_j = episode.uplink.least_s[n], np.zeros_like(battery_j)
        battery_j = battery_after_round_j(battery_j, energy_j, harvest_w, duration_s[n], capacity_j)
    samples = episode.loads(np.maximum(batch, 1.0))
    return batch, _clock_hz(episode.devices, samples, times.compute_s), uploads_s


def _stretched_s(episode: PlannedEpisode, times: RoundTimes, n: int, busy_s: np.ndarray) -> np.ndarray:
    """Upload times with which round n lasts as planned, (K,)."""
    uplink = in_rounds(episode.uplink, n)
    slowest_s = np.inf if episode.restriction.power_w is None else uplink.least_s
    upload_s: np.ndarray = np.clip(times.duration_s[n] - busy_s - uplink.wait_s, uplink.least_s, slowest_s)
    return upload_s


def _energy_j(
    episode: PlannedEpisode, n: int, samples: np.ndarray, freq_hz: np.ndarray, upload_s: np.ndarray
) -> np.ndarray:
    """What the devices spend in round n, J, (K,)."""
    devices, uplink = in_rounds(episode.devices, n), in_rounds(episode.uplink, n)
    computed_j = compute_energy_j(devices.capacitance_j_s2, devices.cycles_per_sample, samples, freq_hz)
    uploaded_j = uplink.noise_w * np.expm1(uplink.nats_s / upload_s) * upload_s
    energy_j: np.ndarray = np.where(episode.participates[n], computed_j + uploaded_j, 0.0)
    return energy_j


def _rows(
    episode: PlannedEpisode,
    server_freq_hz: np.ndarray,
    server_batch: np.ndarray,
    freq_hz: np.ndarray,
    power_w: np.ndarray,
    batch: np.ndarray,
) -> Allocation:
    """One row for each round and one that stops; the stage not played gets its cheapest values."""
    num_pretrain, num_finetune = episode.num_pretrain_rounds, episode.num_finetune_rounds
    server, devices, power_max_w = episode.server, episode.devices, episode.uplink.power_max_w
    before, rest, ones = (num_pretrain, 1), np.ones(num_finetune + 1), np.ones_like(power_max_w)
    return Allocation(
        switch=np.arange(num_pretrain + num_finetune + 1) >= num_pretrain,
        server_freq_hz=np.concatenate([server_freq_hz, server.freq_min_hz * rest]),
        server_batch=np.concatenate([server_batch, rest]),
        freq_hz=np.concatenate([np.tile(devices.freq_min_hz, before), freq_hz, devices.freq_min_hz[None]]),
        power_w=np.concatenate([np.tile(power_max_w, before), power_w, power_max_w[None] * _WHISPER]),
        batch=np.concatenate([np.tile(ones, before), batch, ones[None]]),
    )


# Of full power: an upload that takes longer than any delay budget.
_WHISPER = 1e-15
