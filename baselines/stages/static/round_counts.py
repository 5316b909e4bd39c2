"""The static design for given numbers of rounds: batches, frequencies and powers, by ascent on the dual function.

    minimise X subject to sum_m a b_m / f + N (D + downlink) <= T, all energies <= E, a b_k / f_k + u_k <= D.

With a price of a second for each device, whose sum is that of a second of the budget, and one of a joule, the
Lagrangian separates into the closed forms of `rounds`. Its value is a lower bound on X whatever the prices are.
"""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.stages.static.rounds import LeastCost, StaticConstants, device_costs, server_costs

# Prices may change by this much (in logarithm) in a step; the ascent stops when it could gain less than this, relative.
_LARGEST_STEP, _GAIN = 3.0, 1e-11

# Price of a joule below which the energy budget counts as loose: of what X can cost, per joule of the budget.
_LOOSE = 1e-10

# Least share of the price of time that a device is left with, and least price of time: of what X can cost, per second
# of the budget. At a fixed power some devices, or all, are early whatever they do, and from nothing their price would
# take long to rise again when they no longer are.
_IDLE, _UNHURRIED = 1e-12, 1e-14

# Curvature that is assumed at least, as a share of what prices pay for; it acts where a device can change nothing.
_CURVATURE, _MOST_STEPS = 1e-2, 200

# Damping is relative to prices times budgets. The least keeps a singular Hessian (all batches at limits, so that only
# the ratio of prices matters) from dividing by 0.
_LEAST_DAMPING, _MOST_DAMPING, _ROUNDING = 1e-10, 1e2, 1e-14

# Share of both budgets that is kept back, so that the design stays within them in spite of rounding.
MARGIN = 1e-9


class Prices(NamedTuple):
    """Price of a second of each device in a fine-tuning round, (K,), and of a joule, in units of X.

    A second of the delay budget is worth the sum over devices. Where pre-training has budgets of its own, these are the
    prices of fine-tuning, and `of_server` those of a second and of a joule of pre-training.
    """

    finish: np.ndarray
    energy: float
    of_server: tuple[float, float] | None = None

    @property
    def in_pretraining(self) -> tuple[float, float]:
        """Prices of a second and of a joule of pre-training."""
        return self.of_server or (float(np.sum(self.finish)), self.energy)


class Rounds(NamedTuple):
    """What is done in every round; of a stage that is not played the arrays are empty, or as cheap as can be.

    Attributes:
        server_batch: b of the pre-training rounds in their order, (M,).
        server_freq_hz: f of all of them.
        batch, freq_hz, upload_s: of each device in every fine-tuning round, (K,).
        duration_s: D without the downlink.
        noise: X.
    """

    server_batch: np.ndarray
    server_freq_hz: float
    batch: np.ndarray
    freq_hz: np.ndarray
    upload_s: np.ndarray
    duration_s: float
    noise: float


class RoundCounts(NamedTuple):
    """M pre-training and N > 0 fine-tuning rounds of a system."""

    constants: StaticConstants
    num_pretrain_rounds: int
    num_finetune_rounds: int

    @property
    def start(self) -> float:
        """Phi without noise, in units of X."""
        return float(self.constants.start[self.num_pretrain_rounds, self.num_finetune_rounds])

    @property
    def delay_s(self) -> float:
        """What the rounds are planned to last."""
        return self.constants.delay_s * (1 - MARGIN)

    @property
    def energy_j(self) -> float:
        """What the rounds are planned to cost."""
        return self.constants.energy_j * (1 - MARGIN)


class _Point(NamedTuple):
    """Prices, and what the Lagrangian's minimum does at them.

    `finish_s` is when all rounds would be over if each lasted as long as device k takes, (K,).
    """

    prices: Prices
    value: float
    finish_s: np.ndarray
    energy_j: float
    devices: LeastCost
    server: LeastCost


