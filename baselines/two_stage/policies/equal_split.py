"""Equal split: every round gets the same share of the time and energy that are left."""

import dataclasses

import numpy as np

from edgelearn_env.baselines.stages.policies.largest_round import (
    allocation_of,
    largest_finetune_round,
    largest_pretrain_round,
)
from edgelearn_env.model import Observed
from edgelearn_env.stages.constants import Constants, constants_of
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.seeds import tuning_seeds
from edgelearn_env.tapes.tape import Tape, sample_tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.scenario import TwoStageScenario

# Rounding must not make the last share more than what is left.
_PRUDENCE = 1 - 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class EqualSplit:
    """Play M pre-training and N fine-tuning rounds, each with (what is left) / (rounds left) of both budgets.

    In a fine-tuning round the energy is split equally among the devices, and none spends more than the same share of
    its battery, plus what it harvests in the round on average, as far as its battery holds that now.

    Attributes:
        constants: the scenario as arrays.
        num_pretrain_rounds: M, a number or one for each episode, (B,).
        num_finetune_rounds: N, likewise.
    """

    constants: Constants
    num_pretrain_rounds: np.ndarray | int
    num_finetune_rounds: np.ndarray | int

    def __call__(self, observed: Observed) -> Allocation:
        """The largest batches within this round's share."""
        state, scenario = observed.state, self.constants.scenario
        planned = self.num_pretrain_rounds + np.maximum(self.num_finetune_rounds, 1)
        share = _PRUDENCE / np.maximum(planned - state.round_index, 1)
        duration_s = (scenario.budgets.delay_s - state.elapsed_s) * share
        energy_j = (scenario.budgets.energy_j - state.spent_j) * share
        device_j = np.maximum(energy_j - scenario.radio.downlink_j, 0.0)[:, None] / scenario.num_devices
        stored_j = state.battery_j * share[:, None] + scenario.energy.harvest_mean_w * duration_s[:, None]
        tuning_s = duration_s - scenario.radio.downlink_s
        return allocation_of(
            switch=state.round_index >= self.num_pretrain_rounds,
            server=largest_pretrain_round(self.constants, duration_s, energy_j),
            devices=largest_finetune_round(self.constants, observed, tuning_s, np.minimum(device_j, stored_j)),
        )


_NUM_TUNING_TAPES, _NUM_CANDIDATES = 8, 10


def tuned_equal_split(scenario: TwoStageScenario) -> EqualSplit:
    """The equal split whose (M, N) is best on tuning tapes: a logarithmic grid, then a finer one around its best."""
    constants = constants_of(scenario)
    low, high = np.zeros(2), np.full(2, float(scenario.budgets.max_rounds))
    for _ in range(2):
        choices = [
            np.unique(np.round(np.geomspace(a + 1, b + 1, _NUM_CANDIDATES) - 1)) for a, b in zip(low, high, strict=True)
        ]
        pairs = np.stack(np.meshgrid(*choices, indexing="ij"), axis=-1).reshape(-1, 2)
        pairs = pairs[(pairs.sum(axis=1) <= scenario.budgets.max_rounds) & (pairs[:, 1] >= 1)]
        best = pairs[np.argmin(_mean_objective(scenario, pairs))]
        neighbours = [
            choice[np.abs(np.searchsorted(choice, b) - np.arange(len(choice))) == 1]
            for choice, b in zip(choices, best, strict=True)
        ]
        low = np.array([min(n.min(), b) for n, b in zip(neighbours, best, strict=True)])
        high = np.array([max(n.max(), b) for n, b in zip(neighbours, best, strict=True)])
    num_pretrain, num_finetune = best
    return EqualSplit(constants=constants, num_pretrain_rounds=int(num_pretrain), num_finetune_rounds=int(num_finetune))


def _mean_objective(scenario: TwoStageScenario, pairs: np.ndarray) -> np.ndarray:
    """Mean log Phi over the tuning tapes for each (M, N), (P,)."""
    tapes = Tape.stack([sample_tape(scenario, seed) for seed in tuning_seeds(_NUM_TUNING_TAPES)])
    every = tapes.rows(np.repeat(np.arange(len(tapes.channel_gain)), len(pairs)))
    num_pretrain, num_finetune = np.tile(pairs, (_NUM_TUNING_TAPES, 1)).T
    policy = EqualSplit(
        constants=constants_of(scenario), num_pretrain_rounds=num_pretrain, num_finetune_rounds=num_finetune
    )
    objective = rollout(scenario, every, policy).objective
    mean: np.ndarray = np.log(objective).reshape(_NUM_TUNING_TAPES, -1).mean(axis=0)
    return mean
