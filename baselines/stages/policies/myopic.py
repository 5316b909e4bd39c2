"""Myopic play: the round, and the stage, that would be best if all that is left were spent on rounds like it."""

import dataclasses

import numpy as np

from edgelearn_env.baselines.stages.policies.largest_round import (
    DevicesRound,
    ServerRound,
    allocation_of,
    largest_finetune_round,
    largest_pretrain_round,
    pretrain_cost,
)
from edgelearn_env.model import Observed
from edgelearn_env.stages.bounds import BoundTerms
from edgelearn_env.stages.constants import Constants
from edgelearn_env.stages.records import Allocation

_NUM_PACES = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Myopic:
    """One-step lookahead: today's channels and harvest for ever, no foresight.

    For a range of paces n it asks what Phi would become if n fine-tuning rounds with an n-th of what is left each, all
    like this one, ended the episode; the best pace is played. Before the switch it compares that with one more
    pre-training round of a pace first.

    Attributes:
        constants: the scenario as arrays.
    """

    constants: Constants

    def __call__(self, observed: Observed) -> Allocation:
        """Play the best pace of the better stage."""
        state, budgets = observed.state, self.constants.scenario.budgets
        rounds_left = budgets.max_rounds - state.round_index
        pace = np.maximum(np.geomspace(np.ones(len(rounds_left)), np.maximum(rounds_left, 1), _NUM_PACES), 1.0)
        duration_s = (budgets.delay_s - state.elapsed_s) * (1 - 1e-9) / pace
        energy_j = (budgets.energy_j - state.spent_j) * (1 - 1e-9) / pace
        devices, added = self._finetune_rounds(observed, pace, duration_s, energy_j)
        server, after_pretrain = self._pretrain_rounds(observed, duration_s, energy_j)
        ahead = self._bound_ahead(state.bound_terms, pace, added, np.ones_like(rounds_left))
        switch_value, switch_pace = np.min(ahead, axis=0), np.argmin(ahead, axis=0)
        stay = [np.min(self._bound_ahead(progress, pace, added, share), axis=0) for progress, share in after_pretrain]
        stay_value, stay_pace = np.min(stay, axis=0), np.argmin(stay, axis=0)
        episode = np.arange(len(rounds_left))
        return allocation_of(
            switch=state.finetuning | (switch_value <= stay_value),
            server=ServerRound(*(np.stack(arrays)[stay_pace, episode] for arrays in zip(*server, strict=True))),
            devices=DevicesRound(*(np.stack(arrays)[switch_pace, episode] for arrays in zip(*devices, strict=True))),
        )

    def _finetune_rounds(
        self, observed: Observed, pace: np.ndarray, duration_s: np.ndarray, energy_j: np.ndarray
    ) -> tuple[list[DevicesRound], BoundTerms]:
        """The largest fine-tuning round of each pace, and what it adds to the bound's terms, (paces, B)."""
        radio, num_devices = self.constants.scenario.radio, self.constants.scenario.num_devices
        device_j = np.maximum(energy_j - radio.downlink_j, 0.0)[..., None] / num_devices
        stored_j = observed.state.battery_j / pace[..., None] + observed.conditions.harvest_w * duration_s[..., None]
        rounds = [
            largest_finetune_round(self.constants, observed, seconds - radio.downlink_s, joules)
            for seconds, joules in zip(duration_s, np.minimum(device_j, stored_j), strict=True)
        ]
        batch = np.stack([chosen.batch for chosen in rounds])
        part = batch >= 1
        noise = np.sum(self.constants.gradient_noise_weight * part / np.maximum(batch, 1.0), axis=-1)
        weight = np.sum(self.constants.device_weight * part, axis=-1)
        added = BoundTerms(0.0, 1.0, 0.0, self.constants.bound.finetune_round(noise, weight), weight)
        return rounds, added

    def _pretrain_rounds(
        self, observed: Observed, duration_s: np.ndarray, energy_j: np.ndarray
    ) -> tuple[list[ServerRound], list[tuple[BoundTerms, np.ndarray]]]:
        """The largest pre-training round of each pace; the bound's progress after it and the share of budgets left."""
        state, bound, budgets = observed.state, self.constants.bound, self.constants.scenario.budgets
        rounds, after = [], []
        for seconds, joules in zip(duration_s, energy_j, strict=True):
            chosen = largest_pretrain_round(self.constants, seconds, joules)
            used_s, used_j = pretrain_cost(self.constants, chosen)
            share = np.minimum(
                1 - used_s / (budgets.delay_s - state.elapsed_s), 1 - used_j / (budgets.energy_j - state.spent_j)
            )
            term = bound.after_pretrain_round(state.bound_terms.pretrain_term, chosen.batch)
            progress = state.bound_terms._replace(
                num_pretrain_rounds=state.bound_terms.num_pretrain_rounds + 1, pretrain_term=term
            )
            rounds.append(chosen)
            after.append((progress, np.maximum(share, 0.0)))
        return rounds, after

    def _bound_ahead(self, progress: BoundTerms, pace: np.ndarray, added: BoundTerms, share: np.ndarray) -> np.ndarray:
        """Phi if `share` of `pace` such rounds followed, (paces, B)."""
        num_rounds = pace * share
        ahead: np.ndarray = self.constants.bound.value(
            progress._replace(
                num_finetune_rounds=progress.num_finetune_rounds + num_rounds,
                num_pretrain_rounds=progress.num_pretrain_rounds + np.zeros_like(num_rounds),
                finetune_term=progress.finetune_term + num_rounds * added.finetune_term,
                participation=progress.participation + num_rounds * added.participation,
            )
        )
        return ahead
