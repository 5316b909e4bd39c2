"""Who takes part in rounds to come, at the prices of a plan."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.priced.records import AllowedSets
from edgelearn_env.baselines.stages.model.cheapest_rounds import RoundCosts, cheapest_rounds, device_costs
from edgelearn_env.baselines.stages.model.closed_forms import Processor, Uplink
from edgelearn_env.baselines.stages.model.hardware import device_processors, least_dissimilarity, uplinks
from edgelearn_env.stages.records import State
from edgelearn_env.stages.scenario import StagedScenario
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


def heaviest_participants(
    scenario: StagedScenario, state: State, rounds: Tape, prices: PlanPrices, is_next: np.ndarray
) -> np.ndarray:
    """Who takes part in each of some fine-tuning rounds, (n, K).

    Of the sets whose round costs nearly as little as the cheapest one at these prices, the heaviest: at the best number
    of rounds one round more, or one with fewer devices, costs about as much as it brings.

    Args:
        scenario: the system.
        state: where the episode stands, without the leading axis of episodes.
        rounds: their channels and harvests, (n, K).
        prices: of the last plan.
        is_next: which of them is the round to be played next, whose batteries are known, (n,).
    """
    costs = _round_costs(scenario, rounds, prices, float(scenario.budgets.delay_s - state.elapsed_s))
    worth = float(np.max(costs.gain))
    found = cheapest_rounds(costs, _TOLERANCE * worth, _NEARLY * worth)
    weight = found.participates @ np.asarray(scenario.learning.device_weight)
    by_weight = np.lexsort((weight, found.round_index))
    heaviest = by_weight[np.searchsorted(found.round_index, np.arange(len(is_next)), side="right") - 1]
    participates = found.participates[heaviest]
    for row in np.flatnonzero(is_next):
        at = np.array([row])
        seconds = device_costs(costs, at, found.finish[heaviest[at]]).seconds[0]
        uplink = costs.uplink._replace(noise_w=costs.uplink.noise_w[row])
        participates[row] = _covered(costs.devices, uplink, state.battery_j, participates[row], seconds)
    return participates


def _round_costs(scenario: StagedScenario, rounds: Tape, prices: PlanPrices, longest_s: float) -> RoundCosts:
    """What decides the cost of the rounds."""
    form, weight = scenario.bound.quotient_form(0), np.asarray(scenario.learning.device_weight)
    shape = rounds.harvest_w.shape
    sets = AllowedSets.all_of(*shape)
    return RoundCosts(
        second=np.maximum(prices.second - rounds.harvest_w @ prices.charge, LEAST_PRICE),
        joule=np.broadcast_to(prices.joule + prices.charge, shape),
        gain=np.broadcast_to(prices.value * form.participation_weight * weight, shape),
        noise=form.finetune_weight * scenario.gradient_noise_weight,
        dissimilarity=form.dissimilarity_weight * least_dissimilarity(scenario, sets),
        devices=device_processors(scenario),
        uplink=uplinks(scenario, rounds.channel_gain),
        longest_s=longest_s,
        sets=sets,
    )


def _covered(
    devices: Processor, uplink: Uplink, battery_j: np.ndarray, participates: np.ndarray, seconds: np.ndarray
) -> np.ndarray:
    """Those of them whose batteries cover a single sample in the round, (K,); if none does, who uploads fastest."""
    longest_s = np.max(seconds, where=participates, initial=0.0)
    covered = _single_sample_j(devices, uplink, longest_s) <= battery_j
    kept: np.ndarray = participates & covered
    kept[np.argmax(covered / uplink.least_s)] |= ~kept.any()
    return kept


def _single_sample_j(devices: Processor, uplink: Uplink, seconds: float) -> np.ndarray:
    """Energy of one sample and an upload in a round, most of which is left to the upload, J, (K,)."""
    compute_s = np.maximum(_COMPUTE_SHARE * seconds, devices.cycles_per_sample / devices.freq_max_hz)
    upload_s = np.maximum(seconds - compute_s, uplink.least_s)
    computed_j = devices.capacitance_j_s2 * devices.cycles_per_sample**3 / compute_s**2
    energy_j: np.ndarray = computed_j + uplink.noise_w * np.expm1(uplink.nats_s / upload_s) * upload_s
    return energy_j
