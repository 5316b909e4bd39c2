"""Plans: open-loop decisions for a whole episode, read off a solved program and playable by the dynamics."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from edgelearn_env.baselines.two_stage.model.closed_forms import Processor
from edgelearn_env.baselines.two_stage.model.planned_episode import Batches, PlannedEpisode
from edgelearn_env.baselines.two_stage.model.round_times import RoundTimes
from edgelearn_env.model import Observed
from edgelearn_env.physics.battery import battery_after_round_j
from edgelearn_env.physics.compute import compute_energy_j, compute_time_s
from edgelearn_env.two_stage.records import Allocation

_NUDGE = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to do in every round, whatever happens; a policy for `rollout`.

    Attributes:
        allocations: one row a round, and a last one that stops: it asks for an upload so slow that the round cannot
            be counted, the model's only way to end an episode with budgets left.
        num_pretrain_rounds: M.
        num_finetune_rounds: N.
    """

    allocations: Allocation
    num_pretrain_rounds: int
    num_finetune_rounds: int

    @property
    def server_batch(self) -> np.ndarray:
        """b of the pre-training rounds, (M,)."""
        server_batch: np.ndarray = self.allocations.server_batch
        return server_batch[: self.num_pretrain_rounds]

    @property
    def batch(self) -> np.ndarray:
        """b of the fine-tuning rounds, 0 for those who are silent, (N, K)."""
        batch: np.ndarray = self.allocations.batch
        return batch[self.num_pretrain_rounds : -1]

    @property
    def has_whole_batches(self) -> bool:
        """Whether the environment can play it as it is: no batch is fractional."""
        return all(np.array_equal(batch, np.round(batch)) for batch in (self.server_batch, self.batch))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays by name, for a file; `from_arrays` is the inverse."""
        rounds = np.array([self.num_pretrain_rounds, self.num_finetune_rounds])
        return {"rounds": rounds, **self.allocations._asdict()}

    def to_dict(self) -> dict[str, Any]:
        """The decisions of each stage in plain types, without those for the stage that is not played."""
        count, decided = self.num_pretrain_rounds, self.allocations
        return {
            "num_pretrain_rounds": count,
            "num_finetune_rounds": self.num_finetune_rounds,
            **{name: getattr(decided, name)[:count].tolist() for name in ("server_freq_hz", "server_batch")},
            **{name: getattr(decided, name)[count:-1].tolist() for name in ("freq_hz", "power_w", "batch")},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """What `to_arrays` wrote."""
        num_pretrain, num_finetune = arrays["rounds"].tolist()
        allocations = Allocation(**{name: arrays[name] for name in Allocation._fields})
        return cls(allocations=allocations, num_pretrain_rounds=num_pretrain, num_finetune_rounds=num_finetune)

    def __call__(self, observed: Observed) -> Allocation:
        """The decisions for the round each episode is in."""
        row = np.minimum(observed.state.round_index, self.num_pretrain_rounds + self.num_finetune_rounds)
        return Allocation(*(array[row] for array in self.allocations))


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
        server_batch = shorten(_affordable_batch(server, times.server_batch, times.server_s) * keep + _NUDGE)
        batch = shorten(_affordable_batch(devices, times.batch, times.compute_s) * keep + _NUDGE)
        server_batch, batch = np.clip(server_batch, 1, server.batch_max), np.clip(batch, 1, devices.batch_max)
    batch = np.where(episode.participates, batch, 0.0)
    server_freq_hz = _clock_hz(server, server_batch, times.server_s)
    server_s = compute_time_s(server.cycles_per_sample, server_batch, server_freq_hz)
    charge = episode.start.battery_j + server_s @ episode.pretrain_harvest_w
    batch, freq_hz, upload_s = _filled_rounds(episode, times, batch, charge, cut=1.0 if whole_batches else 0.0)
    return Plan(
        allocations=_rows(episode, server_freq_hz, server_batch, freq_hz, _power_w(episode, upload_s), batch),
        num_pretrain_rounds=episode.num_pretrain_rounds,
        num_finetune_rounds=episode.num_finetune_rounds,
    )


def nearest_batches(episode: PlannedEpisode, times: RoundTimes, scale: float = 1.0) -> Batches:
    """All batches times a number, then the whole number below or above, whichever is nearer by ratio."""
    server, devices = episode.scenario.server, episode.scenario.devices
    return Batches(
        _nearest(scale * times.server_batch, server.batch_max), _nearest(scale * times.batch, devices.batch_max)
    )


def _nearest(batch: np.ndarray, batch_max: np.ndarray | float) -> np.ndarray:
    below = np.floor(batch)
    whole = np.where(batch > np.sqrt(below * (below + 1)), below + 1, below)
    nearest: np.ndarray = np.clip(whole, 1, batch_max)
    return nearest


def _affordable_batch(processor: Processor, batch: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """The batch, less what it is beyond the clock's limits by a solver's rounding.

    Too fast a clock is cut to the highest, at which fewer samples fit into the same time; too slow a one is raised to
    the lowest, at which fewer samples cost the same energy.
    """
    freq_hz = processor.cycles_per_sample * batch / seconds
    cut, raised = np.minimum(1, processor.freq_max_hz / freq_hz), np.minimum(1, freq_hz / processor.freq_min_hz)
    affordable: np.ndarray = batch * cut * raised**2
    return affordable


def _clock_hz(processor: Processor, batch: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """The frequency that computes `batch` in `seconds`, within the clock's limits."""
    asked_hz = processor.cycles_per_sample * batch / seconds
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
        cut: samples to take off a batch, again and again, while its device's battery does not cover the round.
    """
    capacity_j, radio, devices = episode.scenario.energy.battery_capacity_j, episode.scenario.radio, episode.devices
    battery_j, batch, uploads_s = np.minimum(charge_j, capacity_j), batch.copy(), np.empty_like(batch)
    duration_s = np.where(episode.is_idle, radio.idle_s, times.duration_s + radio.downlink_s)
    for n, harvest_w in enumerate(episode.finetune_harvest_w):
        short = episode.participates[n]
        while short.any():
            freq_hz = _clock_hz(devices, batch[n], times.compute_s[n])
            uploads_s[n] = _stretched_s(episode, times, n, compute_time_s(devices.cycles_per_sample, batch[n], freq_hz))
            energy_j = _energy_j(episode, n, batch[n], freq_hz, uploads_s[n])
            short = (energy_j > battery_j) & (batch[n] > 1) & (cut > 0)
            batch[n] = np.where(short, np.maximum(batch[n] - cut, 1.0), batch[n])
        if episode.is_idle[n]:
            uploads_s[n], energy_j = episode.uplink.least_s[n], np.zeros_like(battery_j)
        battery_j = battery_after_round_j(battery_j, energy_j, harvest_w, duration_s[n], capacity_j)
    return batch, _clock_hz(devices, np.maximum(batch, 1.0), times.compute_s), uploads_s


def _stretched_s(episode: PlannedEpisode, times: RoundTimes, n: int, compute_s: np.ndarray) -> np.ndarray:
    """Upload times with which round n lasts as planned, (K,)."""
    fastest_s = episode.uplink.least_s[n]
    slowest_s = np.inf if episode.restriction.power_w is None else fastest_s
    upload_s: np.ndarray = np.clip(times.duration_s[n] - compute_s, fastest_s, slowest_s)
    return upload_s


def _energy_j(
    episode: PlannedEpisode, n: int, batch: np.ndarray, freq_hz: np.ndarray, upload_s: np.ndarray
) -> np.ndarray:
    """What the devices spend in round n, J, (K,)."""
    devices, uplink = episode.devices, episode.uplink
    computed_j = compute_energy_j(devices.capacitance_j_s2, devices.cycles_per_sample, batch, freq_hz)
    uploaded_j = uplink.noise_w[n] * np.expm1(uplink.nats_s / upload_s) * upload_s
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
