"""A convex approximation of a static design around a point: products of positive factors, replaced from above.

With all quantities as ratios x, y to the point, x y <= (x^2 + y^2) / 2: exact, and of the same slope, where both are 1.
"""

import contextlib
import warnings
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np

from edgelearn_env.baselines.stages.static.rounds import StaticConstants
from edgelearn_env.errors import SolverError

# Numbers at a point, or the parameters of a program that stand for them.
Array = Any

# Price of exceeding a budget twofold, in units of the start; most that one program may change anything by, as a factor.
_EXCESS_PRICE, _STRETCH = 1e2, 10.0

# Clarabel's own tolerances of 1e-8 are at times just out of its reach, mostly where devices are many; if these are too,
# it is without its own scaling, or to 1e-6, that a program is solved.
CLARABEL = {"tol_feas": 1e-7, "tol_gap_abs": 1e-7, "tol_gap_rel": 1e-7, "max_step_fraction": 0.9}
_ATTEMPTS: tuple[dict[str, Any], ...] = (
    CLARABEL,
    CLARABEL | {"equilibrate_enable": False},
    CLARABEL | {"tol_feas": 1e-6, "tol_gap_abs": 1e-6, "tol_gap_rel": 1e-6},
)


class Point(NamedTuple):
    """Server's batch and clock, (1,) each; devices' batches, clocks, powers and upload times, (K,) each; SI units."""

    server_batch: np.ndarray
    server_freq_hz: np.ndarray
    batch: np.ndarray
    freq_hz: np.ndarray
    power_w: np.ndarray
    upload_s: np.ndarray


class Terms(NamedTuple):
    """What all rounds use at a point, relative to the budgets, and what the point may still be multiplied by.

    Attributes:
        server_noise, device_noise: terms of X.
        server_time, device_time, upload_time: shares of the delay budget, (1,), (K,), (K,).
        server_energy, device_energy, upload_energy: shares of the energy budget, likewise.
        left: of both budgets when the downlinks are paid, (2,).
        snr: signal-to-noise ratio, (K,); `nats` is ln(1 + SNR) that the upload time asks for, (K,).
        low, high: least and largest ratio of every quantity of the point to its value.
    """

    server_noise: Array
    device_noise: Array
    server_time: Array
    device_time: Array
    upload_time: Array
    server_energy: Array
    device_energy: Array
    upload_energy: Array
    left: Array
    snr: Array
    nats: Array
    low: Array
    high: Array


def terms_at(constants: StaticConstants, pair: tuple[int, int], point: Point) -> Terms:
    """The parameters of the program around a point, for a pair (M, N)."""
    num_pretrain, num_finetune = pair
    budgets, radio = constants.scenario.budgets, constants.scenario.radio
    server, devices, uplink = constants.server, constants.devices, constants.uplink
    weight, count = constants.server_rounds(num_pretrain)
    server_cycles = num_pretrain * server.cycles_per_sample * point.server_batch
    cycles = num_finetune * devices.cycles_per_sample * point.batch
    most = (server.batch_max, server.freq_max_hz, devices.batch_max, devices.freq_max_hz, uplink.power_max_w, np.inf)
    least = (1.0, server.freq_min_hz, 1.0, devices.freq_min_hz, 0.0, 0.0)
    return Terms(
        server_noise=count @ weight / point.server_batch,
        device_noise=num_finetune * constants.device_noise / point.batch,
        server_time=server_cycles / point.server_freq_hz / budgets.delay_s,
        device_time=cycles / point.freq_hz / budgets.delay_s,
        upload_time=num_finetune * point.upload_s / budgets.delay_s,
        server_energy=server.capacitance_j_s2 * server_cycles * point.server_freq_hz**2 / budgets.energy_j,
        device_energy=devices.capacitance_j_s2 * cycles * point.freq_hz**2 / budgets.energy_j,
        upload_energy=num_finetune * point.power_w * point.upload_s / budgets.energy_j,
        left=1 - num_finetune * np.array([radio.downlink_s / budgets.delay_s, radio.downlink_j / budgets.energy_j]),
        snr=point.power_w / uplink.noise_w,
        nats=uplink.nats_s / point.upload_s,
        low=np.concatenate([np.maximum(low / at, 1 / _STRETCH) for low, at in zip(least, point, strict=True)]),
        high=np.concatenate([np.minimum(high / at, _STRETCH) for high, at in zip(most, point, strict=True)]),
    )


