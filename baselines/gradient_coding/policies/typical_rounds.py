"""Kinds of rounds: the best round at some prices in every situation of the law, and what they come to in the mean."""

import dataclasses
from functools import cached_property

import numpy as np

from edgelearn_env.baselines.gradient_coding.policies.mean_plan import MeanPrices
from edgelearn_env.baselines.gradient_coding.policies.round_choice import RoundChoice
from edgelearn_env.baselines.gradient_coding.policies.time_value import TimeValue
from edgelearn_env.baselines.priced.records import RoundPlans
from edgelearn_env.baselines.stages.policies.priced_round import RoundPrices
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario
from edgelearn_env.model import Observed, model_of
from edgelearn_env.tapes.seeds import tuning_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape

# Situations that stand for all.
_NUM_SITUATIONS = 16

# Prices are divided by.
_LEAST_PRICE = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class TypicalRounds:
    """The rounds of a policy in the mean.

    Attributes:
        choice: which round it plays at given prices.
    """

    choice: RoundChoice

    def kind(self, prices: MeanPrices, finetuning_s: float) -> RoundPlans:
        """One row: the mean of the best rounds at those prices, with full batteries.

        Args:
            prices: that are paid.
            finetuning_s: what all fine-tuning rounds take together.
        """
        scenario, form = self.choice.scenario, self.choice.scenario.bound.quotient_form(0)
        at, each = round_prices(scenario, [prices] * _NUM_SITUATIONS), np.full(_NUM_SITUATIONS, finetuning_s)
        best = self.choice.best(self.situations, at, TimeValue(at.second, each, each))
        return RoundPlans(
            round_index=np.zeros(1, dtype=int),
            numerator=np.mean(best.noise, keepdims=True),
            weight=form.participation_weight * np.mean(best.weight, keepdims=True),
            duration_s=np.mean(best.duration_s, keepdims=True),
            shared_j=np.full(1, scenario.radio.downlink_j),
            device_j=np.mean(best.device_j, axis=0, keepdims=True),
            roles=np.ones((1, scenario.num_devices), dtype=int),
        )

    @cached_property
    def situations(self) -> Observed:
        """Before rounds that are far from one another, each of a tape of its own."""
        scenario, index = self.choice.scenario, np.arange(_NUM_SITUATIONS)
        tapes = Tape.stack([sample_tape(scenario, seed) for seed in tuning_seeds(_NUM_SITUATIONS)])
        rounds = np.linspace(1, scenario.budgets.max_rounds - 1, _NUM_SITUATIONS).astype(int)
        state = model_of(scenario, "numpy").initial_state(_NUM_SITUATIONS)
        seen = state.seen._replace(slowdown=tapes.hidden.slowdown[index, rounds - 1])
        return Observed(state._replace(finetuning=~state.ended, seen=seen), tapes.conditions(rounds).seen)


def round_prices(scenario: GradientCodingScenario, prices: list[MeanPrices]) -> RoundPrices:
    """What a round's parts cost in each of B episodes at prices of its own, in units of the bound's numerator.

    A second costs the less, the more its harvest is worth.
    """
    form, devices = scenario.bound.quotient_form(0), np.ones(scenario.num_devices)
    second, joule, charge, phi = (np.array(each) for each in zip(*prices, strict=True))
    harvested = charge @ (devices * scenario.energy.harvest_mean_w)
    return RoundPrices(
        noise=form.finetune_weight * scenario.gradient_noise_weight,
        second=np.maximum(second - harvested, _LEAST_PRICE),
        joule=joule[:, None] + charge,
        gain=form.participation_weight * phi[:, None] * (devices * scenario.learning.device_weight),
        dissimilarity=form.dissimilarity_weight,
    )
