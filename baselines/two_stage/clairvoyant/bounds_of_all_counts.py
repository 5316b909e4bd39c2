"""Lower bounds for many pairs (M, N) at once, from the multipliers of one.

Multipliers of a solved pair are laid along the tape by global round index, so that every pair finds prices for its own
rounds. The dual function at those prices is a sum over rounds; sums over all stretches of rounds come from one
cumulative sum, and what depends on the pair itself (the weights of 1/b) enters through a concave function of one
number.
"""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.two_stage.conic.dual import Multipliers, made_valid, next_carry
from edgelearn_env.baselines.two_stage.model.closed_forms import (
    cheapest_batch,
    cheapest_compute,
    cheapest_sample,
    cheapest_upload,
)
from edgelearn_env.baselines.two_stage.model.planned_episode import PlannedEpisode

_ASCENT_STEPS = 15
_CHORDS = 64


class TapePrices(NamedTuple):
    """Multipliers for every round t of the tape, as if fine-tuning could begin at any of them.

    Attributes:
        multipliers: arrays of shape (T, K).
        joule: price of a joule a device spends in round t, (T, K).
        round_cost: what round t adds to the dual function besides computing, (T,).
        episode: all rounds of the tape as fine-tuning rounds.
    """

    multipliers: Multipliers
    joule: np.ndarray
    round_cost: np.ndarray
    episode: PlannedEpisode


def prices_along_tape(solved: PlannedEpisode, multipliers: Multipliers) -> TapePrices:
    """Extend the multipliers of a solved pair to all rounds of its tape.

    Before its fine-tuning rounds the price of stored energy stays what it was at their start; after them it is 0. There
    the price of a round's time is split among the devices by ascent on the dual function.
    """
    num_rounds = len(solved.tape.channel_gain)
    played = slice(solved.num_pretrain_rounds, solved.num_pretrain_rounds + solved.num_finetune_rounds)
    finish, pay, carry, hold = laid = np.zeros((4, num_rounds, solved.scenario.num_devices))
    laid[:, played] = multipliers.finish, multipliers.pay, multipliers.carry, multipliers.hold
    if solved.num_finetune_rounds:
        carry[: solved.num_pretrain_rounds] = multipliers.carry[0]
    everything = PlannedEpisode(
        scenario=solved.scenario,
        tape=solved.tape,
        num_pretrain_rounds=0,
        num_finetune_rounds=num_rounds,
        restriction=solved.restriction,
    )
    prices = made_valid(multipliers._replace(finish=finish, pay=pay, carry=carry, hold=hold), solved.tape.harvest_w)
    joule = prices.energy + prices.pay + prices.hold + next_carry(prices.carry)
    outside = np.ones(num_rounds, dtype=bool)
    outside[played] = False
    prices.finish[outside] = _split(everything, solved.device_noise_price, prices.finish, joule)[outside]
    return TapePrices(prices, joule, _round_cost(everything, prices, joule), everything)


