"""The dual function of an episode: a lower bound on every plan, from any multipliers, in closed form."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.two_stage.model.closed_forms import cheapest_compute, cheapest_upload
from edgelearn_env.baselines.two_stage.model.planned_episode import PlannedEpisode


class Multipliers(NamedTuple):
    """Prices, in units of the bound, of the constraints that couple devices and rounds; all at least 0.

    Where pre-training has budgets of its own, `time` and `energy` are those of fine-tuning.

    Attributes:
        time: of a second of the delay budget.
        energy: of a joule of the energy budget.
        finish: of w + t + u <= D, per second, (N, K).
        pay: of e <= battery + h w, per joule, (N, K).
        carry: of battery[n] <= what round n - 1 left (n = 0: what pre-training left), per joule, (N, K).
        hold: of e <= capacity, per joule, (N, K).
        pretrain_time: of a second of pre-training's own delay budget; not read where both stages share one.
        pretrain_energy: of a joule of its own energy budget, likewise.
    """

    time: float
    energy: float
    finish: np.ndarray
    pay: np.ndarray
    carry: np.ndarray
    hold: np.ndarray
    pretrain_time: float = 0.0
    pretrain_energy: float = 0.0

    def in_pretraining(self, episode: PlannedEpisode) -> tuple[float, float]:
        """Prices of a second and of a joule of pre-training."""
        if episode.restriction.pretrain_share is None:
            return self.time, self.energy
        return self.pretrain_time, self.pretrain_energy


def no_prices(episode: PlannedEpisode) -> Multipliers:
    """Nothing has a price: the dual function is the learning bound of the largest batches."""
    nothing = np.zeros_like(episode.finetune_harvest_w)
    return Multipliers(0.0, 0.0, nothing, nothing, nothing, nothing)


def made_valid(multipliers: Multipliers, harvest_w: np.ndarray) -> Multipliers:
    """The nearest-at-hand multipliers for which the dual function is not lowered by a solver's rounding.

    No negative prices; waiting is never paid for (pay h <= finish); the finish prices of a round sum to what its
    duration is worth, the price of time less that of the harvest it brings to later rounds.
    """
    time, energy, finish, pay, carry, hold = (np.maximum(value, 0.0) for value in multipliers[:6])
    own = (max(float(price), 0.0) for price in multipliers[6:])
    worth = np.maximum(time - np.sum(next_carry(carry) * harvest_w, axis=1, keepdims=True), 0.0)
    total = np.sum(finish, axis=1, keepdims=True)
    spread = np.full_like(finish, 1.0 / finish.shape[1])
    finish = worth * np.where(total > 0, finish / np.where(total > 0, total, 1.0), spread)
    with np.errstate(divide="ignore", invalid="ignore"):
        pay = np.where(harvest_w > 0, np.minimum(pay, finish / harvest_w), pay)
    return Multipliers(float(time), float(energy), finish, pay, carry, hold, *own)


def dual_bound(episode: PlannedEpisode, multipliers: Multipliers) -> float:
    """Least value of the Lagrangian: no plan with these numbers of rounds has a smaller bound.

    min over all plans of  Phi + time (sum t_m + sum (D_n + overhead) - T) + energy (sum of all energies - E)
        + sum finish (w + t + u - D) + sum pay (e - battery - h w) + sum hold (e - capacity)
        + sum carry (battery[n] - battery[n-1] + e[n-1] - h (D[n-1] + overhead))

    It separates into one minimum for each round and device (`closed_forms`) and linear terms in D, w and the batteries,
    which lie in [0, T], [0, T] and [0, capacity].

    Args:
        episode: the rounds.
        multipliers: any; `made_valid` is applied first.
    """
    harvest_w, scenario = episode.finetune_harvest_w, episode.scenario
    valid = made_valid(multipliers, harvest_w)
    time, energy, finish, pay, carry, hold = valid[:6]
    delay_s, capacity_j = episode.start.delay_s, scenario.energy.battery_capacity_j
    after = next_carry(carry)

    value = episode.form.constant - time * episode.finetune_delay_s - energy * episode.finetune_energy_j
    value -= np.sum(after * harvest_w) * scenario.radio.downlink_s + np.sum(hold * capacity_j)
    server_time, server_energy = valid.in_pretraining(episode)
    value -= server_time * episode.pretrain_delay_s + server_energy * episode.pretrain_energy_j
    pretrain_time_price = np.full(episode.num_pretrain_rounds, server_time)
    if episode.num_finetune_rounds:
        value -= np.sum(carry[0] * episode.start.battery_j)
        pretrain_time_price -= episode.pretrain_harvest_w @ carry[0]
    noise = episode.server_noise_price
    value += np.sum(cheapest_compute(noise, pretrain_time_price, np.float64(server_energy), episode.server).cost)
    joule = energy + pay + hold + after
    value += np.sum(cheapest_compute(episode.device_noise_price, finish, joule, episode.devices).cost)
    value += np.sum(cheapest_upload(finish, joule, episode.uplink).cost)

    duration_price = time - np.sum(finish + after * harvest_w, axis=1)
    value += delay_s * np.sum(np.minimum(duration_price, 0.0))
    value += delay_s * np.sum(np.minimum(finish - pay * harvest_w, 0.0))
    value += np.sum(capacity_j * np.minimum(carry - after - pay, 0.0))
    return float(value)


def next_carry(carry: np.ndarray) -> np.ndarray:
    """Price of what round n leaves in the battery: carry[n + 1], nothing after the last round."""
    return np.concatenate([carry[1:], np.zeros_like(carry[:1])])
