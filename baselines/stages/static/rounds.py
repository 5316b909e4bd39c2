"""Rounds of a system whose channel does not vary and whose batteries never run short, at given prices.

The learning bound of M and N rounds is Phi = unit (start + X) with unit and start fixed by (M, N), and

    X = sum_m server_noise decay^(M-1-m) / b_m + sum_n sum_k omega_k^2 sigma_k^2 / b_{n,k},

the only part that batches, frequencies and powers decide. Prices of a second and of a joule are in units of X.
"""

import dataclasses
from typing import Any, NamedTuple, Self

import numpy as np

from edgelearn_env.baselines.stages.model.closed_forms import (
    Processor,
    Uplink,
    cheapest_frequency_hz,
    cheapest_upload,
)
from edgelearn_env.baselines.stages.model.hardware import device_processors, server_processor, uplinks
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED, Restriction
from edgelearn_env.scenarios.scenario import checked_scenario
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.tape import Tape

Array = Any


def average_tape(scenario: StagedScenario) -> Tape:
    """The tape on which every round is as on average: no fading, steady harvest; (T, K)."""
    shape = (scenario.budgets.max_rounds, scenario.num_devices)
    gain, harvest_w = scenario.mean_channel_gain, scenario.energy.harvest_mean_w
    return Tape(np.broadcast_to(gain, shape).copy(), np.broadcast_to(harvest_w, shape).copy())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StaticConstants:
    """What the static design reads from a scenario.

    Attributes:
        scenario: the system.
        server, devices, uplink: as `closed_forms` take them, the channel at its mean.
        device_noise: omega_k^2 sigma_k^2, (K,).
        server_noise: what 1/b of the last pre-training round adds to X.
        decay: weight of a pre-training round relative to that of the next one.
        unit: Phi of a unit of X, for all pairs, (T + 1, T + 1), M by N.
        start: Phi without any gradient noise, in units of X, likewise.
        delay_s, energy_j: the budgets.
        restriction: what designs must keep to besides.
    """

    scenario: StagedScenario
    server: Processor
    devices: Processor
    uplink: Uplink
    device_noise: np.ndarray
    server_noise: float
    decay: float
    unit: np.ndarray
    start: np.ndarray
    delay_s: float
    energy_j: float
    restriction: Restriction = UNRESTRICTED

    @classmethod
    def of(cls, scenario: StagedScenario, restriction: Restriction = UNRESTRICTED) -> Self:
        """The scenario's constants; both objectives weigh the stages' noise alike in all pairs."""
        checked_scenario(scenario, StagedScenario)
        rounds = np.arange(scenario.budgets.max_rounds + 1)
        quotient = scenario.bound.quotient_form(rounds[:, None])
        form = quotient.at(rounds[None, :])
        unit = np.broadcast_to(form.finetune_weight, (len(rounds), len(rounds)))
        return cls(
            scenario=scenario,
            server=server_processor(scenario),
            devices=device_processors(scenario),
            uplink=restriction.of_uplink(uplinks(scenario, scenario.mean_channel_gain)),
            device_noise=scenario.gradient_noise_weight,
            server_noise=quotient.pretrain_weight / quotient.finetune_weight,
            decay=quotient.pretrain_decay,
            unit=unit,
            start=np.broadcast_to(form.constant, unit.shape) / unit,
            delay_s=scenario.budgets.delay_s,
            energy_j=scenario.budgets.energy_j,
            restriction=restriction,
        )

    def with_share(self, share: float) -> Self:
        """The system with this share of both budgets."""
        return dataclasses.replace(self, delay_s=float(share * self.delay_s), energy_j=float(share * self.energy_j))

    @property
    def least_upload_s(self) -> np.ndarray:
        """u at full power, s, (K,)."""
        return np.asarray(self.uplink.least_s)

    def server_rounds(self, num_rounds: int) -> tuple[np.ndarray, np.ndarray]:
        """Noise weights of the M pre-training rounds, the last one first, and how many rounds share each."""
        if self.decay == 1.0:
            return np.full(min(num_rounds, 1), self.server_noise), np.full(min(num_rounds, 1), float(num_rounds))
        return self.server_noise * self.decay ** np.arange(num_rounds), np.ones(num_rounds)