def solve_pair(pair: RoundCounts, prices: Prices, stop: float) -> tuple[Prices, Rounds | None]:
    """Best prices and rounds for (M, N); no rounds where budgets forbid so many, or X is certainly above `stop`.

    Newton's method on the logarithms of prices and of what they pay for, nearly straight lines to each other. Steps
    that do not raise the dual function are damped until they do, so that the ascent cannot fail to converge.

    Args:
        pair: numbers of rounds.
        prices: to begin with, above 0.
        stop: a value of X that is not worth reaching.
    """
    prices = prices._replace(energy=max(prices.energy, _least_energy_price(pair)))
    point, damping = _at(pair, prices), _LEAST_DAMPING
    for _ in range(_MOST_STEPS):
        if point.value > stop:
            return point.prices, None
        if _done(pair, point):
            break
        step = _ascent_step(pair, point, damping)
        tried = _at(pair, _moved(pair, point.prices, step))
        if tried.value >= point.value - _ROUNDING * pair.start:
            point, damping = tried, damping / 5 if damping > 1e-6 else _LEAST_DAMPING
        else:
            damping = min(max(10 * damping, 1e-4), _MOST_DAMPING)
    return point.prices, _affordable(pair, point)


def dual_value(pair: RoundCounts, prices: Prices) -> float:
    """A lower bound on X of every design with these numbers of rounds, from any prices."""
    return pair.start + _at(pair, prices).value


def _at(pair: RoundCounts, prices: Prices) -> _Point:
    constants, num_finetune = pair.constants, pair.num_finetune_rounds
    radio, time = constants.scenario.radio, float(np.sum(prices.finish))
    devices = device_costs(constants, prices.finish, prices.energy)
    server = server_costs(constants, constants.server_rounds(pair.num_pretrain_rounds), time, prices.energy)
    downlink = time * radio.downlink_s + prices.energy * radio.downlink_j
    value = server.cost + num_finetune * (float(np.sum(devices.cost)) + downlink)
    return _Point(
        prices=prices,
        value=value - time * pair.delay_s - prices.energy * pair.energy_j,
        finish_s=num_finetune * (devices.seconds + radio.downlink_s) + server.seconds,
        energy_j=num_finetune * (float(np.sum(devices.joules)) + radio.downlink_j) + server.joules,
        devices=devices,
        server=server,
    )


def _least_energy_price(pair: RoundCounts) -> float:
    return _LOOSE * pair.start / pair.energy_j


def _is_loose(pair: RoundCounts, point: _Point) -> bool:
    """Whether energy is left although it has (nearly) no price."""
    return point.prices.energy <= 1.01 * _least_energy_price(pair) and point.energy_j < pair.energy_j


def _done(pair: RoundCounts, point: _Point) -> bool:
    """Whether the prices are as good as optimal, and what they lead to is within the budgets."""
    prices, late_s, dear_j = point.prices, point.finish_s - pair.delay_s, point.energy_j - pair.energy_j
    gain = float(prices.finish @ np.abs(late_s))
    gain += 0.0 if _is_loose(pair, point) else prices.energy * abs(dear_j)
    affordable = np.max(late_s) <= MARGIN / 10 * pair.delay_s and dear_j <= MARGIN / 10 * pair.energy_j
    return bool(affordable) and gain <= _GAIN * pair.start


def _moved(pair: RoundCounts, prices: Prices, step: tuple[np.ndarray, float]) -> Prices:
    """Prices after a step in their logarithms."""
    by, energy = (np.exp(np.clip(change, -_LARGEST_STEP, _LARGEST_STEP)) for change in step)
    finish = prices.finish * by
    finish = np.maximum(finish, max(_IDLE * np.sum(finish), _UNHURRIED * pair.start / pair.delay_s))
    return Prices(finish, max(float(prices.energy * energy), _least_energy_price(pair)))


