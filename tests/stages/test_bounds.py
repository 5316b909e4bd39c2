"""The learning bounds: their arithmetic, and whether they bound what they claim to bound.

The second part simulates the algorithm they are about on quadratic losses, where every constant is known: server SGD on
F_0(w) = (w - c)' A (w - c) / 2, then federated SGD on F(w) = w' A w / 2, with ||grad F_0 - grad F||^2 = ||A c||^2.
Device k has a loss of its own, F_k(w) = F(w) + d_k' w with sum omega_k d_k = 0, so that zeta^2 = max_k ||d_k||^2.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from random_scenarios import OBJECTIVES, random_policy, random_scenario, random_tape, seeds

from edgelearn_env.arrays.records import mapped
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.bounds import BOUNDS, BoundTerms, LearningBound, LearningConstants, dissimilarity_share
from edgelearn_env.trajectory import rollout


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constants:
    """The constants of a learning problem, as a bound reads them."""

    initial_gap: float
    smoothness: float
    pl_constant: float
    distribution_gap: float
    dissimilarity: float
    server_step_size: float
    device_step_size: float
    server_gradient_variance: float
    device_weight: np.ndarray


def terms_after(bound, server_batches, noises, participations=None, since=None):
    """The terms of a bound after so many rounds more than `since`, (1,).

    Args:
        bound: whose.
        server_batches: of the pre-training rounds.
        noises: sum_{k in S} omega_k^2 sigma_k^2 / b_k of each fine-tuning round.
        participations: Omega of each; everyone's by default.
        since: what has happened before.
    """
    start = BoundTerms(0.0, 0.0, bound.pretrain_start, 0.0, 0.0) if since is None else since
    term = start.pretrain_term + np.zeros(1)
    for batch in server_batches:
        term = bound.after_pretrain_round(term, np.array([batch]))
    weights = np.ones(len(noises)) if participations is None else np.asarray(participations, dtype=float)
    rounds = [bound.finetune_round(np.array([noise]), np.array([w])) for noise, w in zip(noises, weights, strict=True)]
    return BoundTerms(
        start.num_pretrain_rounds + np.array([float(len(server_batches))]),
        start.num_finetune_rounds + np.array([float(len(noises))]),
        term,
        start.finetune_term + sum(rounds, np.zeros(1)),
        start.participation + np.array([np.sum(weights)]),
    )


def bound_after(bound, server_batches, noises, participations=None):
    """Psi after pre-training with these batch sizes and fine-tuning rounds of these noises and participations."""
    return bound.value(terms_after(bound, server_batches, noises, participations))[0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_bound_has_what_a_bound_needs(tiny: Scenario, objective):
    assert isinstance(tiny.learning, LearningConstants)
    assert isinstance(tiny.replace(learning={"objective": objective}).bound, LearningBound)
    assert set(BOUNDS) == set(OBJECTIVES)


# Arithmetic.


def test_before_any_round_the_finetune_bound_is_that_of_one_round_of_the_lightest_device_without_noise(tiny: Scenario):
    assert bound_after(tiny.bound, [], []) == pytest.approx(2 * 2.3 / 0.1 / (1 / 3), rel=1e-14)
    uneven = tiny.replace(learning={"device_weight": [0.5, 0.0, 0.5]})
    assert bound_after(uneven.bound, [], []) == pytest.approx(2 * 2.3 / 0.1 / 0.5, rel=1e-14)
    uneven = tiny.replace(learning={"device_weight": [0.7, 0.1, 0.2]})
    assert bound_after(uneven.bound, [], []) == pytest.approx(2 * 2.3 / 0.1 / 0.1, rel=1e-14)


@pytest.mark.parametrize(("server_step", "device_step"), [(0.1, 0.05), (0.01, 0.05)])
def test_before_any_round_the_two_stage_bound_is_that_of_one_round_of_the_least_weight(
    tiny: Scenario, server_step, device_step
):
    learning = {"objective": "two-stage", "server_step_size": server_step, "device_step_size": device_step}
    least = min(server_step, device_step / 3)
    assert bound_after(tiny.replace(learning=learning).bound, [], []) == pytest.approx(2 * 2.3 / least, rel=1e-14)


@pytest.mark.parametrize(
    ("share", "counted"),
    [(0.0, 0.0), (0.1, 0.1), (0.5, 0.5), (0.75, 0.25**2 / 0.75), (0.9, 0.1**2 / 0.9), (1.0, 0.0)],
)
def test_what_dissimilarity_counts_in_a_round_by_hand(share, counted):
    assert dissimilarity_share(np.array([share]))[0] == pytest.approx(counted, rel=1e-13, abs=1e-300)


def test_dissimilarity_counts_most_where_half_of_all_weights_take_part():
    shares = np.linspace(0, 1, 1001)
    counted = dissimilarity_share(shares)
    assert np.max(counted) == counted[500] == 0.5
    assert np.all(np.diff(counted[:501]) > 0)
    assert np.all(np.diff(counted[500:]) < 0)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_round_of_nobody_leaves_a_bound_as_it_was_and_one_of_all_makes_dissimilarity_no_matter(
    tiny: Scenario, objective
):
    alike, differing = (
        tiny.replace(learning={"objective": objective, "dissimilarity": value}).bound for value in (0.0, 9.0)
    )
    assert bound_after(differing, [9], [0.7, 0.0, 0.4], [1, 0, 0.3]) == bound_after(
        differing, [9], [0.7, 0.4], [1, 0.3]
    )
    assert bound_after(differing, [9], []) == bound_after(differing, [9], [0.0, 0.0], [0, 0])
    assert bound_after(differing, [9], [0.7, 0.4]) == bound_after(alike, [9], [0.7, 0.4])
    assert bound_after(differing, [9], [0.7], [0.6]) > bound_after(alike, [9], [0.7], [0.6])


def test_the_finetune_bound_of_two_server_rounds_and_two_device_rounds_by_hand(tiny: Scenario):
    L, mu, eta, delta2, sigma2, G = 10.0, 3.0, 0.1, 0.05, 50.0, 2.3
    for b in (40, 8):
        G = (1 - mu * eta) * G + eta * delta2 / 2 + L * eta**2 * sigma2 / (2 * b)
    noises = [0.7, 0.4]
    expected = 2 * G / (eta * 2) + L * eta / 2 * (0.7 + 0.4)
    assert bound_after(tiny.bound, [40, 8], noises) == pytest.approx(expected, rel=1e-14)


def test_the_two_stage_bound_of_two_server_rounds_and_three_device_rounds_by_hand(tiny: Scenario):
    changed = tiny.replace(learning={"objective": "two-stage", "device_step_size": 0.05})
    L, eta_0, eta, delta2, sigma2 = 10.0, 0.1, 0.05, 0.05, 50.0
    numerator = 2 * 2.3 + 2 * eta_0 * delta2 + L * eta_0**2 * sigma2 * (1 / 40 + 1 / 8) + L * eta**2 * (0.7 + 0.4 + 0.2)
    expected = numerator / (2 * eta_0 + 3 * eta)
    assert bound_after(changed.bound, [40, 8], [0.7, 0.4, 0.2]) == pytest.approx(expected, rel=1e-14)


def test_the_finetune_bound_of_rounds_of_some_by_hand(tiny: Scenario):
    changed = tiny.replace(learning={"dissimilarity": 4.0})
    L, mu, eta, delta2, sigma2, G, zeta2 = 10.0, 3.0, 0.1, 0.05, 50.0, 2.3, 4.0
    G = (1 - mu * eta) * G + eta * delta2 / 2 + L * eta**2 * sigma2 / (2 * 40)
    A = 2 * G / eta + L * eta * (0.7 + 0.4 + 0.2) + zeta2 * (0.2 + 0.2**2 / 0.8)
    value = bound_after(changed.bound, [40], [0.7, 0.4, 0.2, 0.0], [1.0, 0.2, 0.8, 0.0])
    assert value == pytest.approx(A / (1.0 + 0.2 + 0.8), rel=1e-14)


def test_the_two_stage_bound_of_rounds_of_some_by_hand(tiny: Scenario):
    learning = {"objective": "two-stage", "device_step_size": 0.05, "dissimilarity": 4.0}
    L, eta_0, eta, delta2, sigma2, zeta2 = 10.0, 0.1, 0.05, 0.05, 50.0, 4.0
    numerator = 2 * 2.3 + eta_0 * delta2 + L * eta_0**2 * sigma2 / 40
    numerator += eta * (L * eta * (0.7 + 0.4 + 0.2) + zeta2 * (0.2 + 0.2**2 / 0.8))
    value = bound_after(tiny.replace(learning=learning).bound, [40], [0.7, 0.4, 0.2, 0.0], [1.0, 0.2, 0.8, 0.0])
    assert value == pytest.approx(numerator / (eta_0 + eta * (1.0 + 0.2 + 0.8)), rel=1e-14)


def test_the_weight_of_a_device_is_its_squared_share_times_its_variance(tiny: Scenario):
    changed = tiny.replace(learning={"device_weight": [0.5, 0.3, 0.2], "device_gradient_variance": [10.0, 20.0, 40.0]})
    np.testing.assert_allclose(changed.gradient_noise_weight, [0.5**2 * 10, 0.3**2 * 20, 0.2**2 * 40], rtol=1e-14)


def random_rounds(rng, most=12):
    """Server batches, noises, and participations of a few rounds, some of all and some of nobody."""
    M, N = (int(count) for count in rng.integers(0, most, 2))
    shares = rng.choice([0.0, 1.0, 0.5], N) + rng.choice([0.0, 0.3], N) * rng.uniform(-1, 0, N)
    return rng.integers(1, 100, M), rng.uniform(0, 50, N), np.maximum(shares, 0.0)


@pytest.mark.parametrize("from_start", [True, False])
@given(seeds)
def test_the_quotient_form_equals_the_recursion(from_start, seed):
    rng = np.random.default_rng(seed)
    bound = random_scenario(rng).bound
    since = None
    if not from_start:
        # A stage that has been left is not gone back to, but of what is to come that is nothing to a form.
        since = mapped(lambda term: float(term[0]), terms_after(bound, *random_rounds(rng)))
    server_batches, noises, participations = random_rounds(rng)
    M = len(server_batches)
    form = bound.quotient_form(M, since)
    decay = form.pretrain_decay ** np.arange(M - 1, -1, -1.0)
    P, apart = np.sum(participations), np.sum(dissimilarity_share(participations))
    numerator = (
        form.constant
        + form.pretrain_weight * np.sum(decay / server_batches)
        + form.finetune_weight * np.sum(noises)
        + form.dissimilarity_weight * apart
    )
    expected = bound.value(terms_after(bound, server_batches, noises, participations, since))[0]
    assert numerator / form.total_weight(P) == pytest.approx(expected, rel=1e-12)
    batches = form.at(P, apart)
    assert batches.pretrain_decay == form.pretrain_decay
    value = batches.constant + batches.pretrain_weight * np.sum(decay / server_batches)
    assert value + batches.finetune_weight * np.sum(noises) == pytest.approx(expected, rel=1e-12)


@given(seeds)
def test_the_quotient_form_of_many_numbers_of_rounds_at_once_is_that_of_each(seed):
    bound = random_scenario(np.random.default_rng(seed)).bound
    M, N = np.meshgrid(np.arange(7), np.arange(5), indexing="ij")
    quotients, apart = bound.quotient_form(M), 0.2 * N
    table = quotients.at(0.7 * N, apart)
    for m, n in ((0, 0), (0, 4), (6, 0), (3, 2), (6, 4)):
        one = bound.quotient_form(m)
        assert (quotients.constant[m, n], quotients.weight[m, n]) == pytest.approx(
            (one.constant, one.weight), rel=1e-12
        )
        same = ("pretrain_weight", "pretrain_decay", "finetune_weight", "dissimilarity_weight")
        for name in (*same, "participation_weight", "least"):
            assert getattr(quotients, name) == getattr(one, name)
        pair = one.at(0.7 * n, 0.2 * n)
        assert table.pretrain_decay == pair.pretrain_decay
        for name in ("constant", "pretrain_weight", "finetune_weight"):
            assert getattr(table, name)[m, n] == pytest.approx(getattr(pair, name), rel=1e-12)


@given(seeds)
def test_a_bound_falls_with_participation_as_long_as_it_brings_no_noise_and_no_dissimilarity(seed):
    rng = np.random.default_rng(seed)
    form = random_scenario(rng).bound.quotient_form(int(rng.integers(0, 9)))
    constants = [form.at(participation).constant for participation in (0.0, form.least, 2.0, 3.0)]
    assert constants[0] >= constants[1] > constants[2] > constants[3]


@given(seeds)
def test_larger_batches_never_raise_a_bound_and_server_batches_lower_it(seed):
    rng = np.random.default_rng(seed)
    bound = random_scenario(rng).bound
    server_batches, noises = rng.integers(1, 100, 3), rng.uniform(0.1, 50, 3)
    value = bound_after(bound, server_batches, noises)
    assert bound_after(bound, server_batches, noises / 2) < value
    assert bound_after(bound, [*server_batches[:2], 2 * server_batches[2]], noises) < value


@given(seeds)
def test_rewards_add_up_to_the_fall_of_the_logarithm_of_the_bound(seed):
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    trajectory = rollout(scenario, random_tape(rng, scenario), random_policy(rng, scenario))
    fall = np.log(bound_after(scenario.bound, [], [])) - np.log(trajectory.objective[0])
    assert np.sum(trajectory.outcomes.reward) == pytest.approx(fall, abs=1e-12)


# Truth.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """Two-stage training on quadratic losses, round by round.

    Attributes:
        curvature: A, (d, d).
        shift: c, where the general loss is least, (d,).
        start: w_0, (d,).
        offsets: d_k, gradient of device k's loss less that of the task loss, (K, d).
        weights: omega_k, (K,).
        steps: eta_0 and eta.
        server_noises: sigma_0^2 / b_m, (M,).
        device_noises: sigma_k^2 / b_{k,n}, (N, K).
        part: who takes part, (N, K) booleans.
    """

    curvature: np.ndarray
    shift: np.ndarray
    start: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray
    steps: tuple[float, float]
    server_noises: np.ndarray
    device_noises: np.ndarray
    part: np.ndarray

    @property
    def participations(self):
        """Omega_n, (N,)."""
        return self.part @ self.weights

    def squared_gradients(self, rng, replicates):
        """||grad F||^2 before every round of that many runs, (replicates, M + N); Gaussian noise, alike everywhere."""
        dimension, norms = len(self.start), []
        w = np.tile(self.start, (replicates, 1))
        for variance in self.server_noises:
            norms.append(np.sum((w @ self.curvature) ** 2, axis=1))
            noise = np.sqrt(variance / dimension) * rng.standard_normal(w.shape)
            w = w - self.steps[0] * ((w - self.shift) @ self.curvature + noise)
        for variances, part in zip(self.device_noises, self.part, strict=True):
            norms.append(np.sum((w @ self.curvature) ** 2, axis=1))
            update = np.zeros(w.shape)
            for k in np.flatnonzero(part):
                noise = np.sqrt(variances[k] / dimension) * rng.standard_normal(w.shape)
                update += self.weights[k] * (w @ self.curvature + self.offsets[k] + noise)
            w = w - self.steps[1] * update
        return np.stack(norms, axis=1)

    def averaged(self, objective, norms):
        """What the bound is about: the average over fine-tuning weighted by Omega_n, or that of both stages' steps."""
        before = 0.0 if objective == "finetune" else self.steps[0]
        weights = np.append(np.full(len(self.server_noises), before), self.steps[1] * self.participations)
        return norms @ weights / np.sum(weights)

    def bound_of(self, bound, server_batches):
        """Phi of these rounds."""
        noises = np.sum(self.part * self.weights**2 * self.device_noises, axis=1)
        return bound_after(bound, server_batches, noises, self.participations)


