"""Drift plus penalty with codes: in every round the code whose expected drift plus penalty is least."""

import dataclasses
from typing import Any, Self

import numpy as np

from edgelearn_env.arrays.records import mapped, write_rows
from edgelearn_env.baselines.gradient_coding.policies.course import Course, best_course
from edgelearn_env.baselines.gradient_coding.policies.round_choice import RoundChoice, no_round
from edgelearn_env.baselines.gradient_coding.policies.time_value import TimeValue
from edgelearn_env.baselines.stages.policies.lyapunov import Lyapunov
from edgelearn_env.baselines.stages.policies.priced_round import RoundPrices
from edgelearn_env.gradient_coding.records import Allocation
from edgelearn_env.model import Observed
from edgelearn_env.stages.constants import constants_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodedLyapunov(Lyapunov):
    """`Lyapunov` whose rounds may have codes: what costs least in expectation, at the queues' prices.

    Numbers of rounds and prices are those of the best course in the mean (`best_course`), which knows how long rounds
    take under the law of stragglers; queues make up for luck. The more of what is left a round takes, the dearer are
    its seconds (`TimeValue`).

    Attributes:
        choice: codes that it may use, and what it knows of stragglers.
        finetuning_s: what fine-tuning rounds are to take together.
    """

    choice: RoundChoice
    finetuning_s: float

    @classmethod
    def on_course(cls, choice: RoundChoice, course: Course | None = None, **attributes: Any) -> Self:
        """The policy that keeps to a course, the best one if None."""
        course, form = course or best_course(choice), choice.scenario.bound.quotient_form(0)
        # One number for each episode: there is one course for all.
        each, unit = np.ones(1), form.finetune_weight
        return cls(
            constants=constants_of(choice.scenario),
            num_pretrain_rounds=np.array([course.num_pretrain_rounds]),
            num_finetune_rounds=np.array([course.num_finetune_rounds]),
            second_price=each * course.prices.second / unit,
            joule_price=each * course.prices.joule / unit,
            participation_price=each * course.prices.phi * form.participation_weight / unit,
            choice=choice,
            finetuning_s=course.finetuning_s,
            **attributes,
        )

    def __call__(self, observed: Observed) -> Allocation:
        """The round of least expected drift plus penalty, of the stage that is on."""
        switch, server = self._stage(observed)
        decided = no_round(self.choice.scenario, switch, server)
        rows = np.flatnonzero(switch & ~observed.state.ended)
        if len(rows):
            now, prices = mapped(lambda array: array[rows], observed), self.round_prices(observed).of_episodes(rows)
            write_rows(decided, rows, self._finetune_allocation(now, prices))
        return decided

    def _finetune_allocation(self, observed: Observed, prices: RoundPrices) -> Allocation:
        """The fine-tuning round at those prices."""
        left_s = self.constants.scenario.budgets.delay_s - observed.state.elapsed_s
        time = TimeValue(prices.second, left_s, np.maximum(self.finetuning_s, left_s))
        return self.choice.best(observed, prices, time).allocation
