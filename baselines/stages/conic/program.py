"""The conic program of an episode with fixed numbers of rounds: the independent statement of the model, in cvxpy.

Times replace frequencies and powers: a batch b computed in t takes kappa a^3 b^3 / t^2 joules (power cone), an upload
of u seconds takes (N_0 W / g) u (2^(Q / (u W)) - 1) joules (exponential cone), and 1/b is a second-order cone.
"""

import functools
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import cvxpy as cp
import numpy as np

from edgelearn_env.baselines.solvers import QUICK_ATTEMPTS, SOLVERS, STRUCTURED, checked_solver
from edgelearn_env.baselines.stages.conic.program_data import Scales, program_data
from edgelearn_env.baselines.stages.conic.recurring_problem import RecurringProblem
from edgelearn_env.baselines.stages.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.stages.model.round_times import RoundTimes
from edgelearn_env.baselines.stages.solution import Multipliers, Solution
from edgelearn_env.baselines.stages.structured.numbers import Numbers
from edgelearn_env.baselines.stages.structured.solution import structured_solution

# Decisions about devices up to which a program that is compiled for its shape is soon worth it.
SMALL = 60

# How much longer, relative, rounds last than a thrifty program says, if there is time.
_EASE = 1e-4

_LOG = logging.getLogger(__name__)