def mean_and_error(samples):
    return np.mean(samples), np.std(samples, ddof=1) / np.sqrt(len(samples))


# Who takes part in N rounds, decided before a sample is drawn.
PARTICIPATION = {
    "all": lambda rng, N, K: np.ones((N, K), dtype=bool),
    "random": lambda rng, N, K: rng.random((N, K)) < rng.uniform(0.2, 0.9),
    "single": lambda rng, N, K: np.arange(K) == rng.integers(0, K, (N, 1)),
    "fixed": lambda rng, N, K: np.tile(np.arange(K) != rng.integers(0, K), (N, 1)),
}


def random_problem(rng, participation):
    """A quadratic problem with all its constants, and a random run on it."""
    dimension, K = int(rng.integers(1, 5)), int(rng.integers(2, 5))
    L = rng.uniform(1, 10)
    mu = L * rng.uniform(0.1, 1)
    curvatures = np.array([L]) if dimension == 1 else np.concatenate([[mu, L], rng.uniform(mu, L, dimension - 2)])
    basis, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
    A = basis @ np.diag(curvatures) @ basis.T
    shift, start = rng.standard_normal(dimension), 2 * rng.standard_normal(dimension)
    omega = rng.dirichlet(np.ones(K))
    offsets = rng.uniform(0, 3) * rng.standard_normal((K, dimension))
    offsets -= omega @ offsets
    constants = Constants(
        initial_gap=start @ A @ start / 2,
        smoothness=L,
        pl_constant=min(curvatures),
        distribution_gap=np.sum((A @ shift) ** 2),
        dissimilarity=np.max(np.sum(offsets**2, axis=1)),
        server_step_size=rng.uniform(0.3, 1) / L,
        device_step_size=rng.uniform(0.3, 1) / L,
        server_gradient_variance=rng.uniform(0, 50),
        device_weight=omega,
    )
    server_batches, N = rng.integers(1, 30, rng.integers(0, 8)), int(rng.integers(1, 12))
    part = PARTICIPATION[participation](rng, N, K)
    # Someone takes part some time, and somebody's weight is not next to nothing.
    part[0, np.argmax(omega)] = True
    training = Training(
        curvature=A,
        shift=shift,
        start=start,
        offsets=offsets,
        weights=omega,
        steps=(constants.server_step_size, constants.device_step_size),
        server_noises=constants.server_gradient_variance / server_batches,
        device_noises=rng.uniform(1, 50, K) / rng.integers(1, 30, (N, K)),
        part=part,
    )
    return constants, server_batches, training


