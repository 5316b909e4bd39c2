"""The clairvoyant optimum of an episode: the least learning bound that any policy could reach, with a proof."""

import dataclasses
from typing import Literal

import numpy as np

from edgelearn_env.baselines.dual import Multipliers, dual_bound
from edgelearn_env.baselines.pairs import pair_bounds, prices_along_tape
from edgelearn_env.baselines.plan import Plan, plan_from_times
from edgelearn_env.baselines.planned_episode import PlannedEpisode
from edgelearn_env.baselines.program import EpisodeProgram, RoundTimes
from edgelearn_env.baselines.reach import within_reach
from edgelearn_env.errors import InvalidInputError, SolverError
from edgelearn_env.scenario import Scenario
from edgelearn_env.tape import Tape
from edgelearn_env.trajectory import Trajectory, rollout


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """Why `Optimum.bound` can be trusted, and how near `Optimum.value` is to it.

    Attributes:
        value: the plan's learning bound, from its batch sizes.
        bound: no plan with any numbers of rounds has a smaller one; the least of the dual functions' values, which our
            own code evaluates from multipliers, whatever a solver says of itself.
        residual: how far the plan, replayed by the dynamics, exceeds a budget or overdraws a battery, relative; and how
            far the bound it then reaches is from `value`.
        num_pairs: pairs (M, N) on the tape, each with its own lower bound.
        num_solved: pairs for which the conic program was solved.
        label: `relaxation` if batch sizes were fractional, else `exact`.
    """

    value: float
    bound: float
    residual: float
    num_pairs: int
    num_solved: int
    label: str

    @property
    def gap(self) -> float:
        """value / bound - 1."""
        return self.value / self.bound - 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Optimum:
    """The clairvoyant optimum of one tape.

    Attributes:
        plan: with real-valued batches; replayed, it reaches `value`.
        whole_plan: with batches rounded down; replayed, it reaches `achieved`.
        value: least learning bound with real-valued batches, to within the certificate's gap.
        achieved: learning bound of `whole_plan`.
        certificate: proof of `bound`.
    """

    plan: Plan
    whole_plan: Plan
    value: float
    achieved: float
    certificate: Certificate

    @property
    def bound(self) -> float:
        """No policy reaches a smaller learning bound on this tape."""
        return self.certificate.bound

    @property
    def num_pretrain_rounds(self) -> int:
        """M."""
        return self.plan.num_pretrain_rounds

    @property
    def num_finetune_rounds(self) -> int:
        """N."""
        return self.plan.num_finetune_rounds


def clairvoyant(
    scenario: Scenario, tape: Tape, *, gap: float = 1e-5, stages: Literal["both", "pretrain", "finetune"] = "both"
) -> Optimum:
    """Find the best plan for a known tape over all numbers of rounds, and prove it.

    argmin over M, N, batches, frequencies and powers of Phi, subject to budgets and batteries on this tape.

    Each solved pair gives a plan, and multipliers from which lower bounds for all other pairs follow. The pair with the
    least lower bound is solved next, until none could improve on the best plan by more than `gap`.

    Args:
        scenario: the system.
        tape: of shape (T, K).
        gap: relative improvement not worth looking for.
        stages: keep to one stage to see what the other is worth; the bound is then for such plans only.

    Raises:
        InvalidInputError: the tape is not one tape that fits the scenario, or `stages` is unknown.
        SolverError: the best plan could not be replayed.
    """
    tape = tape.checked(scenario)
    if tape.channel_gain.ndim != 2:
        raise InvalidInputError(f"tape must have shape (T, K), got {tape.channel_gain.shape}")
    search = _Search(scenario, tape, gap, _pairs_of(stages, scenario.budgets.max_rounds))
    while (pair := search.next_pair()) is not None:
        search.solve(*pair)
    return search.optimum()


def _pairs_of(stages: str, horizon: int) -> np.ndarray:
    """Which pairs (M, N) keep to the stages that may be played, (T + 1, T + 1)."""
    if stages not in ("both", "pretrain", "finetune"):
        raise InvalidInputError(f"stages must be 'both', 'pretrain' or 'finetune', got {stages!r}")
    num_pretrain, num_finetune = np.meshgrid(np.arange(horizon + 1), np.arange(horizon + 1), indexing="ij")
    return ((num_finetune == 0) | (stages != "pretrain")) & ((num_pretrain == 0) | (stages != "finetune"))


