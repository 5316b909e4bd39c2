"""Model-predictive control of coded rounds: plan the rest of the episode in the mean, play a round, plan again."""

import dataclasses
from typing import Self

import numpy as np

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.gradient_coding.policies.coded_lyapunov import CodedLyapunov
from edgelearn_env.baselines.gradient_coding.policies.course import Course, best_course, joined
from edgelearn_env.baselines.gradient_coding.policies.mean_plan import MeanPrices, mean_plan
from edgelearn_env.baselines.gradient_coding.policies.round_choice import RoundChoice
from edgelearn_env.baselines.gradient_coding.policies.typical_rounds import TypicalRounds, round_prices
from edgelearn_env.baselines.priced.records import PretrainPlan, RoundPlans
from edgelearn_env.baselines.stages.model.planned_episode import PlanStart
from edgelearn_env.baselines.stages.policies.priced_round import RoundPrices
from edgelearn_env.gradient_coding.records import State
from edgelearn_env.model import Observed

# Beside the kinds of rounds that the course has, those at its prices of time and energy times these numbers: episodes
# that fell behind, or have something to spare.
_ASIDE = ((0.5, 1.0), (2.0, 1.0), (1.0, 0.5), (1.0, 2.0), (4.0, 1.0), (2.0, 2.0), (0.5, 0.5))

# By which factor prices follow a new plan in a round: multipliers of a mixture of few kinds jump.
_MOST_MOVED = 1.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodedMPC(CodedLyapunov):
    """Receding-horizon control: `CodedLyapunov` whose prices are planned anew in every fine-tuning round.

    In place of queues, the multipliers of the best mixture of kinds of rounds (`mean_plan`) for the time, energy and
    charge that are left say what those are worth, and the round that is cheapest at them under what is known now, of
    channels and of slow devices, is played. Kinds are means over the law of stragglers and channels, so a plan counts
    on no luck. Pre-training, which meets no chance, is that of the course.

    Prices are remembered from round to round, for each episode of a batch by its place.

    Attributes:
        kinds: of rounds, one a row.
        first: prices of the course.
        remembered: prices of the last round by place.
    """

    kinds: RoundPlans
    first: MeanPrices
    remembered: dict[int, MeanPrices] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, choice: RoundChoice, course: Course | None = None) -> Self:
        """The controller that begins with a course, the best one if None."""
        course, typical = course or best_course(choice), TypicalRounds(choice=choice)
        aside = []
        for of_time, of_energy in _ASIDE:
            second, joule, charge, phi = course.prices
            prices = MeanPrices(of_time * second, of_energy * joule, of_energy * charge, phi)
            aside.append(typical.kind(prices, course.finetuning_s))
        return cls.on_course(choice, course, kinds=joined(course.kinds, *aside), first=course.prices)

    def round_prices(self, observed: Observed) -> RoundPrices:
        """Prices of a fine-tuning round, in units of the bound's numerator."""
        state = observed.state
        for place in np.flatnonzero(~state.ended).tolist():
            episode: State = mapped(lambda array, i=place: array[i], state)
            known = self.remembered.get(place) if episode.bound_terms.num_finetune_rounds else None
            self.remembered[place] = self._planned(episode, known or self.first)
        every = [self.remembered.get(place, self.first) for place in range(len(state.ended))]
        return round_prices(self.choice.scenario, every)

    def _planned(self, state: State, known: MeanPrices) -> MeanPrices:
        """Prices of the best mixture from here, as far as they are followed."""
        scenario, budgets = self.choice.scenario, self.choice.scenario.budgets
        form = scenario.bound.quotient_form(0, state.bound_terms)
        nothing = np.zeros(scenario.num_devices)
        so_far = PretrainPlan(float(form.constant), float(form.weight), 0.0, 0.0, nothing)
        left = PlanStart(budgets.delay_s - state.elapsed_s, budgets.energy_j - state.spent_j, state.battery_j, None)
        most = budgets.max_rounds - int(state.round_index)
        plan = mean_plan(left, nothing + scenario.energy.harvest_mean_w, most, [so_far], [0], self.kinds)
        return known.moved_to(plan.prices, _MOST_MOVED)
