"""The clairvoyant optimum of an episode: the least learning bound that any policy could reach, with a proof."""

import numpy as np

from edgelearn_env.baselines.optimum import Certificate
from edgelearn_env.baselines.solvers import checked_solver
from edgelearn_env.baselines.two_stage.clairvoyant.bounds_of_all_counts import bounds_of_all_counts, prices_along_tape
from edgelearn_env.baselines.two_stage.clairvoyant.held_rounds import held_plan
from edgelearn_env.baselines.two_stage.clairvoyant.reach import within_reach
from edgelearn_env.baselines.two_stage.clairvoyant.replayed_plan import replayed_plan
from edgelearn_env.baselines.two_stage.conic.dual import Multipliers, dual_bound, no_prices
from edgelearn_env.baselines.two_stage.conic.program import EpisodeProgram
from edgelearn_env.baselines.two_stage.model.optimum import TwoStageOptimum
from edgelearn_env.baselines.two_stage.model.plan import plan_from_times
from edgelearn_env.baselines.two_stage.model.planned_episode import PlannedEpisode
from edgelearn_env.baselines.two_stage.model.restriction import UNRESTRICTED, Restriction, Stages, pairs_of
from edgelearn_env.baselines.two_stage.model.round_times import RoundTimes
from edgelearn_env.errors import InvalidInputError, SolverError
from edgelearn_env.tapes.tape import Tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario


def clairvoyant(
    scenario: TwoStageScenario,
    tape: Tape,
    *,
    gap: float = 1e-5,
    stages: Stages = "both",
    restriction: Restriction = UNRESTRICTED,
    solver: str = "clarabel",
    below: float = np.inf,
    first: tuple[int, int] | None = None,
) -> TwoStageOptimum:
    """Find the best plan for a known tape over all numbers of rounds, and prove it.

    argmin over M, N, batches, frequencies and powers of Phi, subject to budgets and batteries on this tape.

    Each solved pair gives a plan, and multipliers from which lower bounds for all other pairs follow. The pair with the
    least lower bound is solved next, until none could improve on the best plan by more than `gap`.

    Args:
        scenario: the system.
        tape: of shape (T, K).
        gap: relative improvement not worth looking for.
        stages: keep to one stage to see what the other is worth; the bound is then for such plans only.
        restriction: what plans must keep to besides; likewise.
        solver: one of `SOLVERS`; it finds plans and multipliers, from which all bounds are our own.
        below: a value that is had anyway: once it is proven that none is below it, the search ends with what it found.
        first: the pair (M, N) to begin with; one near the best makes the search shorter.

    Raises:
        InvalidInputError: the tape is not one tape that fits the scenario, or `stages` or `solver` is unknown.
        MissingExtraError: the solver is not installed.
        SolverError: the best plan could not be replayed.
    """
    tape = tape.checked(scenario)
    if tape.channel_gain.ndim != 2:
        raise InvalidInputError(f"tape must have shape (T, K), got {tape.channel_gain.shape}")
    allowed = pairs_of(stages, scenario.budgets.max_rounds)
    search = _Search(scenario, tape, gap, restriction, allowed, checked_solver(solver), below)
    pair = first if first is not None and search.is_open(first) else search.next_pair()
    while pair is not None:
        search.solve(*pair)
        pair = search.next_pair()
    return search.optimum()