def _split(episode: PlannedEpisode, noise_price: np.ndarray, finish: np.ndarray, joule: np.ndarray) -> np.ndarray:
    """Finish prices with the same sum a round, nearer to those at which all devices finish together."""
    total = np.sum(finish, axis=1, keepdims=True)
    for _ in range(_ASCENT_STEPS):
        seconds = cheapest_compute(noise_price, finish, joule, episode.devices).seconds
        late = finish * (seconds + cheapest_upload(finish, joule, episode.uplink).seconds)
        finish = total * late / np.maximum(np.sum(late, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return finish


def _round_cost(episode: PlannedEpisode, prices: Multipliers, joule: np.ndarray) -> np.ndarray:
    """The terms of `dual.dual_bound` that belong to round t, but for those of computing, (T,)."""
    scenario, harvest_w = episode.scenario, episode.finetune_harvest_w
    delay_s, capacity_j, radio = scenario.budgets.delay_s, scenario.energy.battery_capacity_j, scenario.radio
    after, finish, pay = next_carry(prices.carry), prices.finish, prices.pay
    of_devices = (
        cheapest_upload(finish, joule, episode.uplink).cost
        - after * harvest_w * radio.downlink_s
        - prices.hold * capacity_j
        + delay_s * np.minimum(finish - pay * harvest_w, 0.0)
        + capacity_j * np.minimum(prices.carry - after - pay, 0.0)
    )
    duration_price = prices.time - np.sum(finish + after * harvest_w, axis=1)
    downlink = prices.time * radio.downlink_s + prices.energy * radio.downlink_j
    cost = np.sum(of_devices, axis=1) + delay_s * np.minimum(duration_price, 0.0) + downlink
    # A round that costs more than all that there is to spend is in no plan; in a cumulative sum it would drown others.
    psi_0 = scenario.bound.batch_size_form(0, 0).constant
    all_there_is = psi_0 + prices.time * delay_s + prices.energy * scenario.budgets.energy_j
    round_cost: np.ndarray = np.minimum(cost, all_there_is)
    return round_cost


def bounds_of_all_counts(prices: TapePrices, num_pretrain: np.ndarray, num_finetune: np.ndarray) -> np.ndarray:
    """Lower bounds on the learning bound of every plan with M and N rounds, for all M and N given.

    Args:
        prices: along the tape.
        num_pretrain: values of M, (P,).
        num_finetune: values of N, (Q,); pairs beyond the end of the tape get infinity.

    Returns:
        (P, Q).
    """
    episode, multipliers = prices.episode, prices.multipliers
    scenario, (server_time, server_energy) = episode.scenario, multipliers.in_pretraining(episode)
    own_s, own_j = episode.pretrain_delay_s, episode.pretrain_energy_j
    shared_s, shared_j = scenario.budgets.delay_s - own_s, scenario.budgets.energy_j - own_j
    first, last = num_pretrain[:, None], num_pretrain[:, None] + num_finetune
    fits = last <= len(prices.round_cost)
    last = np.minimum(last, len(prices.round_cost))
    form = scenario.bound.batch_size_form(first, num_finetune[None, :])
    fixed = np.concatenate([[0.0], np.cumsum(prices.round_cost)])
    value = form.constant - multipliers.time * shared_s - multipliers.energy * shared_j
    value = value - server_time * own_s - server_energy * own_j
    value = value + fixed[last] - fixed[first]
    value -= (_start_price(prices, num_pretrain) @ scenario.energy.battery_initial_j)[:, None]
    weights = np.broadcast_to(form.finetune_weight, value.shape)
    value += _finetune_compute_cost(prices, weights, first, last)
    weights = np.broadcast_to(form.pretrain_weight, value.shape)
    for row, rounds in enumerate(num_pretrain.tolist()):
        value[row] += _pretrain_compute_cost(prices, weights[row], form.pretrain_decay, rounds)
    return np.where(fits, value, np.inf)


def _start_price(prices: TapePrices, num_pretrain: np.ndarray | int) -> np.ndarray:
    """Price of a joule in each battery when fine-tuning begins after `num_pretrain` rounds."""
    carry = prices.multipliers.carry
    price: np.ndarray = np.concatenate([carry, np.zeros_like(carry[:1])])[num_pretrain]
    return price


def _finetune_compute_cost(prices: TapePrices, weight: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Least cost of computing in rounds first .. last - 1 when 1/b weighs `weight`, for every pair."""
    devices, noise_weight = prices.episode.devices, prices.episode.scenario.gradient_noise_weight
    sample = cheapest_sample(prices.multipliers.finish, prices.joule, devices)
    grid = _grid(weight)
    cost = [np.sum(cheapest_batch(w * noise_weight, sample, devices.batch_max).cost, axis=1) for w in grid]
    sums = np.concatenate([np.zeros((len(grid), 1)), np.cumsum(cost, axis=1)], axis=1)
    below, share = _place(grid, weight)
    low, high = (sums[index, last] - sums[index, first] for index in (below, below + 1))
    on_chord: np.ndarray = low + share * (high - low)
    return on_chord


def _pretrain_compute_cost(prices: TapePrices, weight: np.ndarray, decay: float, num_rounds: int) -> np.ndarray:
    """Least cost of `num_rounds` pre-training rounds when the last 1/b weighs `weight`, for every weight."""
    multipliers, episode = prices.multipliers, prices.episode
    time, energy = multipliers.in_pretraining(episode)
    second = time - episode.tape.harvest_w[:num_rounds] @ _start_price(prices, num_rounds)
    sample = cheapest_sample(second, np.float64(energy), episode.server)
    grid = _grid(weight)
    noise_price = grid[:, None] * decay ** np.arange(num_rounds)[::-1]
    cost = np.sum(cheapest_batch(noise_price, sample, episode.server.batch_max).cost, axis=1)
    below, share = _place(grid, weight)
    on_chord: np.ndarray = cost[below] + share * (cost[below + 1] - cost[below])
    return on_chord


def _grid(weight: np.ndarray) -> np.ndarray:
    """Weights at which a cost is evaluated; as it is concave in the weight, chords between them lie below it."""
    exact = np.unique(weight)
    grid = exact if len(exact) <= _CHORDS else np.geomspace(exact[0], exact[-1], _CHORDS)
    grid[[0, -1]] = exact[[0, -1]]
    return np.append(grid, grid[-1]) if len(grid) == 1 else grid


def _place(grid: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the chord a weight lies on, and how far along it."""
    below = np.clip(np.searchsorted(grid, weight, side="right") - 1, 0, len(grid) - 2)
    width = grid[below + 1] - grid[below]
    return below, np.where(width > 0, (weight - grid[below]) / np.where(width > 0, width, 1.0), 0.0)
