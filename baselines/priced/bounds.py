"""Lower bounds for all numbers of rounds at once, from any prices."""

import numpy as np

from edgelearn_env.baselines.priced.records import PricedRounds, PricedSystem, Prices


def bounds_of_all_pairs(system: PricedSystem, prices: Prices, phi: float, rounds: PricedRounds) -> np.ndarray:
    """Lower bounds on A - phi W over all plans with fine-tuning rounds M to e - 1, for all M and e, (T + 1, T + 1).

    bound(M, e) = pre(M) - lambda T - nu E + sum_{t=M}^{e-1} least_t: the Lagrangian at these prices, least over
    everything that a plan decides; what batteries hold at round M is part of pre(M). In the last round somebody takes
    part: a plan that ends with nobody is no better than one that ends before. Charge left after the last round is worth
    its carry price to the sum over rounds, and nothing to a plan, so that the same sum serves every end.

    Args:
        system: the rounds.
        prices: any that are at least 0.
        phi: the value that is to be proven or to be passed.
        rounds: their least costs at those prices.

    Returns:
        Infinity where e < M.
    """
    setting = system.setting
    start = system.pretraining(prices, phi) - prices.time * setting.delay_s - prices.energy * setting.energy_j
    if setting.has_own_budgets:
        seconds, joules = setting.pretrain_budgets
        start = start - prices.pretrain_time * seconds - prices.pretrain_energy * joules
    before = np.concatenate([[0.0], np.cumsum(rounds.least)])
    sums = np.concatenate([[0.0], before[:-1] + rounds.least_active])
    table = start[:, None] + sums[None, :] - before[:, None]
    ends = np.arange(len(sums))
    table[ends, ends] = start + system.pretraining_alone(phi)
    return np.where(ends[None, :] >= ends[:, None], table, np.inf)