@pytest.mark.parametrize("participation", PARTICIPATION)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(12))
def test_simulated_training_stays_below_the_bound(participation, objective, seed):
    rng = np.random.default_rng(seed)
    constants, server_batches, training = random_problem(rng, participation)
    norms = training.squared_gradients(rng, replicates=4000)
    mean, error = mean_and_error(training.averaged(objective, norms))
    bound = training.bound_of(BOUNDS[objective].of(constants), server_batches)
    assert mean + 4 * error <= bound
    # Between a tenth and nearly all of the bound in these draws: none of them is idle.
    assert mean >= bound / 20


# One dimension, A = a, eta = eta_0 = 1/a: every step lands at the minimum plus noise, and no inequality of the proofs
# is strict but the last round's noise, which the bound counts and no gradient of the average feels.
TIGHT = {
    "initial gap": {"G": 50.0, "delta2": 0.01, "sigma2": 0.01, "noise": 0.01, "M": 0, "N": 1},
    "distribution gap": {"G": 0.01, "delta2": 40.0, "sigma2": 0.01, "noise": 0.01, "M": 12, "N": 1},
    "server noise": {"G": 0.01, "delta2": 0.01, "sigma2": 60.0, "noise": 0.01, "M": 12, "N": 1},
    "device noise": {"G": 0.01, "delta2": 0.01, "sigma2": 0.01, "noise": 30.0, "M": 1, "N": 25},
    "everything": {"G": 5.0, "delta2": 4.0, "sigma2": 6.0, "noise": 1.0, "M": 2, "N": 12},
}