class _Search:
    """Best-first search over pairs (M, N) of a tape."""

    def __init__(self, scenario: Scenario, tape: Tape, gap: float, allowed: np.ndarray) -> None:
        self._scenario, self._tape, self._gap = scenario, tape, gap
        within = allowed & within_reach(self._episode(0, scenario.budgets.max_rounds))
        self._bounds = np.where(within, -np.inf, np.inf)
        self._solved = np.zeros_like(self._bounds, dtype=bool)
        self._best: tuple[PlannedEpisode, RoundTimes] | None = None
        # No round at all is a plan too, and needs no solver.
        self._value = float(scenario.bound.batch_size_form(0, 0).constant)
        self._bounds[0, 0], self._solved[0, 0] = self._value, True

    def next_pair(self) -> tuple[int, int] | None:
        """The unsolved pair with the least lower bound, if it could improve on the best plan."""
        improving = ~self._solved & (self._bounds < self._value * (1 - self._gap))
        num_pretrain, num_finetune = np.nonzero(improving)
        if not len(num_pretrain):
            return None
        bounds = self._bounds[improving]
        # Before the first solve all lower bounds are -inf: begin in the middle.
        index = np.argmin(bounds) if np.isfinite(bounds).any() else len(bounds) // 2
        return int(num_pretrain[index]), int(num_finetune[index])

    def solve(self, num_pretrain: int, num_finetune: int) -> None:
        """Solve one pair; update the best plan and the lower bounds of all pairs."""
        episode = self._episode(num_pretrain, num_finetune)
        self._solved[num_pretrain, num_finetune] = True
        solution = EpisodeProgram(episode).solve()
        if solution is not None:
            value = episode.learning_bound(solution.times.server_batch, solution.times.batch)
            if value < self._value:
                self._value, self._best = value, (episode, solution.times)
            self._raise_bounds(episode, solution.multipliers)
            return
        for price in OVERDRAFT_PRICES:
            overdrawn = EpisodeProgram(episode, overdraft_price=price).solve()
            if overdrawn is not None:
                self._raise_bounds(episode, overdrawn.multipliers)
            if self._bounds[num_pretrain, num_finetune] >= self._value * (1 - self._gap):
                return

    def optimum(self) -> Optimum:
        """The best plan found, replayed, with its certificate."""
        episode, times = self._best or (self._episode(0, 0), RoundTimes.none(self._scenario.num_devices))
        for shrink in SHRINKS:
            plan = plan_from_times(episode, times, shrink=shrink)
            value = episode.learning_bound(plan.server_batch, plan.batch)
            residual = _residual(rollout(self._scenario, self._tape, plan), value)
            if residual <= MAX_RESIDUAL:
                break
        else:
            raise SolverError(f"the best plan cannot be replayed: residual {residual:.2g}")
        whole_plan = plan_from_times(episode, times, shrink=shrink, whole_batches=True)
        horizon = self._scenario.budgets.max_rounds
        certificate = Certificate(
            value=value,
            bound=float(np.min(self._bounds)) * (1 - ROUNDING),
            residual=residual,
            num_pairs=(horizon + 1) * (horizon + 2) // 2,
            num_solved=int(np.sum(self._solved)),
            label="exact" if plan.has_whole_batches else "relaxation",
        )
        achieved = float(rollout(self._scenario, self._tape, whole_plan).objective[0])
        return Optimum(plan=plan, whole_plan=whole_plan, value=value, achieved=achieved, certificate=certificate)

    def _episode(self, num_pretrain: int, num_finetune: int) -> PlannedEpisode:
        return PlannedEpisode(
            scenario=self._scenario,
            tape=self._tape,
            num_pretrain_rounds=num_pretrain,
            num_finetune_rounds=num_finetune,
        )

    def _raise_bounds(self, solved: PlannedEpisode, multipliers: Multipliers) -> None:
        """Better bounds for the solved pair, and for all pairs within the smallest rectangle of those still open."""
        pair = solved.num_pretrain_rounds, solved.num_finetune_rounds
        self._bounds[pair] = max(self._bounds[pair], dual_bound(solved, multipliers))
        still_open = self._bounds < self._value
        rows, columns = np.flatnonzero(still_open.any(axis=1)), np.flatnonzero(still_open.any(axis=0))
        if len(rows) and len(columns):
            bounds = pair_bounds(prices_along_tape(solved, multipliers), rows, columns)
            self._bounds[np.ix_(rows, columns)] = np.maximum(self._bounds[np.ix_(rows, columns)], bounds)


# Tried in turn for rounds that the budgets do not allow, until the lower bound proves that they are not worth having.
OVERDRAFT_PRICES = (1e2, 1e4)

MAX_RESIDUAL = 1e-6

# Shares by which batches are cut, one tried after the other, until the plan stays within all budgets.
SHRINKS = (0.0, 1e-6, 1e-5, 1e-4)

# Of the sums that make up a dual function in double precision.
ROUNDING = 1e-12


def _residual(replayed: Trajectory, value: float) -> float:
    """The largest relative excess over a budget, overdraft of a battery, or departure from `value` in a replay."""
    budgets, end = replayed.scenario.budgets, replayed.final_state
    late, dear = end.elapsed_s[0] / budgets.delay_s - 1, end.spent_j[0] / budgets.energy_j - 1
    overdraft = np.max(-end.battery_j / replayed.scenario.energy.battery_capacity_j)
    return float(max(0.0, late, dear, overdraft, abs(replayed.objective[0] / value - 1)))
