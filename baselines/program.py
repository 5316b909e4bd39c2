"""The conic program of an episode with fixed numbers of rounds: the independent statement of the model, in cvxpy.

Times replace frequencies and powers: a batch b computed in t takes kappa a^3 b^3 / t^2 joules (power cone), an upload
of u seconds takes (N_0 W / g) u (2^(Q / (u W)) - 1) joules (exponential cone), and 1/b is a second-order cone.
"""

import warnings
from typing import NamedTuple

import cvxpy as cp
import numpy as np

from edgelearn_env.baselines.dual import Multipliers
from edgelearn_env.baselines.planned_episode import PlannedEpisode
from edgelearn_env.baselines.prices import Processor


class RoundTimes(NamedTuple):
    """What the program decides, in physical units: batch sizes and times of every round.

    Attributes:
        server_batch, server_s: b and t of the pre-training rounds, (M,).
        batch, compute_s, upload_s: b, t and u of the fine-tuning rounds, (N, K).
        duration_s: D without the downlink, (N,).
    """

    server_batch: np.ndarray
    server_s: np.ndarray
    batch: np.ndarray
    compute_s: np.ndarray
    upload_s: np.ndarray
    duration_s: np.ndarray

    @classmethod
    def none(cls, num_devices: int) -> "RoundTimes":
        """No rounds at all."""
        no_round, no_device = np.zeros(0), np.zeros((0, num_devices))
        return cls(no_round, no_round, no_device, no_device, no_device, no_round)


class Solution(NamedTuple):
    """A solved program: primal point and multipliers."""

    times: RoundTimes
    multipliers: Multipliers