class EpisodeProgram:
    """The program of one episode, ready to be solved.

    minimise   sum_m c_m / b_m + sum_n sum_k d_k / b_nk
    subject to sum t_m + sum D_n + overheads <= T, all energies + overheads <= E,
               t + u <= D and e <= battery for those who take part,
               battery[n+1] <= battery[n] - e + h (D + overhead), 0 <= battery <= capacity,
               f_min t <= a b <= f_max t, e_upload <= p_max u, 1 <= b <= b_max.

    Silent devices have variables too, on a channel of their own that costs nothing: their sums leave them out, and
    their constraints are loose. So programs of one shape differ in numbers alone. How long an idle round lasts is
    given.

    With a restriction, u = Q / rate(p) and e_upload = p u take the place of the upload's cone and limit, or sum t_m and
    its energy have budgets of their own. Where clocks or batches have no range, computing is linear in the batch, or
    the batch is a number.

    The inequality of the batteries is exact: more charge never hurts. That a D longer than any device needs can be
    played as well is shown by `plan.plan_from_times`.

    With an `overdraft_price`, budgets and batteries may be overdrawn for that much per unit of the program's scales,
    where the bound is of order one. That always has a solution, whose multipliers make a lower bound like any others;
    where the budgets do not allow so many rounds they prove it, by a high bound.

    With `thrifty` the budgets are multiplied by a share, and that is minimised: where batches are fixed, and so the
    bound, it is all that is open. A least share above 1 proves that the budgets do not allow so many rounds.

    With `recurring`, the program is compiled once for its shape and only filled with numbers from then on. That first
    compilation takes many times as long as one without parameters, so it pays for small shapes that come often.
    """

    def __init__(
        self,
        episode: PlannedEpisode,
        *,
        overdraft_price: float | None = None,
        thrifty: bool = False,
        recurring: bool = False,
    ) -> None:
        self.episode = episode
        self._scales = Scales.of(episode)
        self._data = program_data(episode, self._scales)
        if overdraft_price is not None:
            self._data["overdraft_price"] = np.asarray(overdraft_price)
        self._sizes = (episode.num_pretrain_rounds, episode.num_finetune_rounds, episode.scenario.num_devices)
        self._thrifty, self._recurring = thrifty, recurring

    @functools.cached_property
    def _form(self) -> "_Form":
        """The program in cvxpy's terms."""
        # What devices hold of the data is part of the shape: it seldom recurs.
        if self._recurring and self.episode.holders is None:
            shapes = tuple((name, value.shape) for name, value in self._data.items())
            return _recurring_form(self._sizes, shapes, self._thrifty)
        return _Form(self._sizes, self._data, thrifty=self._thrifty)

    def solve(self, solver: str = "clarabel", *, quick: bool = False) -> Solution | None:
        """Solve by one of `SOLVER_NAMES`; None without a solution of full accuracy, as where budgets forbid the rounds.

        What is not for the structured solver is left to Clarabel: programs of other kinds, small ones that recur, which
        it solves sooner once they are compiled, and those for which no solution is found.

        Args:
            solver: its name.
            quick: make `QUICK_ATTEMPTS` instead.

        Raises:
            InvalidInputError: the solver is unknown.
            MissingExtraError: it is not installed.
        """
        if not quick and checked_solver(solver) == STRUCTURED:
            numbers = None if self._recurring else Numbers.of(self._data, self._sizes)
            if numbers is not None:
                found = structured_solution(numbers, thrifty=self._thrifty)
                if found is not None:
                    return self._in_physical_units(found)
                _LOG.info("a program of %d + %d rounds and %d devices is left to Clarabel", *self._sizes)
            solver = "clarabel"
        attempts = QUICK_ATTEMPTS if quick else SOLVERS[solver]
        if not any(self._is_solved(arguments) for arguments in attempts):
            return None
        return self._in_physical_units(self._form.solution())

    def _in_physical_units(self, found: Solution) -> Solution:
        """A solution in seconds, joules and samples, with as much time as makes up for the solver's rounding."""
        scales, (times, multipliers, share) = self._scales, found
        # A thrifty plan is at the end of its batteries too; some of what it leaves does for that.
        ease = np.clip(1 / share, 1.0, 1 + _EASE)
        per_joule = scales.bound / scales.device_joule
        return Solution(
            RoundTimes(
                server_batch=times.server_batch * scales.server_batch,
                server_s=times.server_s * scales.server_second,
                batch=times.batch * scales.batch,
                compute_s=times.compute_s * scales.compute_second,
                upload_s=times.upload_s * scales.second,
                duration_s=times.duration_s * scales.second * ease,
            ),
            Multipliers(
                time=multipliers.time * scales.bound / scales.second,
                energy=multipliers.energy * scales.bound / scales.joule,
                pay=multipliers.pay * per_joule,
                carry=multipliers.carry * per_joule,
                pretrain_time=multipliers.pretrain_time * scales.bound / scales.second,
                pretrain_energy=multipliers.pretrain_energy * scales.bound / scales.joule,
            ),
            share,
        )

    def _is_solved(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a solver called like this finds a solution of full accuracy."""
        with warnings.catch_warnings():
            # A solution of reduced accuracy is not taken for one.
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")
            try:
                self._form.solve(self._data, arguments)
            except cp.SolverError:
                return False
        return self._form.problem.status == cp.OPTIMAL


class _Form:
    """The program in terms of its numbers, arrays or parameters: variables, and constraints with multipliers."""

    def __init__(self, sizes: tuple[int, int, int], numbers: Mapping[str, Any], *, thrifty: bool = False) -> None:
        num_pretrain, num_finetune, num_devices = sizes
        devices = (num_finetune, num_devices)
        self.numbers = numbers
        self.server_batch, self.server_s, self.server_j = (cp.Variable(num_pretrain) for _ in range(3))
        self.batch, self.compute_s, self.upload_s = (cp.Variable(devices) for _ in range(3))
        self.compute_j, self.upload_j, self.battery_j = (cp.Variable(devices) for _ in range(3))
        self.duration_s = cp.Variable(num_finetune)
        self._constraints: list[cp.Constraint] = []
        self._costs: list[cp.Expression] = []
        self.own_budgets: tuple[cp.Constraint, ...] = ()
        self.share = cp.Variable() if thrifty else None
        uses = [stage() for stage, size in ((self._pretrain, num_pretrain), (self._finetune, num_finetune)) if size]
        seconds, joules = (sum(use) for use in zip(*uses, strict=True))
        self.delay = seconds <= self._budget("delay")
        self.energy = joules <= self._budget("energy")
        constraints = [self.delay, self.energy, *self._constraints]
        cost = sum(self._costs) if self.share is None else self.share
        self.problem = cp.Problem(cp.Minimize(cost), constraints)

    def solve(self, numbers: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> None:
        """Solve it, by these arguments of cvxpy's; the numbers are its own."""
        self.problem.solve(**{"warm_start": False, **arguments})

    def solution(self) -> Solution:
        """What it was solved to, in its own units."""
        return Solution(
            RoundTimes(
                server_batch=_value(self.server_batch),
                server_s=_value(self.server_s),
                batch=_value(self.batch),
                compute_s=_value(self.compute_s),
                upload_s=_value(self.upload_s),
                duration_s=_value(self.duration_s),
            ),
            self._multipliers(),
            1.0 if self.share is None else float(_value(self.share)),
        )

    def _multipliers(self) -> Multipliers:
        """The solver's; none of what has no rounds."""
        own = [float(budget.dual_value) for budget in self.own_budgets] or [0.0, 0.0]
        pay, carry = np.zeros(self.batch.shape), np.zeros(self.batch.shape)
        if len(carry):
            pay, carry[0] = self.pay.dual_value, self.start.dual_value
        if len(carry) > 1:
            carry[1:] = self.store.dual_value
        return Multipliers(float(self.delay.dual_value), float(self.energy.dual_value), pay, carry, *own)

    def _budget(self, name: str) -> cp.Expression | float:
        """What may be used of a budget."""
        number = self.numbers[name]
        budget: cp.Expression | float = number + self._overdraft(()) if self.share is None else number * self.share
        return budget

    def _overdraft(self, shape: tuple[int, ...]) -> cp.Variable | float:
        """How far a constraint is overdrawn; 0 unless that has a price."""
        if "overdraft_price" not in self.numbers:
            return 0.0
        overdraft = cp.Variable(shape, nonneg=True)
        self._costs.append(self.numbers["overdraft_price"] * cp.sum(overdraft))
        return overdraft

    def _pretrain(self) -> tuple[cp.Expression, cp.Expression]:
        """Constraints and cost of pre-training; its use of the delay and the energy budget."""
        p, seconds = self.numbers, self.server_s
        self._compute(self.server_batch, self.server_batch, seconds, self.server_j, "server_")
        use = p["server_second_use"] @ seconds, p["server_joule_use"] @ self.server_j
        if "server_delay" not in p:
            return use
        names = ("server_delay", "server_energy")
        self.own_budgets = tuple(used <= p[name] + self._overdraft(()) for used, name in zip(use, names, strict=True))
        self._constraints += self.own_budgets
        return cp.Constant(0.0), cp.Constant(0.0)

    def _finetune(self) -> tuple[cp.Expression, cp.Expression]:
        """Constraints and cost of fine-tuning; its use of the delay and the energy budget."""
        p = self.numbers
        batch = _flat(self.batch)
        self._load = p["held"] @ batch if "held" in p else batch
        self._compute(batch, self._load, _flat(self.compute_s), _flat(self.compute_j), "")
        self._upload()
        self._couple()
        joules = cp.sum(cp.multiply(p["energy_use"], self.compute_j + self.upload_j))
        return p["duration_use"] @ self.duration_s, joules

    def _compute(
        self, batch: cp.Expression, load: cp.Expression, seconds: cp.Expression, joules: cp.Expression, stage: str
    ) -> None:
        """Compute energy and clocks for these loads, limits and noise of these batches."""
        numbers = self.numbers.items()
        p = {
            name.removeprefix(stage): _flat(value)
            for name, value in numbers
            if name.startswith(stage) and name != "held"
        }
        if "sample_joule" in p:
            self._constraints += [
                seconds == cp.multiply(p["fastest"], load),
                joules == cp.multiply(p["sample_joule"], load),
            ]
        else:
            self._constraints += [
                cp.PowCone3D(joules, seconds, cp.multiply(p["cone"], load), 1 / 3),
                seconds <= cp.multiply(p["slowest"], load),
                seconds >= cp.multiply(p["fastest"], load),
            ]
        if "fixed_batch" in p:
            self._constraints.append(batch == p["fixed_batch"])
            return
        inverse = cp.Variable(batch.shape)
        self._constraints += [batch >= p["least"], batch <= p["most"], _at_least_inverse(inverse, batch)]
        self._costs.append(p["noise"] @ inverse)

    def _upload(self) -> None:
        """Upload energy and power limit; a fixed power leaves no choice."""
        p, seconds, joules = self.numbers, self.upload_s, self.upload_j
        if "fixed_upload_s" in p:
            self._constraints += [seconds == p["fixed_upload_s"], joules == p["fixed_upload_j"]]
            return
        exponent = p["nats"] - cp.multiply(p["shift"], seconds)
        right = cp.multiply(p["decay_by_noise"], joules) + cp.multiply(p["decay"], seconds)
        self._constraints += [
            cp.ExpCone(_flat(exponent), _flat(seconds), _flat(right)),
            joules <= cp.multiply(p["power"], seconds),
        ]

    def _couple(self) -> None:
        """Rounds that wait for those who take part, batteries that pay for them and are filled by every round."""
        p, battery, (num_rounds, num_devices) = self.numbers, self.battery_j, self.batch.shape
        duration = cp.reshape(self.duration_s, (num_rounds, 1), order="C") @ np.ones((1, num_devices))
        energy_j, overdraft = self.compute_j + self.upload_j, self._overdraft(self.batch.shape)
        spent_j = cp.multiply(p["spending"], energy_j) - cp.multiply(p["overdrawing"], overdraft)
        left = battery + cp.multiply(p["stored"], duration) + p["stored_in_downlink"] - spent_j
        filled = p["start"] + (p["server_harvest"] @ self.server_s if "server_harvest" in p else 0.0)
        busy_s = cp.multiply(p["compute_use"], self.compute_s)
        if "stall" in p:
            busy_s += cp.multiply(p["stall"], cp.reshape(self._load, self.batch.shape, order="C"))
        self.finish = busy_s + self.upload_s <= duration + p["late"]
        self.pay = cp.multiply(p["paying"], energy_j) - overdraft <= battery
        self.start = battery[0] <= filled
        self.store = battery[1:] <= left[:-1]
        self._constraints += [self.finish, self.pay, self.start]
        self._constraints += [battery >= 0, battery <= p["capacity"]]
        if num_rounds > 1:
            self._constraints.append(self.store)
        if "idle" in p:
            self._constraints.append(cp.multiply(p["idle"], self.duration_s) == p["idle_s"])


class _RecurringForm(_Form):
    """The program with parameters for its numbers."""

    def __init__(self, sizes: tuple[int, int, int], parameters: Mapping[str, cp.Parameter], *, thrifty: bool) -> None:
        super().__init__(sizes, parameters, thrifty=thrifty)
        self._recurring = RecurringProblem(self.problem, parameters)

    def solve(self, numbers: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> None:
        """Solve it with these numbers for its parameters."""
        self._recurring.solve(numbers, **arguments)


@functools.lru_cache(maxsize=256)
def _recurring_form(
    sizes: tuple[int, int, int], shapes: tuple[tuple[str, tuple[int, ...]], ...], thrifty: bool
) -> _RecurringForm:
    """The program of one shape, compiled when it is first solved."""
    return _RecurringForm(sizes, {name: cp.Parameter(shape, name=name) for name, shape in shapes}, thrifty=thrifty)


def _value(variable: cp.Variable) -> np.ndarray:
    """What a variable was solved to; one without entries never is."""
    return np.zeros(variable.shape) if variable.value is None else variable.value


def _flat(expression: cp.Expression | np.ndarray) -> cp.Expression:
    flat: cp.Expression = cp.vec(expression, order="C")
    return flat


def _at_least_inverse(inverse: cp.Expression, batch: cp.Expression) -> cp.Constraint:
    """inverse >= 1 / batch, as |(2, inverse - batch)| <= inverse + batch."""
    return cp.SOC(inverse + batch, cp.vstack([np.full(batch.shape, 2.0), inverse - batch]))