class _Search:
    """Best-first search over pairs (M, N) of a tape."""

    def __init__(
        self,
        scenario: TwoStageScenario,
        tape: Tape,
        gap: float,
        restriction: Restriction,
        allowed: np.ndarray,
        solver: str,
        below: float,
    ) -> None:
        self._scenario, self._tape, self._gap, self._restriction = scenario, tape, gap, restriction
        self._solver = solver
        within = allowed & within_reach(self._episode(0, scenario.budgets.max_rounds))
        self._bounds = np.where(within, -np.inf, np.inf)
        self._solved = np.zeros_like(self._bounds, dtype=bool)
        # No round at all is a plan too, and needs no solver.
        nothing = float(scenario.bound.batch_size_form(0, 0).constant)
        self._best = self._episode(0, 0), RoundTimes.none(scenario.num_devices)
        self._value, self._num_unplayable = min(nothing, below), 0
        self._bounds[0, 0], self._solved[0, 0] = nothing, True
        if (everything := self._episode(0, scenario.budgets.max_rounds)).has_fixed_batches:
            # Then the bound without any prices is the bound itself, which those of a thrifty program know little of.
            self._raise_bounds(everything, no_prices(everything))

    def is_open(self, pair: tuple[int, int]) -> bool:
        """Whether the budgets may allow so many rounds."""
        num_pretrain, num_finetune = pair
        on_tape = num_pretrain + num_finetune <= self._scenario.budgets.max_rounds
        return on_tape and bool(~self._solved[pair] & (self._bounds[pair] < np.inf))

    def next_pair(self) -> tuple[int, int] | None:
        """The unsolved pair with the least lower bound, if it could improve on the best plan."""
        improving = ~self._solved & (self._bounds < self._value * (1 - self._gap))
        num_pretrain, num_finetune = np.nonzero(improving)
        if not len(num_pretrain) or self._num_unplayable > MOST_UNPLAYABLE:
            return None
        bounds, index = self._bounds[improving], len(num_pretrain) // 2
        if np.isfinite(bounds).any():
            index = int(np.argmin(bounds))
        else:
            # Before the first multipliers all lower bounds are -inf: begin in the middle, and nearer to no round at all
            # after each program that had no solution.
            shrunk = 0.5 ** (np.sum(self._solved) - 1)
            off = [rounds - shrunk * rounds[index] for rounds in (num_pretrain, num_finetune)]
            index = int(np.argmin(np.sum(np.abs(off), axis=0)))
        return int(num_pretrain[index]), int(num_finetune[index])

    def solve(self, num_pretrain: int, num_finetune: int) -> None:
        """Solve one pair; update the best plan and the lower bounds of all pairs."""
        episode = self._episode(num_pretrain, num_finetune)
        self._solved[num_pretrain, num_finetune] = True
        solution = EpisodeProgram(episode, thrifty=episode.has_fixed_batches).solve(self._solver)
        if solution is not None:
            if solution.share <= 1:
                self._keep_if_better(episode, solution.times)
            self._raise_bounds(episode, solution.multipliers)
            return
        for price in OVERDRAFT_PRICES:
            overdrawn = EpisodeProgram(episode, overdraft_price=price).solve(self._solver)
            if overdrawn is not None:
                self._raise_bounds(episode, overdrawn.multipliers)
            if self._bounds[num_pretrain, num_finetune] >= self._value * (1 - self._gap):
                return

    def _keep_if_better(self, episode: PlannedEpisode, times: RoundTimes) -> None:
        """Keep a program's times if they are better than the best; at a fixed power, what can be played of them."""
        value = episode.learning_bound(times.server_batch, times.batch)
        if value < self._value and self._restriction.power_w is not None:
            replayed = held_plan(replayed_plan(episode, times), self._solver)
            self._num_unplayable += replayed.value > value * (1 + self._gap) or not replayed.succeeds
            times, value = replayed.times, replayed.value if replayed.succeeds else np.inf
        if value < self._value:
            self._value, self._best = value, (episode, times)

    def optimum(self) -> TwoStageOptimum:
        """The best plan found, replayed, with its certificate.

        Raises:
            SolverError: it cannot be replayed.
        """
        replayed = replayed_plan(*self._best)
        if not replayed.succeeds:
            sentence = f"the best plan cannot be replayed: residual {replayed.residual:.2g}"
            raise SolverError(sentence, plan=replayed.plan, value=replayed.value, bound=self._bound())
        plan, horizon = replayed.plan, self._scenario.budgets.max_rounds
        certificate = Certificate(
            value=replayed.value,
            bound=self._bound(),
            residual=replayed.residual,
            num_pairs=(horizon + 1) * (horizon + 2) // 2,
            num_solved=int(np.sum(self._solved)),
            label="exact" if plan.has_whole_batches else "relaxation",
        )
        whole_plan = plan_from_times(replayed.episode, replayed.times, shrink=replayed.shrink, whole_batches=True)
        return TwoStageOptimum(
            plan=plan,
            whole_plan=whole_plan,
            value=replayed.value,
            achieved=float(rollout(self._scenario, self._tape, whole_plan).objective[0]),
            certificate=certificate,
        )

    def _bound(self) -> float:
        """What no plan can pass."""
        return float(np.min(self._bounds)) * (1 - ROUNDING)

    def _episode(self, num_pretrain: int, num_finetune: int) -> PlannedEpisode:
        return PlannedEpisode(
            scenario=self._scenario,
            tape=self._tape,
            num_pretrain_rounds=num_pretrain,
            num_finetune_rounds=num_finetune,
            restriction=self._restriction,
        )

    def _raise_bounds(self, solved: PlannedEpisode, multipliers: Multipliers) -> None:
        """Better bounds for the solved pair, and for all pairs within the smallest rectangle of those still open."""
        pair = solved.num_pretrain_rounds, solved.num_finetune_rounds
        self._bounds[pair] = max(self._bounds[pair], dual_bound(solved, multipliers))
        still_open = self._bounds < self._value
        rows, columns = np.flatnonzero(still_open.any(axis=1)), np.flatnonzero(still_open.any(axis=0))
        if len(rows) and len(columns):
            bounds = bounds_of_all_counts(prices_along_tape(solved, multipliers), rows, columns)
            self._bounds[np.ix_(rows, columns)] = np.maximum(self._bounds[np.ix_(rows, columns)], bounds)


# Tried in turn for rounds that the budgets do not allow, until the lower bound proves that they are not worth having.
OVERDRAFT_PRICES = (1e2, 1e4)

# At a fixed power programs may promise more than can be played: so many pairs, then the gap stays as it is.
MOST_UNPLAYABLE = 40

# Of the sums that make up a dual function in double precision.
ROUNDING = 1e-12
