"""Gradient coding as the engine of priced rounds sees it."""

from functools import cached_property

import numpy as np

from edgelearn_env.baselines.gradient_coding.model.cheapest_codes import CodedRounds, cheapest_codes
from edgelearn_env.baselines.gradient_coding.model.choices import Choices, choices_of
from edgelearn_env.baselines.gradient_coding.model.coded_episode import CodedEpisode
from edgelearn_env.baselines.gradient_coding.model.hardware import straggling_hardware
from edgelearn_env.baselines.priced.records import AllowedSets, PricedRounds, Prices, RoundPlans
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.model.hardware import Hardware
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario


class PricedCodes(PricedEpisode):
    """A scenario with codes on a tape whose stragglers are known, priced round by round.

    A round is one without a code, as in `PricedEpisode`, or one of the `Choices` with a code.
    """

    scenario: GradientCodingScenario
    _scenario: GradientCodingScenario

    def hardware(self) -> Hardware:
        """Processors and uplinks of all rounds, (T, K)."""
        return straggling_hardware(self.scenario, self.tape.channel_gain, self.tape.hidden)

    @property
    def most_load(self) -> float:
        """Samples that a device computes for each of a batch, at most: those of all parts that it holds."""
        edges, devices = self.scenario.codes[-1]
        return float((edges + 1) * (devices + 1))

    def rounds(self, prices: Prices, phi: float, tolerance: float, sets: AllowedSets) -> PricedRounds:
        """As `PricedSystem.rounds`: the cheaper of both kinds."""
        plain = super().rounds(prices, phi, tolerance, sets)
        if not len(self._choices.role):
            return plain
        radio, second = self._scenario.radio, prices.second(self.setting)
        silent, released = self.battery_terms(prices)
        besides = np.sum(silent, axis=1) + prices.energy * radio.downlink_j + second * radio.downlink_s
        found = cheapest_codes(
            self.round_costs(prices, phi, sets),
            self._choices,
            released,
            worth=phi * self._whole_weight,
            tolerance=tolerance,
            most=plain.least_active - besides,
        )
        least = np.full(len(besides), np.inf)
        np.minimum.at(least, found.round_index, found.bound)
        coded = self._coded_plans(found, self._spread * tolerance)
        least_coded = least + besides
        return PricedRounds(
            least=np.minimum(plain.least, least_coded),
            least_active=np.minimum(plain.least_active, least_coded),
            plans=_merged(plain.plans, coded, coded_first=least_coded < plain.least_active),
        )

    def episode(self, num_pretrain: int, roles: np.ndarray) -> CodedEpisode:
        """M pre-training rounds, and after them one for each row of these roles, (N, K)."""
        return CodedEpisode(
            scenario=self._scenario,
            tape=self._tape,
            num_pretrain_rounds=num_pretrain,
            num_finetune_rounds=len(roles),
            given_roles=roles,
            restriction=self._restriction,
        )

    @cached_property
    def _choices(self) -> Choices:
        return choices_of(self._scenario)

    @property
    def _whole_weight(self) -> float:
        """What a decoded round adds to W."""
        return float(self._form.participation_weight * np.sum(self._weight))

    def _coded_plans(self, found: CodedRounds, spread: float) -> RoundPlans:
        """Those that come near to the least cost of their round, cheapest first."""
        least = np.full(len(self.setting.harvest_w), np.inf)
        np.minimum.at(least, found.round_index, found.cost)
        near = np.flatnonzero(found.cost <= least[found.round_index] + spread)
        near = near[np.lexsort((found.cost[near], found.round_index[near]))]
        radio, choice = self._scenario.radio, found.choice[near]
        noise = self._noise / found.batch[near]
        return RoundPlans(
            round_index=found.round_index[near],
            numerator=np.sum(noise, axis=1),
            weight=np.full(len(near), self._whole_weight),
            duration_s=np.max(found.finish_s[near], axis=1) + radio.downlink_s,
            shared_j=np.full(len(near), radio.downlink_j),
            device_j=found.device_j[near],
            roles=self._choices.participates[choice] * self._choices.role[choice][:, None],
        )


def _merged(plain: RoundPlans, coded: RoundPlans, coded_first: np.ndarray) -> RoundPlans:
    """All plans, those of the cheaper kind of each round first."""
    every = RoundPlans(*(np.concatenate(arrays) for arrays in zip(plain, coded, strict=True)))
    is_coded = np.arange(len(every.round_index)) >= len(plain.round_index)
    order = np.lexsort((is_coded != coded_first[every.round_index], every.round_index))
    return RoundPlans(*(array[order] for array in every))
