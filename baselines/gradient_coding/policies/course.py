"""The course that an episode is to take in the mean, from its start: numbers of rounds, and prices."""

from typing import NamedTuple

import numpy as np

from edgelearn_env.baselines.gradient_coding.policies.mean_plan import MeanPlan, MeanPrices, mean_plan
from edgelearn_env.baselines.gradient_coding.policies.round_choice import RoundChoice
from edgelearn_env.baselines.gradient_coding.policies.typical_rounds import TypicalRounds
from edgelearn_env.baselines.priced.records import PretrainPlan, Prices, RoundPlans
from edgelearn_env.baselines.stages.clairvoyant.priced_episode import PricedEpisode
from edgelearn_env.baselines.stages.model.planned_episode import PlanStart
from edgelearn_env.baselines.stages.model.restriction import UNRESTRICTED
from edgelearn_env.baselines.stages.static.rounds import average_tape
from edgelearn_env.gradient_coding.scenario import GradientCodingScenario

# The first kinds of rounds are those at prices of the static design, which knows of no stragglers: its bound times the
# first number, its seconds' price times each of the others. Then so many more are looked for.
_FIRST_PHI, _FIRST_SCALES, _NUM_STEPS = 3.0, (0.5, 1.0, 2.0, 4.0), 10

# By which factor prices move at most from one to the next.
_MOST_MOVED = 1.5

# Numbers of pre-training rounds that are told apart.
_NUM_COUNTS = 60


class Course(NamedTuple):
    """How an episode is to go.

    Attributes:
        num_pretrain_rounds, num_finetune_rounds: M and N.
        prices: of all its rounds.
        finetuning_s: what its fine-tuning rounds take together.
        kinds: of rounds that were found on the way, one a row.
    """

    num_pretrain_rounds: int
    num_finetune_rounds: int
    prices: MeanPrices
    finetuning_s: float
    kinds: RoundPlans


def best_course(choice: RoundChoice) -> Course:
    """The course of least bound, by column generation: time and again a kind of round at the best mixture's prices.

    Args:
        choice: which round is played at given prices.
    """
    scenario, typical = choice.scenario, TypicalRounds(choice=choice)
    engine = PricedEpisode(scenario, average_tape(scenario), UNRESTRICTED)
    guess, start = engine.first_guess(), PlanStart.at_start(scenario)
    counts = np.unique(np.linspace(0, scenario.budgets.max_rounds - 1, _NUM_COUNTS).astype(int))
    first = MeanPrices(guess.prices.time, guess.prices.energy, guess.prices.carry[0], _FIRST_PHI * guess.phi)
    finetuning_s, kinds, ways = start.delay_s / 2, RoundPlans.none(scenario.num_devices), list[PretrainPlan]()
    harvest_w = scenario.energy.harvest_mean_w * np.ones(scenario.num_devices)
    tried = [first._replace(second=scale * first.second) for scale in _FIRST_SCALES]
    for _ in range(_NUM_STEPS):
        for prices in tried:
            kinds = joined(kinds, typical.kind(prices, finetuning_s))
            ways += [engine.pretraining_plan(_along_tape(scenario, prices), count) for count in counts.tolist()]
        plan = mean_plan(
            start, harvest_w, scenario.budgets.max_rounds, ways, np.tile(counts, len(ways) // len(counts)), kinds
        )
        finetuning_s = float(kinds.duration_s @ plan.rounds)
        tried = [tried[-1].moved_to(plan.prices, _MOST_MOVED)]
    return _course(counts, plan, tried[0], finetuning_s, kinds)


def joined(*kinds: RoundPlans) -> RoundPlans:
    """All of them."""
    return RoundPlans(*(np.concatenate(arrays) for arrays in zip(*kinds, strict=True)))


def _course(counts: np.ndarray, plan: MeanPlan, prices: MeanPrices, finetuning_s: float, kinds: RoundPlans) -> Course:
    """The course of a mixture: with as many pre-training rounds as its largest share has."""
    shares = np.sum(plan.pretraining.reshape(-1, len(counts)), axis=0)
    num_finetune = max(round(float(np.sum(plan.rounds))), 1)
    return Course(int(counts[np.argmax(shares)]), num_finetune, prices, finetuning_s, kinds)


def _along_tape(scenario: GradientCodingScenario, prices: MeanPrices) -> Prices:
    """The same prices in all rounds."""
    shape = (scenario.budgets.max_rounds, scenario.num_devices)
    carry = np.broadcast_to(prices.charge, (shape[0] + 1, shape[1]))
    return Prices(prices.second, prices.joule, prices.second, prices.joule, carry, np.zeros(shape))
