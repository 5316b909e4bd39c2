"""Learning bounds: how pre-training and fine-tuning rounds lower a bound on the average squared gradient norm.

A bound is a quotient, and one class: it says how each kind of round moves the terms of numerator and denominator, what
the bound is worth at any time, and, for a solver, how both depend on what a plan decides.
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
    dissimilarity: float
    server_step_size: float
    device_step_size: float
    server_gradient_variance: float
    device_weight: np.ndarray | float


class BoundTerms(NamedTuple):
    """What has happened so far, as far as the bound is concerned; every array (B,).

    Attributes:
        num_pretrain_rounds: M so far.
        num_finetune_rounds: N so far, rounds in which nobody took part included.
        pretrain_term: running term of the pre-training rounds; its meaning is the bound's own.
        finetune_term: running sum over the fine-tuning rounds of L eta sum_{k in S} omega_k^2 sigma_k^2 / b_k
            + zeta^2 beta(Omega), S being those who took part.
        participation: P = sum of Omega = sum_{k in S} omega_k over the fine-tuning rounds.
    """

    num_pretrain_rounds: Array
    num_finetune_rounds: Array
    pretrain_term: Array
    finetune_term: Array
    participation: Array


class QuotientForm(NamedTuple):
    """A bound after M pre-training rounds more, as a quotient of what a plan decides.

    Phi = A / max(W, least), with
      A = constant + pretrain_weight sum_m pretrain_decay^(M-1-m) / b_m
          + sum_n (finetune_weight sum_{k in S_n} omega_k^2 sigma_k^2 / b_{k,n} + dissimilarity_weight beta(Omega_n)),
      W = weight + participation_weight P.

    M may be an array; then `constant` and `weight` are arrays of its shape.
    """

    constant: Array
    pretrain_weight: float
    pretrain_decay: float
    finetune_weight: float
    dissimilarity_weight: float
    weight: Array
    participation_weight: float
    least: float

    def total_weight(self, participation: Array) -> Array:
        """W with that much participation, P, of the rounds to come."""
        return np.maximum(self.weight + self.participation_weight * participation, self.least)

    def at(self, participation: Array, dissimilarity: Array = 0.0) -> "BatchSizeForm":
        """Phi as a function of the batch sizes alone, once it is decided who takes part.

        Args:
            participation: P of the rounds to come; their number where everyone takes part in all.
            dissimilarity: sum of their beta(Omega_n).
        """
        weight = self.total_weight(participation)
        return BatchSizeForm(
            constant=(self.constant + self.dissimilarity_weight * dissimilarity) / weight,
            pretrain_weight=self.pretrain_weight / weight,
            pretrain_decay=self.pretrain_decay,
            finetune_weight=self.finetune_weight / weight,
        )


class BatchSizeForm(NamedTuple):
    """A bound after M pre-training rounds and given participation more, as a function of their batch sizes alone.

    Phi = constant + pretrain_weight sum_m pretrain_decay^(M-1-m) / b_m
          + finetune_weight sum_n sum_{k in S_n} omega_k^2 sigma_k^2 / b_{k,n}

    For several pairs at once all but `pretrain_decay` are arrays of their shape.
    """

    constant: Array
    pretrain_weight: Array
    pretrain_decay: float
    finetune_weight: Array


class BoundCoefficients(NamedTuple):
    """The numbers of a bound whose terms move, and whose value follows, as `QuotientBound` has it."""

    contraction: float
    drift: float
    server_noise: float
    device_noise: float
    dissimilarity: float
    pretrain_factor: float
    pretrain_divisor: float
    finetune_factor: float
    weight_of_round: float
    weight_of_participation: float
    least_weight: float


@runtime_checkable
class LearningBound(Protocol):
    """What an objective has to provide; see `QuotientBound` for the meaning of each member."""

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

    def finetune_round(self, noise: Array, participation: Array) -> Array:
        """What a fine-tuning round adds to `BoundTerms.finetune_term`, (B,)."""
        ...

    def value(self, bound_terms: BoundTerms) -> Array:
        """Phi with what has happened so far, (B,)."""
        ...

    def quotient_form(self, num_pretrain_rounds: Array, bound_terms: BoundTerms | None = None) -> QuotientForm:
        """Phi after M pre-training rounds more and any fine-tuning, from `bound_terms` or from the start."""
        ...


def dissimilarity_share(participation: Array) -> Array:
    """beta(x) = min(x, (1 - x)^2 / x): what zeta^2 counts in a round in which a share x of all weights takes part.

    0 for a round of all, and for one of nobody, which does not move the model.
    """
    xp = namespace_of(participation)
    return xp.minimum(participation, (1 - participation) ** 2 / xp.maximum(participation, _TINY))


_TINY = float(np.finfo(np.float64).tiny)


def least_weight(device_weight: np.ndarray | float) -> float:
    """omega_min: the least that a round in which a device takes part can count."""
    weights = np.atleast_1d(device_weight)
    return float(np.min(weights[weights > 0]))


def value_range(
    form: QuotientForm, server_batch_max: int, noise: tuple[float, float], least_participation: float
) -> tuple[float, float]:
    """Two values that a bound lies between at any time of any episode.

    A round's part in the numerator over its weight in the denominator lies between the least and the largest noise of a
    device, zeta^2 apart, which counts at most once; so the extremes are at M rounds of the largest batches and all
    others of that kind, and at M rounds of single samples and one device.

    Args:
        form: of M = 0, 1, ..., T pre-training rounds.
        server_batch_max: largest batch of the server.
        noise: least and most that a fine-tuning round adds to the numerator for a unit of participation.
        least_participation: of a round in which anybody takes part.
    """
    rounds = np.arange(len(form.weight))
    decay = form.pretrain_decay ** rounds.astype(float)
    server_noise = form.pretrain_weight * (np.cumsum(decay) - decay)

    def value(server_batch: float, participation: np.ndarray | float, share: float) -> np.ndarray:
        numerator = form.constant + server_noise / server_batch + participation * share
        return np.asarray(numerator / form.total_weight(participation))

    # Between a single device of the least weight and all devices in all rounds left it only rises, or only falls.
    least, most = noise
    participations = (0.0, least_participation, rounds[::-1].astype(float))
    lowest = min(np.min(value(server_batch_max, each, least)) for each in participations)
    highest = max(np.max(value(1, each, most + form.dissimilarity_weight)) for each in participations)
    return float(lowest), float(highest)


class QuotientBound:
    """How terms move and what they are worth, from coefficients alone: what compiled loops can do too.

    G' = contraction G + drift + server_noise / b_m,   F' = F + device_noise noise + dissimilarity beta(Omega),
    Phi = (pretrain_factor G / pretrain_divisor + finetune_factor F)
          / max(weight_of_round M + weight_of_participation P, least_weight)
    """

    __slots__ = ()

    @property
    def coefficients(self) -> BoundCoefficients:
        """The numbers of this bound."""
        raise NotImplementedError

    def after_pretrain_round(self, term: Array, batch: Array) -> Array:
        """`BoundTerms.pretrain_term`, G, after a server round of batch size b_m, (B,)."""
        numbers = self.coefficients
        return numbers.contraction * term + numbers.drift + numbers.server_noise / batch

    def finetune_round(self, noise: Array, participation: Array) -> Array:
        """What a round adds to `BoundTerms.finetune_term`, F, (B,).

        Args:
            noise: sum_{k in S} omega_k^2 sigma_k^2 / b_k, (B,).
            participation: Omega, (B,).
        """
        numbers = self.coefficients
        return numbers.device_noise * noise + numbers.dissimilarity * dissimilarity_share(participation)

    def value(self, bound_terms: BoundTerms) -> Array:
        """Phi with what has happened so far, (B,)."""
        numbers, rounds, participation = self.coefficients, bound_terms.num_pretrain_rounds, bound_terms.participation
        weight = numbers.weight_of_round * rounds + numbers.weight_of_participation * participation
        weight = namespace_of(weight).maximum(weight, numbers.least_weight)
        pretrained = numbers.pretrain_factor * bound_terms.pretrain_term / numbers.pretrain_divisor
        return (pretrained + numbers.finetune_factor * bound_terms.finetune_term) / weight


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneBound(QuotientBound):
    """Bound on a weighted average of E||grad F||^2 over the fine-tuning rounds; needs PL during pre-training only.

    G_{m+1} = (1 - mu eta_0) G_m + eta_0 delta^2 / 2 + L eta_0^2 sigma_0^2 / (2 b_m)
    Phi     = A / P,   P = sum_n Omega_n,   Omega_n = sum_{k in S_n} omega_k,
    A       = 2 G_M / eta + sum_n (L eta sum_{k in S_n} omega_k^2 sigma_k^2 / b_{k,n} + zeta^2 beta(Omega_n)),

    S_n being the devices that take part in round n, and the average weighted by Omega_n / P. `pretrain_term` is G_m.
    Before anyone has taken part Phi is taken with P = omega_min, the least that a round can give.
    """

    initial_gap: float
    contraction: float
    drift: float
    server_noise: float
    device_noise: float
    dissimilarity: float
    device_step_size: float
    least_weight: float

    @classmethod
    def of(cls, learning: LearningConstants) -> Self:
        """The bound with a scenario's constants."""
        eta_0 = learning.server_step_size
        return cls(
            initial_gap=learning.initial_gap,
            contraction=1 - learning.pl_constant * eta_0,
            drift=eta_0 * learning.distribution_gap / 2,
            server_noise=learning.smoothness * eta_0**2 * learning.server_gradient_variance / 2,
            device_noise=learning.smoothness * learning.device_step_size,
            dissimilarity=learning.dissimilarity,
            device_step_size=learning.device_step_size,
            least_weight=least_weight(learning.device_weight),
        )

    @property
    def pretrain_start(self) -> float:
        """`pretrain_term` of a fresh episode: G_0."""
        return self.initial_gap

    @property
    def coefficients(self) -> BoundCoefficients:
        """G is the gap G_m, and F the sum in the numerator A."""
        return BoundCoefficients(
            contraction=self.contraction,
            drift=self.drift,
            server_noise=self.server_noise,
            device_noise=self.device_noise,
            dissimilarity=self.dissimilarity,
            pretrain_factor=2.0,
            pretrain_divisor=self.device_step_size,
            finetune_factor=1.0,
            weight_of_round=0.0,
            weight_of_participation=1.0,
            least_weight=self.least_weight,
        )

    def quotient_form(self, num_pretrain_rounds: Array, bound_terms: BoundTerms | None = None) -> QuotientForm:
        """Phi after M pre-training rounds more, from `bound_terms` or from the start: the recursion unrolled."""
        gap, past, participation = (self.pretrain_start, 0.0, 0.0) if bound_terms is None else bound_terms[2:]
        decay = self.contraction ** np.arange(np.max(num_pretrain_rounds) + 1)
        decay_before = np.cumsum(decay) - decay
        per_gap = 2 / self.device_step_size
        gap = decay[num_pretrain_rounds] * gap + decay_before[num_pretrain_rounds] * self.drift
        return QuotientForm(
            constant=per_gap * gap + past,
            pretrain_weight=per_gap * self.server_noise,
            pretrain_decay=self.contraction,
            finetune_weight=self.device_noise,
            dissimilarity_weight=self.dissimilarity,
            weight=participation + np.zeros(np.shape(num_pretrain_rounds)),
            participation_weight=1.0,
            least=self.least_weight,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TwoStageBound(QuotientBound):
    """Bound on the weighted average of E||grad F||^2 over all rounds; needs smoothness only.

    Phi = [2 G_0 + sum_m (eta_0 delta^2 + L eta_0^2 sigma_0^2 / b_m)
           + eta sum_n (L eta sum_{k in S_n} omega_k^2 sigma_k^2 / b_{k,n} + zeta^2 beta(Omega_n))] / (eta_0 M + eta P),

    with S_n, Omega_n, P as in `FinetuneBound`. `pretrain_term` is 2 G_0 plus the first sum. The denominator is at least
    what a single round can give.
    """

    initial_gap: float
    drift: float
    server_noise: float
    device_noise: float
    dissimilarity: float
    server_step_size: float
    device_step_size: float
    least_weight: float

    @classmethod
    def of(cls, learning: LearningConstants) -> Self:
        """The bound with a scenario's constants."""
        eta_0, eta = learning.server_step_size, learning.device_step_size
        return cls(
            initial_gap=learning.initial_gap,
            drift=eta_0 * learning.distribution_gap,
            server_noise=learning.smoothness * eta_0**2 * learning.server_gradient_variance,
            device_noise=learning.smoothness * eta,
            dissimilarity=learning.dissimilarity,
            server_step_size=eta_0,
            device_step_size=eta,
            least_weight=min(eta_0, eta * least_weight(learning.device_weight)),
        )

    @property
    def pretrain_start(self) -> float:
        """`pretrain_term` of a fresh episode: 2 G_0."""
        return 2 * self.initial_gap

    @property
    def coefficients(self) -> BoundCoefficients:
        """G is the numerator's part of pre-training, and F the sum over fine-tuning rounds."""
        return BoundCoefficients(
            contraction=1.0,
            drift=self.drift,
            server_noise=self.server_noise,
            device_noise=self.device_noise,
            dissimilarity=self.dissimilarity,
            pretrain_factor=1.0,
            pretrain_divisor=1.0,
            finetune_factor=self.device_step_size,
            weight_of_round=self.server_step_size,
            weight_of_participation=self.device_step_size,
            least_weight=self.least_weight,
        )

    def quotient_form(self, num_pretrain_rounds: Array, bound_terms: BoundTerms | None = None) -> QuotientForm:
        """Phi after M pre-training rounds more, from `bound_terms` or from the start."""
        eta_0, eta = self.server_step_size, self.device_step_size
        done, _, term, past, participation = bound_terms or BoundTerms(0.0, 0.0, self.pretrain_start, 0.0, 0.0)
        return QuotientForm(
            constant=term + num_pretrain_rounds * self.drift + eta * past,
            pretrain_weight=self.server_noise,
            pretrain_decay=1.0,
            finetune_weight=eta * self.device_noise,
            dissimilarity_weight=eta * self.dissimilarity,
            weight=eta_0 * (done + num_pretrain_rounds) + eta * participation,
            participation_weight=eta,
            least=self.least_weight,
        )


def is_quotient(bound: LearningBound) -> bool:
    """Whether a bound moves and is worth what its coefficients say, and nothing else."""
    methods = ("after_pretrain_round", "finetune_round", "value")
    return all(getattr(type(bound), name) is getattr(QuotientBound, name, None) for name in methods)


BOUNDS: Mapping[str, type[LearningBound]] = {"finetune": FinetuneBound, "two-stage": TwoStageBound}