class LeastCost(NamedTuple):
    """min of noise + time_price seconds + energy_price joules, where it is attained, and its second derivatives.

    Attributes:
        cost: the minimum.
        seconds, joules: at the minimum; its derivatives in the two prices.
        time_time, time_energy, energy_energy: second derivatives in the prices, times both prices.
        batch, freq_hz: at the minimum.
    """

    cost: Array
    seconds: Array
    joules: Array
    time_time: Array
    time_energy: Array
    energy_energy: Array
    batch: Array
    freq_hz: Array


NO_SERVER_ROUND = LeastCost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, np.zeros(0), np.nan)


class _Sample(NamedTuple):
    """One sample at its cheapest clock: cost of its time and of its energy, whether the clock is inside its limits."""

    time_cost: Array
    energy_cost: Array
    freq_hz: Array
    inside: Array


def device_costs(constants: StaticConstants, time_price: np.ndarray, energy_price: float) -> LeastCost:
    """Least cost of each device's part of a fine-tuning round, (K,), for prices above 0.

    A sample costs q = time_price a / f + energy_price kappa a f^2, which inside the clock's limits is proportional to
    time_price^(2/3) energy_price^(1/3); whence the derivatives. Those of the upload follow from
    time_price / energy_price = noise (e^x (x - 1) + 1) with x = ln(1 + SNR).
    """
    sample = _sample(time_price, energy_price, constants.devices)
    q = sample.time_cost + sample.energy_cost
    ideal = np.sqrt(constants.device_noise / q)
    batch = np.clip(ideal, 1.0, constants.devices.batch_max)
    kink = batch * q * (2 / 9 * sample.inside)
    bend = np.where(ideal == batch, batch / (2 * q), 0.0)
    uplink = constants.uplink
    upload_s = cheapest_upload(time_price, energy_price, uplink).seconds
    x = uplink.nats_s / upload_s
    upload_j = upload_s * uplink.noise_w * np.expm1(x)
    below_full_power = upload_s > constants.least_upload_s * (1 + 1e-12)
    slowing = np.where(
        below_full_power, time_price**2 * upload_s / (x**2 * np.exp(x) * uplink.noise_w * energy_price), 0.0
    )
    return LeastCost(
        cost=constants.device_noise / batch + batch * q + time_price * upload_s + energy_price * upload_j,
        seconds=batch * sample.time_cost / time_price + upload_s,
        joules=batch * sample.energy_cost / energy_price + upload_j,
        time_time=-kink - bend * sample.time_cost**2 - slowing,
        time_energy=kink - bend * sample.time_cost * sample.energy_cost + slowing,
        energy_energy=-kink - bend * sample.energy_cost**2 - slowing,
        batch=batch,
        freq_hz=sample.freq_hz,
    )


def server_costs(
    constants: StaticConstants, rounds: tuple[np.ndarray, np.ndarray], time_price: float, energy_price: float
) -> LeastCost:
    """Least cost of all pre-training rounds together, for prices above 0; `batch` is that of each weight."""
    weight, count = rounds
    if not len(weight):
        return NO_SERVER_ROUND
    sample = _sample(time_price, energy_price, constants.server)
    q = float(sample.time_cost + sample.energy_cost)
    ideal = np.sqrt(weight / q)
    batch = np.clip(ideal, 1.0, constants.server.batch_max)
    samples = float(count @ batch)
    kink = 2 / 9 * samples * q if sample.inside else 0.0
    bend = float(count @ (batch * (ideal == batch))) / (2 * q)
    return LeastCost(
        cost=float(count @ (weight / batch)) + samples * q,
        seconds=samples * float(sample.time_cost) / time_price,
        joules=samples * float(sample.energy_cost) / energy_price,
        time_time=-kink - bend * float(sample.time_cost) ** 2,
        time_energy=kink - bend * float(sample.time_cost * sample.energy_cost),
        energy_energy=-kink - bend * float(sample.energy_cost) ** 2,
        batch=batch,
        freq_hz=float(sample.freq_hz),
    )


def _sample(time_price: Array, energy_price: Array, processor: Processor) -> _Sample:
    freq_hz = cheapest_frequency_hz(time_price, energy_price, processor)
    cycles = processor.cycles_per_sample
    return _Sample(
        time_cost=time_price * cycles / freq_hz,
        energy_cost=energy_price * processor.capacitance_j_s2 * cycles * freq_hz**2,
        freq_hz=freq_hz,
        inside=(freq_hz > processor.freq_min_hz) & (freq_hz < processor.freq_max_hz),
    )