class _Scales(NamedTuple):
    """Units in which every variable of the program is of order one.

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

    @classmethod
    def of(cls, episode: PlannedEpisode) -> "_Scales":
        num_pretrain, num_finetune = np.sum(episode.pretrain_repeats), np.sum(episode.finetune_repeats)
        scenario, server, devices = episode.scenario, episode.server, episode.devices
        second = episode.start.delay_s / (num_pretrain + num_finetune)
        joule = 1.5 * episode.start.energy_j / max(num_finetune, 1) / scenario.num_devices
        server_second = min(second, float(server.cycles_per_sample * server.batch_max / server.freq_min_hz))
        compute_second = np.minimum(second, devices.cycles_per_sample * devices.batch_max / devices.freq_min_hz)
        return cls(
            second=second,
            joule=joule,
            server_second=server_second,
            server_joule=episode.start.energy_j / max(num_pretrain, 1) / 2,
            server_batch=_batch_within(server_second, server),
            compute_second=compute_second,
            device_joule=np.minimum(joule, scenario.energy.battery_capacity_j),
            batch=_batch_within(compute_second, devices),
        )


def _batch_within(seconds: float | np.ndarray, processor: Processor) -> float | np.ndarray:
    """The batch a middling clock computes in half of `seconds`, within the limits."""
    middle_hz = np.sqrt(processor.freq_min_hz * processor.freq_max_hz)
    return np.clip(seconds * middle_hz / processor.cycles_per_sample / 2, 1.0, processor.batch_max)


class _Stage(NamedTuple):
    """One stage's share of the program: constraints, and what it adds to the objective and to the budgets' use."""

    constraints: list[cp.Constraint]
    noise: cp.Expression | float
    seconds: cp.Expression | float
    joules: cp.Expression | float


# A certificate is asked for 1e-5; Clarabel's own tolerances of 1e-8 are at times just out of its reach. With steps of
# 0.99 of the way to the cones' boundary instead of 0.9 it gives up on some programs, mostly those of many devices.
CLARABEL = {"tol_feas": 1e-7, "tol_gap_abs": 1e-6, "tol_gap_rel": 1e-6, "max_step_fraction": 0.9}

# The program counts every energy and duration this much too high: the plan read off it then stays within hard budgets
# in spite of the solver's rounding, at a cost in the bound far below the certificate's gap.
MARGIN = 5e-7


class EpisodeProgram:
    """The program of one episode, ready to be solved.

    minimise   sum_m c_m / b_m + sum_n sum_k d_k / b_nk
    subject to sum t_m + sum D_n + overheads <= T, all energies + overheads <= E,
               w + t + u <= D, e <= battery + h w, e <= capacity,
               battery[n+1] <= battery[n] - e + h (D + overhead), 0 <= battery <= capacity,
               f_min t <= a b <= f_max t, e_upload <= p_max u, 1 <= b <= b_max, w >= 0.

    The inequality of the batteries is exact: more charge never hurts. That a D longer than any device needs can be
    played as well is shown by `plan.plan_from_times`.

    With an `overdraft_price`, budgets and batteries may be overdrawn for that much per unit of the program's scales,
    where the bound is of order one. That always has a solution, whose multipliers make a lower bound like any others;
    where the budgets do not allow so many rounds they prove it, by a high bound.
    """

    def __init__(self, episode: PlannedEpisode, *, overdraft_price: float | None = None) -> None:
        self.episode = episode
        self._overdraft_price = overdraft_price
        self._scales = _Scales.of(episode)
        self._overdrafts: list[cp.Variable] = []
        num_pretrain, num_finetune = episode.num_pretrain_rounds, episode.num_finetune_rounds
        shape = (num_finetune, episode.scenario.num_devices)
        self._server_batch, self._server_s, self._server_j = (cp.Variable(num_pretrain) for _ in range(3))
        self._batch, self._compute_s, self._upload_s, self._wait_s = (cp.Variable(shape) for _ in range(4))
        self._compute_j, self._upload_j, self._battery_j = (cp.Variable(shape) for _ in range(3))
        self._duration_s = cp.Variable(num_finetune)
        stages = []
        if num_pretrain:
            stages.append(self._pretraining())
        if num_finetune:
            stages.append(self._finetuning())
        scales = self._scales
        seconds, joules = (sum(uses) for uses in zip(*((stage.seconds, stage.joules) for stage in stages), strict=True))
        self._delay = seconds <= episode.finetune_delay_s / scales.second + self._overdraft(())
        self._energy = joules <= episode.finetune_energy_j / scales.joule + self._overdraft(())
        constraints = [self._delay, self._energy, *(c for stage in stages for c in stage.constraints)]
        self._unit = episode.form.constant
        cost = sum(stage.noise for stage in stages) / self._unit
        cost += sum(overdraft_price * cp.sum(overdraft) for overdraft in self._overdrafts)
        self._problem = cp.Problem(cp.Minimize(cost), constraints)

    def solve(self) -> Solution | None:
        """Solve with Clarabel; None without a solution of full accuracy, as where budgets forbid so many rounds."""
        with warnings.catch_warnings():
            # A solution of reduced accuracy is not taken for one.
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")
            try:
                self._problem.solve(solver=cp.CLARABEL, **CLARABEL)
            except cp.SolverError:
                return None
        if self._problem.status != cp.OPTIMAL:
            return None
        return Solution(self._times(), self._multipliers())

    def _overdraft(self, shape: tuple[int, ...]) -> cp.Variable | float:
        """How far a constraint is overdrawn; 0 unless that has a price."""
        if self._overdraft_price is None:
            return 0.0
        self._overdrafts.append(cp.Variable(shape, nonneg=True))
        return self._overdrafts[-1]

    def _pretraining(self) -> _Stage:
        server, scales, repeats = self.episode.server, self._scales, self.episode.pretrain_repeats
        cycles_s = server.cycles_per_sample * scales.server_batch / scales.server_second
        joules = server.capacitance_j_s2 * cycles_s**3 * scales.server_second / scales.server_joule
        batch, seconds, inverse = self._server_batch, self._server_s, cp.Variable(self._server_batch.shape)
        constraints = [
            cp.PowCone3D(self._server_j, seconds, np.cbrt(joules) * batch, 1 / 3),
            seconds <= batch * (cycles_s / server.freq_min_hz),
            seconds >= batch * (cycles_s / server.freq_max_hz),
            batch >= 1 / scales.server_batch,
            batch <= server.batch_max / scales.server_batch,
            _at_least_inverse(inverse, batch),
        ]
        return _Stage(
            constraints,
            noise=cp.sum(cp.multiply(self.episode.server_noise_price / scales.server_batch, inverse)),
            seconds=repeats @ seconds * (scales.server_second / scales.second * (1 + MARGIN)),
            joules=repeats @ self._server_j * (scales.server_joule / scales.joule * (1 + MARGIN)),
        )

    def _finetuning(self) -> _Stage:
        scales = self._scales
        inverse, repeats = cp.Variable(self._batch.shape), self.episode.finetune_repeats
        energy_j = (self._compute_j + self._upload_j) * (1 + MARGIN)
        constraints = [*self._computing(inverse), *self._uploading(), *self._waiting(energy_j)]
        return _Stage(
            constraints,
            noise=cp.sum(repeats @ cp.multiply(self._wide(self.episode.device_noise_price / scales.batch), inverse)),
            seconds=repeats @ self._duration_s * (1 + MARGIN),
            joules=repeats @ (energy_j @ (scales.device_joule / scales.joule)),
        )

    def _computing(self, inverse: cp.Variable) -> list[cp.Constraint]:
        """Compute energy, clock limits and batch limits of the devices."""
        devices, scales = self.episode.devices, self._scales
        cycles_s = devices.cycles_per_sample * scales.batch / scales.compute_second
        joules = devices.capacitance_j_s2 * cycles_s**3 * scales.compute_second / scales.device_joule
        batch, seconds = self._batch, self._compute_s
        scaled_batch = cp.multiply(self._wide(np.cbrt(joules)), batch)
        return [
            cp.PowCone3D(_flat(self._compute_j), _flat(seconds), _flat(scaled_batch), 1 / 3),
            seconds <= cp.multiply(batch, self._wide(cycles_s / devices.freq_min_hz)),
            seconds >= cp.multiply(batch, self._wide(cycles_s / devices.freq_max_hz)),
            batch >= self._wide(1 / scales.batch),
            batch <= self._wide(devices.batch_max / scales.batch),
            _at_least_inverse(_flat(inverse), _flat(batch)),
        ]

    def _uploading(self) -> list[cp.Constraint]:
        """Upload energy, u (e^(nats / u) - 1) noise <= e, and the power limit.

        The cone u e^(x / u) <= z is written u e^(x / u - s) <= z e^-s with s half the logarithm of the best SNR, which
        keeps z of order one; without this the solver needs twice the iterations and may end inaccurate.
        """
        uplink, scales = self.episode.uplink, self._scales
        nats = self._wide(uplink.nats_s / scales.second)
        noise = uplink.noise_w * scales.second / scales.device_joule
        shift = 0.5 * np.log1p(uplink.power_max_w / uplink.noise_w)
        seconds, joules = self._upload_s, self._upload_j
        decay = np.exp(-shift)
        return [
            cp.ExpCone(
                _flat(nats - cp.multiply(shift, seconds)),
                _flat(seconds),
                _flat(cp.multiply(decay / noise, joules) + cp.multiply(decay, seconds)),
            ),
            joules <= cp.multiply(seconds, self._wide(uplink.power_max_w * scales.second / scales.device_joule)),
        ]

    def _waiting(self, energy_j: cp.Expression) -> list[cp.Constraint]:
        """Rounds that wait for their devices, devices that wait for their batteries."""
        episode, scales = self.episode, self._scales
        watts = scales.second / scales.device_joule
        capacity = self._wide(episode.scenario.energy.battery_capacity_j / scales.device_joule)
        duration = cp.reshape(self._duration_s, (episode.num_finetune_rounds, 1), order="C") @ np.ones(
            (1, episode.scenario.num_devices)
        )
        harvest = episode.finetune_harvest_w * watts
        with_downlink = duration + episode.scenario.radio.downlink_s / scales.second
        filled = episode.start.battery_j / scales.device_joule
        if episode.num_pretrain_rounds:
            # While nothing is spent, a battery is min(capacity, initial + harvest): one inequality does for the stage.
            server_watts = scales.server_second / scales.device_joule
            harvested = episode.pretrain_harvest_w * episode.pretrain_repeats[:, None] * server_watts
            filled = filled + harvested.T @ self._server_s
        paid_j = energy_j - self._overdraft(self._batch.shape)
        gained_j = cp.multiply(harvest, with_downlink) - paid_j
        left = self._battery_j + cp.multiply(np.tile(episode.finetune_repeats[:, None], paid_j.shape[1]), gained_j)
        compute_s = cp.multiply(self._wide(scales.compute_second / scales.second), self._compute_s)
        self._finish = self._wait_s + compute_s + self._upload_s <= duration
        self._pay = paid_j <= self._battery_j + cp.multiply(harvest, self._wait_s)
        self._start = self._battery_j[0] <= filled
        self._store = self._battery_j[1:] <= left[:-1]
        self._hold = paid_j <= capacity
        constraints = [self._finish, self._pay, self._start, self._hold]
        constraints += [self._battery_j >= 0, self._battery_j <= capacity, self._wait_s >= 0]
        return [*constraints, self._store] if episode.num_finetune_rounds > 1 else constraints

    def _wide(self, per_device: np.ndarray) -> np.ndarray:
        """A (K,) array as (N, K)."""
        return np.broadcast_to(per_device, self._batch.shape)

    def _times(self) -> RoundTimes:
        scales = self._scales

        def value(variable: cp.Variable) -> np.ndarray:
            return np.zeros(variable.shape) if variable.value is None else variable.value

        return RoundTimes(
            server_batch=value(self._server_batch) * scales.server_batch,
            server_s=value(self._server_s) * scales.server_second,
            batch=value(self._batch) * scales.batch,
            compute_s=value(self._compute_s) * scales.compute_second,
            upload_s=value(self._upload_s) * scales.second,
            duration_s=value(self._duration_s) * scales.second,
        )

    def _multipliers(self) -> Multipliers:
        """The solver's multipliers in physical units."""
        scales = self._scales
        per_second, per_joule = self._unit / scales.second, self._unit / scales.device_joule
        time = float(self._delay.dual_value) * per_second
        energy = float(self._energy.dual_value) * self._unit / scales.joule
        if not self.episode.num_finetune_rounds:
            nothing = np.zeros(self._batch.shape)
            return Multipliers(time, energy, nothing, nothing, nothing, nothing)
        carry = [np.reshape(self._start.dual_value, (1, -1))]
        if self.episode.num_finetune_rounds > 1:
            carry.append(self._store.dual_value)
        return Multipliers(
            time=time,
            energy=energy,
            finish=self._finish.dual_value * per_second,
            pay=self._pay.dual_value * per_joule,
            carry=np.concatenate(carry) * per_joule,
            hold=self._hold.dual_value * per_joule,
        )


def _flat(expression: cp.Expression) -> cp.Expression:
    return cp.vec(expression, order="C")


def _at_least_inverse(inverse: cp.Expression, batch: cp.Expression) -> cp.Constraint:
    """inverse >= 1 / batch, as |(2, inverse - batch)| <= inverse + batch."""
    return cp.SOC(inverse + batch, cp.vstack([np.full(batch.shape, 2.0), inverse - batch]))
