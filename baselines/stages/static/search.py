"""Search over all numbers of rounds of a static design, with a lower bound for every pair (M, N).

Prices of one pair prove, for every other, that

    Phi >= unit (start + S_M + N A - lambda T - nu E),

with S_M the least cost of M pre-training rounds and A that of a fine-tuning round at these prices. No convexity in
(M, N) is assumed.
"""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.stages.model.closed_forms import cheapest_compute, cheapest_upload
from edgelearn_env.baselines.stages.model.restriction import Stages, pairs_of
from edgelearn_env.baselines.stages.static.pretraining import solve_pretraining
from edgelearn_env.baselines.stages.static.round_counts import Prices, RoundCounts, Rounds, solve_pair
from edgelearn_env.baselines.stages.static.rounds import StaticConstants

# Relative improvement not worth looking for.
_GAP = 1e-8

# Share of the start that each budget is first thought to be worth.
_FIRST_WORTH = 0.3


class Best(NamedTuple):
    """The best pair, and what proves it.

    Attributes:
        num_pretrain_rounds, num_finetune_rounds: M and N.
        rounds: what is done in them.
        prices: best prices of that pair, of which `bound` is not made alone.
        value: Phi.
        bound: the least of all pairs' lower bounds.
        num_solved: pairs that were optimised.
        has_finetuned: whether rounds were found for a pair with N > 0.
    """

    num_pretrain_rounds: int
    num_finetune_rounds: int
    rounds: Rounds
    prices: Prices
    value: float
    bound: float
    num_solved: int
    has_finetuned: bool


def best_rounds(constants: StaticConstants, stages: Stages = "both") -> Best:
    """The best numbers of rounds and what to do in them, by best-first search as in `clairvoyant`.

    Args:
        constants: the scenario's constants.
        stages: `pretrain` or `finetune` to play only that one.
    """
    search = _Search(constants, stages)
    while (pair := search.next_pair()) is not None:
        search.solve(*pair)
    return search.best


def pair_bounds(constants: StaticConstants, prices: Prices) -> np.ndarray:
    """Lower bounds on Phi for all pairs (M, N), (T + 1, T + 1), from any prices of at least 0."""
    radio, share = constants.scenario.radio, constants.restriction.pretrain_share or 0.0
    time, rounds = float(np.sum(prices.finish)), np.arange(len(constants.unit))
    devices = cheapest_compute(constants.device_noise, prices.finish, prices.energy, constants.devices).cost
    devices = devices + cheapest_upload(prices.finish, prices.energy, constants.uplink).cost
    finetune_round = float(np.sum(devices)) + time * radio.downlink_s + prices.energy * radio.downlink_j
    weight = constants.server_noise * constants.decay ** rounds[:-1]
    server_time, server_energy = prices.in_pretraining
    server = cheapest_compute(weight, np.float64(server_time), np.float64(server_energy), constants.server).cost
    pretraining = np.concatenate([[0.0], np.cumsum(server)])
    second, joule = (1 - share) * time + share * server_time, (1 - share) * prices.energy + share * server_energy
    worth = second * constants.delay_s + joule * constants.energy_j
    bounds: np.ndarray = constants.start + pretraining[:, None]
    bounds += rounds * finetune_round - worth
    bounds *= constants.unit
    return bounds


class _Search:
    """The pair with the least lower bound is solved next, until none could be better than the best."""

    def __init__(self, constants: StaticConstants, stages: Stages) -> None:
        self._constants, num_devices = constants, constants.scenario.num_devices
        self._nothing = nothing = Prices(np.zeros(num_devices), 0.0)
        fits = pairs_of(stages, constants.scenario.budgets.max_rounds)
        self._bounds = np.where(fits, pair_bounds(constants, nothing), np.inf)
        self._bounds[0, 0] = value = float(constants.unit[0, 0] * constants.start[0, 0])
        self._solved = np.zeros_like(fits)
        self._solved[0, 0] = True
        worth = _FIRST_WORTH * float(np.median(constants.start[fits]))
        self._prices = Prices(np.full(num_devices, worth / constants.delay_s / num_devices), worth / constants.energy_j)
        self._no_round: Rounds | None = Rounds(np.zeros(0), constants.server.freq_min_hz, *_idle(constants), 0.0, 0.0)
        self.best = Best(0, 0, self._no_round, nothing, value, value, 0, False)

    def next_pair(self) -> tuple[int, int] | None:
        """The unsolved pair with the least lower bound, if it could be better than the best."""
        worth_it = self.best.value * (1 - _GAP)
        unsolved = np.where(self._solved, np.inf, self._bounds)
        least = int(np.argmin(unsolved))
        if not unsolved.flat[least] < worth_it:
            return None
        if not self.best.num_solved:
            # The first lower bounds, without prices, say little: begin in the middle.
            improving = np.flatnonzero(unsolved < worth_it)
            least = int(improving[len(improving) // 2])
        return divmod(least, len(unsolved))

    def solve(self, num_pretrain: int, num_finetune: int) -> None:
        """Solve one pair; update the best design and the lower bounds of all pairs."""
        constants, best, pair = self._constants, self.best, (num_pretrain, num_finetune)
        stop = float(best.value / constants.unit[pair] - constants.start[pair])
        if constants.restriction.pretrain_share is None:
            prices, rounds = self._solved_together(constants, *pair, stop)
        else:
            prices, rounds = self._solved_apart(constants.restriction.pretrain_share, *pair, stop)
        self._solved[pair] = True
        np.maximum(self._bounds, pair_bounds(constants, prices), out=self._bounds)
        if rounds is not None:
            value = float(constants.unit[pair] * (constants.start[pair] + rounds.noise))
            if value < best.value:
                best = Best(*pair, rounds, prices, value, 0.0, 0, best.has_finetuned)
            best = best._replace(has_finetuned=best.has_finetuned or num_finetune > 0)
        bound = min(float(np.min(self._bounds)), best.value)
        self.best = best._replace(bound=bound, num_solved=int(np.sum(self._solved)) - 1)

    def _solved_together(
        self, constants: StaticConstants, num_pretrain: int, num_finetune: int, stop: float
    ) -> tuple[Prices, Rounds | None]:
        """Prices and rounds of one pair on the same budgets."""
        if not num_finetune:
            shares = self._prices.finish / np.sum(self._prices.finish)
            return solve_pretraining(constants, num_pretrain, shares, stop)
        prices, rounds = solve_pair(RoundCounts(constants, num_pretrain, num_finetune), self._prices, stop)
        self._prices = self._prices if rounds is None else prices
        return prices, rounds

    def _solved_apart(
        self, share: float, num_pretrain: int, num_finetune: int, stop: float
    ) -> tuple[Prices, Rounds | None]:
        """Likewise where each stage has its own: two problems, whose noise adds up."""
        server, devices = self._nothing, self._nothing
        pretraining = finetuning = self._no_round
        if num_pretrain:
            server, pretraining = self._solved_together(self._constants.with_share(share), num_pretrain, 0, stop)
        if num_finetune:
            devices, finetuning = self._solved_together(self._constants.with_share(1 - share), 0, num_finetune, stop)
        prices = devices._replace(of_server=server.in_pretraining)
        if pretraining is None or finetuning is None:
            return prices, None
        return prices, finetuning._replace(
            server_batch=pretraining.server_batch,
            server_freq_hz=pretraining.server_freq_hz,
            noise=pretraining.noise + finetuning.noise,
        )


def _idle(constants: StaticConstants) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batches, clocks and upload times of devices that have nothing to do."""
    return np.ones_like(constants.device_noise), np.asarray(constants.devices.freq_min_hz), constants.least_upload_s