class Approximation:
    """The convex program around a point, compiled once: variables are ratios to the point, parameters are `Terms`.

    Budgets may be exceeded at a high price, so that it can begin anywhere; where that remains, there is no design.
    """

    def __init__(self, num_devices: int) -> None:
        sizes = (1, 1, num_devices, num_devices, num_devices, num_devices)
        self._ratios = batch_s, freq_s, batch, freq, power, upload = [cp.Variable(size) for size in sizes]
        size_of = {"server": 1, "left": 2, "low": sum(sizes), "high": sum(sizes)}
        size_of = {name: size_of.get(name.split("_")[0], num_devices) for name in Terms._fields}
        self._terms = Terms(*(cp.Parameter(size, nonneg=name != "left") for name, size in size_of.items()))
        terms, self._excess = self._terms, cp.Variable(2, nonneg=True)
        self._inverse_snr, self._log_snr = cp.Parameter(num_devices, nonneg=True), cp.Parameter(num_devices)
        server_s = _product(terms.server_time, batch_s, cp.power(freq_s, -1))
        device_s = _product(terms.device_time, batch, cp.power(freq, -1)) + cp.multiply(terms.upload_time, upload)
        server_j = _product(terms.server_energy, batch_s, cp.square(freq_s))
        device_j = _product(terms.device_energy, batch, cp.square(freq))
        upload_j = _product(terms.upload_energy, power, upload)
        everything = cp.hstack(self._ratios)
        constraints = [
            cp.sum(server_s) + device_s <= terms.left[0] + self._excess[0],
            cp.sum(server_j) + cp.sum(device_j) + cp.sum(upload_j) <= terms.left[1] + self._excess[1],
            cp.multiply(terms.nats, cp.inv_pos(upload)) <= self._log_snr + cp.log(self._inverse_snr + power),
            everything >= terms.low,
            everything <= terms.high,
        ]
        noise = cp.sum(cp.multiply(terms.server_noise, cp.inv_pos(batch_s)))
        noise += cp.sum(cp.multiply(terms.device_noise, cp.inv_pos(batch)))
        self._problem = cp.Problem(cp.Minimize(noise + _EXCESS_PRICE * cp.sum(self._excess)), constraints)
        self.num_programs = 0

    def solve(self, terms: Terms, start: float) -> tuple[list[np.ndarray], float]:
        """Ratios of the best point to the given one, and the larger share by which a budget is exceeded.

        Raises:
            SolverError: the program, which always has a solution, could not be solved.
        """
        scaled = terms._replace(server_noise=terms.server_noise / start, device_noise=terms.device_noise / start)
        for parameter, value in zip(self._terms, scaled, strict=True):
            parameter.value = value
        self._inverse_snr.value, self._log_snr.value = 1 / terms.snr, np.log(terms.snr)
        self.num_programs += 1
        for options in _ATTEMPTS:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Solution may be inaccurate")
                with contextlib.suppress(cp.SolverError):
                    self._problem.solve(solver=cp.CLARABEL, warm_start=False, **options)
                    if self._problem.status == cp.OPTIMAL:
                        ratios = [np.asarray(ratio.value) for ratio in self._ratios]
                        return ratios, float(np.max(np.asarray(self._excess.value)))
        raise SolverError("the approximation of a static design around a point could not be solved")


def _product(size: cp.Parameter, first: cp.Expression, second: cp.Expression) -> cp.Expression:
    """size first second, from above: size (first^2 + second^2) / 2, exact where both are 1."""
    product: cp.Expression = cp.multiply(size, cp.square(first) + cp.square(second)) / 2
    return product
