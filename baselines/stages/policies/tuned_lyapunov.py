"""The Lyapunov policy with the numbers of rounds that are best on tuning tapes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.stages.policies.lyapunov import Lyapunov
from edgelearn_env.baselines.stages.static.round_counts import Prices, RoundCounts, dual_value, solve_pair
from edgelearn_env.baselines.stages.static.rounds import StaticConstants
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.scenario import StagedScenario
from edgelearn_env.tapes.seeds import tuning_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout

# Points of each grid along M and N, and tapes that it is judged on: each is finer than the one before, and surer.
_GRIDS = ((7, 4), (5, 6), (5, 8))


class Design(NamedTuple):
    """A system whose static design sets the prices of another's rounds.

    Attributes:
        scenario: its own.
        noise: what a unit of its noise is in the other's.
    """

    scenario: StagedScenario
    noise: float


def tuned_lyapunov(
    scenario: StagedScenario, kind: Callable[..., Lyapunov] = Lyapunov, design: Design | None = None
) -> Lyapunov:
    """The policy whose (M, N) has the least mean log Phi on tuning tapes: a logarithmic grid, then finer ones around.

    Its prices are those of the static design with M and N rounds; queues make up for fading and short batteries.

    Args:
        scenario: the system.
        kind: makes the policy from the attributes of `Lyapunov`.
        design: whose static design it is, if not the scenario's own.
    """
    design = design or Design(scenario, 1.0)
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in tuning_seeds(max(count for _, count in _GRIDS))])
    horizon = scenario.budgets.max_rounds
    centre, reach = np.full(2, 0.5 * np.log(horizon + 1)), 0.5 * np.log(horizon + 1)
    for num_points, num_tapes in _GRIDS:
        line = reach * np.linspace(-1, 1, num_points)
        pairs = _pairs(centre, line, horizon)
        objective = _mean_log_objective(scenario, kind, design, tapes.rows(slice(num_tapes)), pairs)
        best = pairs[[np.argmin(objective)]]
        centre, reach = np.log(best[0] + 1), line[1] - line[0]
    return _policy(scenario, kind, design, best)


def _pairs(centre: np.ndarray, line: np.ndarray, horizon: int) -> np.ndarray:
    """All (M, N) that fit into the horizon and whose ln(1 + M), ln(1 + N) lie on a grid around the centre, (P, 2)."""
    grid = centre + np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    pairs = np.clip(np.round(np.exp(grid) - 1), (0, 1), horizon).astype(int)
    return np.unique(pairs[np.sum(pairs, axis=1) <= horizon], axis=0)


def _mean_log_objective(
    scenario: StagedScenario, kind: Callable[..., Lyapunov], design: Design, tapes: Tape, pairs: np.ndarray
) -> np.ndarray:
    """Mean log Phi over the tapes for each (M, N), (P,)."""
    num_tapes = len(tapes.channel_gain)
    every = tapes.rows(np.repeat(np.arange(len(tapes.channel_gain)), len(pairs)))
    objective = rollout(scenario, every, _policy(scenario, kind, design, pairs, num_tapes)).objective
    mean: np.ndarray = np.log(objective).reshape(num_tapes, -1).mean(axis=0)
    return mean


def _policy(
    scenario: StagedScenario, kind: Callable[..., Lyapunov], design: Design, pairs: np.ndarray, repeats: int = 1
) -> Lyapunov:
    """The policy with these (M, N), all of them once for each tape, at the prices of the static design."""
    prices = np.tile(_static_prices(scenario, design, pairs), (repeats, 1))
    num_pretrain, num_finetune = np.tile(pairs, (repeats, 1)).T
    return kind(
        constants=constants_of(scenario),
        num_pretrain_rounds=num_pretrain,
        num_finetune_rounds=num_finetune,
        second_price=prices[:, 0],
        joule_price=prices[:, 1],
        participation_price=prices[:, 2],
    )


def _static_prices(scenario: StagedScenario, design: Design, pairs: np.ndarray) -> np.ndarray:
    """Prices of a second, a joule and participation at which the static design has these rounds, (P, 3).

    Participation is worth what the design's bound is: Phi = A / P is lower with a further round if that adds less to A.

    Where the budgets forbid so many rounds, prices at which single samples are the best that can be had.
    """
    constants, budgets = StaticConstants.of(design.scenario), design.scenario.budgets
    num_devices = scenario.num_devices
    form = scenario.bound.quotient_form(0)
    found = []
    for num_pretrain, num_finetune in pairs.tolist():
        pair = RoundCounts(constants, num_pretrain, num_finetune)
        weight, count = constants.server_rounds(num_pretrain)
        single_samples = weight @ count + num_finetune * np.sum(constants.device_noise)
        first = Prices(np.full(num_devices, pair.start / budgets.delay_s / num_devices), pair.start / budgets.energy_j)
        prices, _ = solve_pair(pair, first, stop=float(single_samples))
        phi = constants.unit[num_pretrain, num_finetune] * dual_value(pair, prices)
        second, joule = design.noise * np.sum(prices.finish), design.noise * prices.energy
        found.append((second, joule, phi * form.participation_weight / form.finetune_weight))
    return np.array(found)