def _ascent_step(pair: RoundCounts, point: _Point, damping: float) -> tuple[np.ndarray, float]:
    """Changes of ln finish, (K,), and ln energy that solve (Hessian - damping) step = -gradient.

    For each budget, used - budget is replaced by used ln(used / budget): alike where they are equal, but straight in
    the logarithm of the price. The Hessian is diagonal but for a border (the price of a joule) and a term of rank one
    (the server, which sees the sum of `finish`), so two unknowns are left: the changes of that sum and of ln energy.
    """
    prices, devices, server = point.prices, point.devices, point.server
    finish, num_finetune = prices.finish, pair.num_finetune_rounds
    time = float(np.sum(finish))
    slope = finish * point.finish_s * np.log(point.finish_s / pair.delay_s)
    own = np.minimum(num_finetune * devices.time_time, -_CURVATURE * num_finetune * finish * devices.seconds)
    own = own - damping * finish * pair.delay_s
    by_energy = num_finetune * devices.time_energy
    border = by_energy + finish / time * server.time_energy
    shared = server.time_time / time**2
    # own step_k + finish_k shared total + border_k rise = -slope_k, with total = sum_k finish_k step_k.
    per_slope, per_total, per_rise = -slope / own, -finish * shared / own, -border / own
    if _is_loose(pair, point):
        total = (finish @ per_slope) / (1 - finish @ per_total)
        return per_slope + per_total * total, 0.0
    energy_slope = prices.energy * point.energy_j * np.log(point.energy_j / pair.energy_j)
    corner = num_finetune * float(np.sum(devices.energy_energy)) + server.energy_energy
    corner -= damping * prices.energy * pair.energy_j
    matrix = (
        (1 - finish @ per_total, -(finish @ per_rise)),
        (by_energy @ per_total + server.time_energy / time, by_energy @ per_rise + corner),
    )
    right = (finish @ per_slope, -energy_slope - by_energy @ per_slope)
    determinant = matrix[0][0] * matrix[1][1] - matrix[0][1] * matrix[1][0]
    total = (right[0] * matrix[1][1] - matrix[0][1] * right[1]) / determinant
    rise = (matrix[0][0] * right[1] - right[0] * matrix[1][0]) / determinant
    return per_slope + per_total * total + per_rise * rise, float(rise)


def _affordable(pair: RoundCounts, point: _Point) -> Rounds | None:
    """What the Lagrangian's minimum does, made to finish in time and cut until the energy budget is kept."""
    constants, num_finetune = pair.constants, pair.num_finetune_rounds
    radio, devices, server = constants.scenario.radio, constants.devices, constants.server
    weight, count = constants.server_rounds(pair.num_pretrain_rounds)
    server_batch, server_hz = point.server.batch, point.server.freq_hz
    batch, freq_hz = point.devices.batch, point.devices.freq_hz
    for _ in range(_CUTS):
        samples = float(count @ server_batch)
        server_s = samples * server.cycles_per_sample / server_hz if samples else 0.0
        duration_s = (constants.delay_s * (1 - MARGIN / 2) - server_s) / num_finetune - radio.downlink_s
        most_s = duration_s - constants.least_upload_s
        if np.any(most_s <= 0):
            return None
        # Where energy has next to no price, a device may be late at next to no cost: a faster clock makes up for it.
        freq_hz = np.clip(devices.cycles_per_sample * batch / most_s, freq_hz, devices.freq_max_hz)
        batch = np.minimum(batch, most_s * freq_hz / devices.cycles_per_sample)
        if np.any(batch < 1 - 1e-12):
            return None
        upload_s = duration_s - devices.cycles_per_sample * batch / freq_hz
        if constants.restriction.power_w is not None:
            upload_s = constants.least_upload_s
        upload_j = upload_s * constants.uplink.noise_w * np.expm1(constants.uplink.nats_s / upload_s)
        compute_j = num_finetune * np.sum(devices.capacitance_j_s2 * devices.cycles_per_sample * batch * freq_hz**2)
        compute_j += server.capacitance_j_s2 * server.cycles_per_sample * samples * server_hz**2 if samples else 0.0
        used_j = compute_j + num_finetune * (np.sum(upload_j) + radio.downlink_j)
        excess_j = used_j - constants.energy_j * (1 - MARGIN / 2)
        if excess_j <= 0:
            noise = count @ (weight / server_batch) + num_finetune * np.sum(constants.device_noise / batch)
            server_batch = np.repeat(server_batch, count.astype(int))[::-1]
            return Rounds(server_batch, server_hz, batch, freq_hz, upload_s, float(duration_s), float(noise))
        cut = 1 - excess_j / compute_j * (1 + 1e-3)
        server_batch, batch = np.maximum(server_batch * cut, 1.0), np.maximum(batch * cut, 1.0)
    return None


_CUTS = 8
