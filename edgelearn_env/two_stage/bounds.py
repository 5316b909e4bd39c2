"""Learning bounds: how pre-training and fine-tuning rounds lower a bound on the average squared gradient norm.

A bound is one class: it says how each kind of round moves two running terms, what the bound is worth at any time, and,
for a solver, how it depends on the batch sizes once the numbers of rounds are fixed.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple, Protocol, Self, runtime_checkable

import numpy as np

from edgelearn_env.arrays.namespaces import Array, namespace_of


@runtime_checkable
class LearningConstants(Protocol):
    """What a bound reads from a scenario; `scenario.Learning` declares each with its symbol and limits."""

    initial_gap: float
    smoothness: float
    pl_constant: float
    distribution_gap: float
    server_step_size: float
    device_step_size: float
    server_gradient_variance: float


class BoundTerms(NamedTuple):
    """What has happened so far, as far as the bound is concerned; every array (B,).

    Attributes:
        num_pretrain_rounds: M so far.
        num_finetune_rounds: N so far.
        pretrain_term: running term of the pre-training rounds; its meaning is the bound's own.
        finetune_term: running sum of sum_k omega_k^2 sigma_k^2 / b_k over the fine-tuning rounds.
    """

    num_pretrain_rounds: Array
    num_finetune_rounds: Array
    pretrain_term: Array
    finetune_term: Array


class BatchSizeForm(NamedTuple):
    """A bound after M pre-training and N fine-tuning rounds more, as a function of their batch sizes alone.

    Phi = constant + pretrain_weight sum_m pretrain_decay^(M-1-m) / b_m
          + finetune_weight sum_n sum_k omega_k^2 sigma_k^2 / b_{k,n}

    M and N may be arrays that broadcast; then all but `pretrain_decay` are arrays of that shape.
    """

    constant: Array
    pretrain_weight: Array
    pretrain_decay: float
    finetune_weight: Array


@runtime_checkable
class LearningBound(Protocol):
    """What an objective has to provide; see `FinetuneBound` for the meaning of each member."""

    @classmethod
    def of(cls, learning: LearningConstants) -> Self:
        """The bound with a scenario's constants."""
        ...

    @property
    def pretrain_start(self) -> float:
        """`BoundTerms.pretrain_term` of a fresh episode."""
        ...

    def after_pretrain_round(self, term: Array, batch: Array) -> Array:
        """`BoundTerms.pretrain_term` after a server round of that batch size, (B,)."""
        ...

    def value(self, bound_terms: BoundTerms) -> Array:
        """Phi with what has happened so far, (B,)."""
        ...

    def batch_size_form(
        self, num_pretrain_rounds: Array, num_finetune_rounds: Array, bound_terms: BoundTerms | None = None
    ) -> BatchSizeForm:
        """Phi after (M, N) rounds more, from `progress` or from the start."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneBound:
    """Bound on the average of E||grad F||^2 over the N fine-tuning rounds; needs PL during pre-training only.

    G_{m+1} = (1 - mu eta_0) G_m + eta_0 delta^2 / 2 + L eta_0^2 sigma_0^2 / (2 b_m)
    Phi     = 2 G_M / (eta N) + (L eta / N) sum_n sum_k omega_k^2 sigma_k^2 / b_{k,n}

    `pretrain_term` is G_m. Before the first fine-tuning round Phi is taken with N = 1.
    """

    initial_gap: float
    contraction: float
    drift: float
    server_noise: float
    smoothness: float
    device_step_size: float

    @classmethod
    def of(cls, learning: LearningConstants) -> Self:
        """The bound with a scenario's constants."""
        eta_0 = learning.server_step_size
        return cls(
            initial_gap=learning.initial_gap,
            contraction=1 - learning.pl_constant * eta_0,
            drift=eta_0 * learning.distribution_gap / 2,
            server_noise=learning.smoothness * eta_0**2 * learning.server_gradient_variance / 2,
            smoothness=learning.smoothness,
            device_step_size=learning.device_step_size,
        )

    @property
    def pretrain_start(self) -> float:
        """`pretrain_term` of a fresh episode: G_0."""
        return self.initial_gap

    def after_pretrain_round(self, term: Array, batch: Array) -> Array:
        """G_{m+1} from G_m and the batch size b_m, (B,)."""
        return self.contraction * term + self.drift + self.server_noise / batch

    def value(self, bound_terms: BoundTerms) -> Array:
        """Phi with what has happened so far, (B,)."""
        noise = self.smoothness * self.device_step_size * bound_terms.finetune_term
        num_finetune_rounds = bound_terms.num_finetune_rounds
        at_least_one = namespace_of(num_finetune_rounds).maximum(num_finetune_rounds, 1.0)
        return (2 * bound_terms.pretrain_term / self.device_step_size + noise) / at_least_one

    def batch_size_form(
        self, num_pretrain_rounds: Array, num_finetune_rounds: Array, bound_terms: BoundTerms | None = None
    ) -> BatchSizeForm:
        """Phi after (M, N) rounds more, from `progress` or from the start: the recursion unrolled."""
        _, finetuned, gap, noise = bound_terms or BoundTerms(0.0, 0.0, self.pretrain_start, 0.0)
        num_finetune_rounds = np.maximum(finetuned + num_finetune_rounds, 1)
        per_gap = 2 / (self.device_step_size * num_finetune_rounds)
        decay = self.contraction ** np.arange(np.max(num_pretrain_rounds) + 1)
        decay_before = np.cumsum(decay) - decay
        gap = decay[num_pretrain_rounds] * gap + decay_before[num_pretrain_rounds] * self.drift
        past = self.smoothness * self.device_step_size * noise / num_finetune_rounds
        return BatchSizeForm(
            constant=per_gap * gap + past,
            pretrain_weight=per_gap * self.server_noise,
            pretrain_decay=self.contraction,
            finetune_weight=self.smoothness * self.device_step_size / num_finetune_rounds,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TwoStageBound:
    """Bound on the step-size-weighted average of E||grad F||^2 over all M + N rounds; needs smoothness only.

    Phi = [2 G_0 + sum_m (eta_0 delta^2 + L eta_0^2 sigma_0^2 / b_m)
           + sum_n L eta^2 sum_k omega_k^2 sigma_k^2 / b_{k,n}] / (eta_0 M + eta N)

    `pretrain_term` is 2 G_0 plus the first sum. Before the first round the denominator is that of the shorter step.
    """

    initial_gap: float
    drift: float
    server_noise: float
    device_noise: float
    server_step_size: float
    device_step_size: float

    @classmethod
    def of(cls, learning: LearningConstants) -> Self:
        """The bound with a scenario's constants."""
        eta_0, eta = learning.server_step_size, learning.device_step_size
        return cls(
            initial_gap=learning.initial_gap,
            drift=eta_0 * learning.distribution_gap,
            server_noise=learning.smoothness * eta_0**2 * learning.server_gradient_variance,
            device_noise=learning.smoothness * eta**2,
            server_step_size=eta_0,
            device_step_size=eta,
        )

    @property
    def pretrain_start(self) -> float:
        """`pretrain_term` of a fresh episode: 2 G_0."""
        return 2 * self.initial_gap

    def after_pretrain_round(self, term: Array, batch: Array) -> Array:
        """The numerator's pre-training part after a round of batch size b_m, (B,)."""
        return term + self.drift + self.server_noise / batch

    def value(self, bound_terms: BoundTerms) -> Array:
        """Phi with what has happened so far, (B,)."""
        eta_0, eta = self.server_step_size, self.device_step_size
        weight = eta_0 * bound_terms.num_pretrain_rounds + eta * bound_terms.num_finetune_rounds
        # Any round weighs at least the smaller step size, so this maximum acts before the first round only.
        weight = namespace_of(weight).maximum(weight, min(eta_0, eta))
        return (bound_terms.pretrain_term + self.device_noise * bound_terms.finetune_term) / weight

    def batch_size_form(
        self, num_pretrain_rounds: Array, num_finetune_rounds: Array, bound_terms: BoundTerms | None = None
    ) -> BatchSizeForm:
        """Phi after (M, N) rounds more, from `progress` or from the start."""
        pretrained, finetuned, term, noise = bound_terms or BoundTerms(0.0, 0.0, self.pretrain_start, 0.0)
        eta_0, eta = self.server_step_size, self.device_step_size
        weight = eta_0 * (pretrained + num_pretrain_rounds) + eta * (finetuned + num_finetune_rounds)
        weight = np.maximum(weight, min(eta_0, eta))
        return BatchSizeForm(
            constant=(term + num_pretrain_rounds * self.drift + self.device_noise * noise) / weight,
            pretrain_weight=self.server_noise / weight,
            pretrain_decay=1.0,
            finetune_weight=self.device_noise / weight,
        )


BOUNDS: Mapping[str, type[LearningBound]] = {"finetune": FinetuneBound, "two-stage": TwoStageBound}