def in_one_dimension(a, **changes):
    """Constants of a problem with one curvature, of steps that land at the minimum, where nothing else is."""
    nothing = dict.fromkeys(("distribution_gap", "dissimilarity", "server_gradient_variance"), 0.0)
    steps = {"server_step_size": 1 / a, "device_step_size": 1 / a}
    return Constants(smoothness=a, pl_constant=a, **nothing | steps | {"device_weight": np.ones(1)} | changes)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", TIGHT.values(), ids=TIGHT.keys())
def test_the_bound_is_met_where_every_step_lands_at_the_minimum_plus_noise(objective, case):
    a, b, M, N = 4.0, 3, case["M"], case["N"]
    constants = in_one_dimension(
        a, initial_gap=case["G"], distribution_gap=case["delta2"], server_gradient_variance=case["sigma2"]
    )
    training = Training(
        curvature=np.array([[a]]),
        shift=np.sqrt([case["delta2"]]) / a,
        start=np.sqrt([2 * case["G"] / a]),
        offsets=np.zeros((1, 1)),
        weights=np.ones(1),
        steps=(1 / a, 1 / a),
        server_noises=np.full(M, case["sigma2"] / b),
        device_noises=np.full((N, 1), case["noise"]),
        part=np.ones((N, 1), dtype=bool),
    )
    norms = training.squared_gradients(np.random.default_rng(3), replicates=20_000)
    mean, error = mean_and_error(training.averaged(objective, norms))

    at_start, after_server, after_devices = 2 * a * case["G"], case["delta2"] + case["sigma2"] / b, case["noise"]
    if objective == "finetune":
        total = (after_server if M else at_start) + (N - 1) * after_devices
        rounds = N
    else:
        total = at_start + M * after_server + (N - 1) * after_devices
        rounds = M + N
    bound = training.bound_of(BOUNDS[objective].of(constants), np.full(M, b))
    assert abs(mean - total / rounds) <= 4 * error + 1e-12
    assert bound == pytest.approx((total + after_devices) / rounds, rel=1e-12)
    assert 0.94 < total / rounds / bound < 1
    assert 0.94 * bound - 4 * error < mean < bound + 4 * error


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_the_bound_is_met_where_the_same_devices_hold_the_model_where_their_own_loss_is_least(objective, share):
    # Training starts there and stays there. Up to a half of all weights these data may be the farthest from the rest,
    # beyond it they are that much nearer to the whole.
    a, zeta, N = 4.0, 3.0, 60
    apart = zeta if share <= 0.5 else zeta * (1 - share) / share
    start = np.array([-apart / a])
    weights = np.array([share, 1 - share])
    training = Training(
        curvature=np.array([[a]]),
        shift=np.zeros(1),
        start=start,
        offsets=np.array([[apart], [-apart * share / (1 - share)]]),
        weights=weights,
        steps=(1 / a, 1 / a),
        server_noises=np.zeros(0),
        device_noises=np.zeros((N, 2)),
        part=np.tile([True, False], (N, 1)),
    )
    assert weights @ training.offsets == pytest.approx([0.0], abs=1e-12)
    assert np.max(np.abs(training.offsets)) == pytest.approx(zeta)
    (average,) = training.averaged(objective, training.squared_gradients(np.random.default_rng(0), replicates=1))
    assert average == pytest.approx(apart**2, rel=1e-12)
    gap = a * start[0] ** 2 / 2
    bound = BOUNDS[objective].of(in_one_dimension(a, initial_gap=gap, dissimilarity=zeta**2, device_weight=weights))
    value = training.bound_of(bound, np.zeros(0))
    assert value == pytest.approx(apart**2 * (1 + 1 / (N * share)), rel=1e-12)
    assert 0.94 < average / value < 1
