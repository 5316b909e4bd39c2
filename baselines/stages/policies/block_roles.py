"""What devices do in rounds to come, at the prices of a plan."""

from typing import NamedTuple, Self

import numpy as np

from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts, cheapest_rounds, device_costs
from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink, in_rounds
from edgelearn_env.tapes.tape import Tape

# How far from the best a round's participants may be, of what taking part is worth.
_TOLERANCE = 0.02

# Rounds that cost so much more than the cheapest, in what the heaviest device is worth, are nearly as good.
_NEARLY = 1.5

# Of a round, for a single sample.
_COMPUTE_SHARE = 0.2

# Closed forms divide by prices.
LEAST_PRICE = 1e-12


class PlanPrices(NamedTuple):
    """What a plan's constraints are worth, in units of the bound's numerator: of a second, of a joule, of charge, (K,).

    `value` is its Phi, what participation is worth.
    """

    second: float
    joule: float
    charge: np.ndarray
    value: float

    def towards(self, others: Self, share: float) -> Self:
        """Others, of whose distance from these, as logarithms, only a share is gone; `value` is theirs."""
        second, joule, charge = (
            np.exp((1 - share) * np.log(price) + share * np.log(other))
            for price, other in (
                (self.second, others.second),
                (self.joule, others.joule),
                (self.charge, others.charge),
            )
        )
        return self._replace(second=float(second), joule=float(joule), charge=charge, value=others.value)

    def second_of(self, rounds: Tape) -> np.ndarray:
        """Price of a second of each of some rounds, less what is harvested in it, (n,)."""
        price: np.ndarray = np.maximum(self.second - rounds.harvest_w @ self.charge, LEAST_PRICE)
        return price

    def joule_of(self, rounds: Tape) -> np.ndarray:
        """Price of a joule of each device in each of them, (n, K)."""
        return np.broadcast_to(self.joule + self.charge, rounds.harvest_w.shape)


class Roles(NamedTuple):
    """What each device does in some fine-tuning rounds.

    Attributes:
        level: from 1 on, 0 if it is silent, (n, K).
        least_j: what it has to spend in the round at least, J, (n, K).
    """

    level: np.ndarray
    least_j: np.ndarray


def heaviest_roles(costs: RoundCosts, weight: np.ndarray, battery_j: np.ndarray, is_next: np.ndarray) -> Roles:
    """What each device does in some fine-tuning rounds.

    Of the ways whose round costs nearly as little as the cheapest one at a plan's prices, those with the heaviest
    devices: at the best number of rounds one round more, or one with fewer devices, costs about as much as it brings.
    Of these the cheapest.

    Args:
        costs: of the rounds; a level that a device is not able to has a gain of minus infinity.
        weight: what each device counts, (K,).
        battery_j: charge now, J, (K,).
        is_next: which of them is the round to be played next, whose batteries are known, (n,).
    """
    worth = float(np.max(costs.gain))
    found = cheapest_rounds(costs, _TOLERANCE * worth, _NEARLY * worth)
    way, part = found.round_index, found.participates
    by_weight = np.lexsort((part @ weight, way))
    heaviest = by_weight[np.searchsorted(way, np.arange(len(is_next)), side="right") - 1]
    alike = np.flatnonzero(np.all(part == part[heaviest][way], axis=1))
    chosen = alike[np.searchsorted(way[alike], np.arange(len(is_next)))]
    level: np.ndarray = part[chosen] * (1 + found.level[chosen])
    single_j = _single_sample_j(costs, found.finish[chosen], level)
    for row in np.flatnonzero(is_next).tolist():
        level[row] = _covered(costs, row, single_j[row], level[row], battery_j)
    return Roles(level, np.sum(_taken(level, costs.num_levels) * single_j, axis=1))


def _taken(level: np.ndarray, num_levels: int) -> np.ndarray:
    """At which levels devices take part, (..., levels, K)."""
    taken: np.ndarray = level[..., None, :] == np.arange(1, num_levels + 1)[:, None]
    return taken


def _covered(costs: RoundCosts, row: int, single_j: np.ndarray, level: np.ndarray, battery_j: np.ndarray) -> np.ndarray:
    """The same in one round, but no more than batteries cover with a single sample, (K,).

    If that leaves nobody, who uploads fastest takes part, at the first level.
    """
    covered, able = single_j <= battery_j, np.isfinite(costs.gain[row]).reshape(single_j.shape)
    # Higher levels cost more, so those that are covered are the first ones.
    kept: np.ndarray = np.minimum(level, np.sum(covered & able, axis=0))
    least_s = in_rounds(costs.uplink, row).least_s.reshape(single_j.shape)
    fastest = np.argmax(np.where(able, covered / least_s, -1.0)[0])
    kept[fastest] = max(kept[fastest], int(not kept.any()))
    return kept


def _single_sample_j(costs: RoundCosts, finish: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Energy of one sample and an upload at each level in rounds as long as planned, J, (n, levels, K)."""
    rows = np.arange(len(level))
    levels = (len(level), costs.num_levels, level.shape[1])
    seconds = device_costs(costs, rows, finish).seconds.reshape(levels)
    longest_s = np.max(seconds, axis=(1, 2), where=_taken(level, costs.num_levels), initial=0.0)
    devices, uplink = in_rounds(costs.devices, rows), in_rounds(costs.uplink, rows)
    return _energy_j(devices, uplink, longest_s[:, None]).reshape(levels)


def _energy_j(devices: Processor, uplink: Uplink, seconds: np.ndarray) -> np.ndarray:
    """Energy of one sample and an upload in a round, most of which is left to the upload, J, (n, levels K)."""
    compute_s = np.maximum(_COMPUTE_SHARE * seconds, devices.cycles_per_sample / devices.freq_max_hz)
    upload_s = np.maximum(seconds - compute_s, uplink.least_s)
    computed_j = devices.capacitance_j_s2 * devices.cycles_per_sample**3 / compute_s**2
    energy_j: np.ndarray = computed_j + uplink.noise_w * np.expm1(uplink.nats_s / upload_s) * upload_s
    return energy_j
