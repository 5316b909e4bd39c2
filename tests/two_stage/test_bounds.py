"""The learning bounds: their arithmetic, and whether they bound what they claim to bound.

The second part simulates the algorithm they are about on quadratic losses, where every constant is known: server SGD on
F_0(w) = (w - c)' A (w - c) / 2, then federated SGD on F(w) = w' A w / 2, with ||grad F_0 - grad F||^2 = ||A c||^2.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from random_scenarios import OBJECTIVES, random_policy, random_scenario, random_tape, seeds

from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.bounds import BOUNDS, BoundTerms, LearningBound, LearningConstants


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constants:
    """The constants of a learning problem, as a bound reads them."""

    initial_gap: float
    smoothness: float
    pl_constant: float
    distribution_gap: float
    server_step_size: float
    device_step_size: float
    server_gradient_variance: float


def bound_after(bound, server_batches, noises):
    """Psi after pre-training with these batch sizes and fine-tuning rounds with these sum_k omega_k^2 sigma_k^2/b_k."""
    term = np.array([bound.pretrain_start])
    for batch in server_batches:
        term = bound.after_pretrain_round(term, np.array([batch]))
    counts = np.array([[len(server_batches)], [len(noises)]], dtype=float)
    return bound.value(BoundTerms(*counts, term, np.array([float(np.sum(noises))])))[0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_bound_has_what_a_bound_needs(tiny: Scenario, objective):
    assert isinstance(tiny.learning, LearningConstants)
    assert isinstance(tiny.replace(learning={"objective": objective}).bound, LearningBound)
    assert set(BOUNDS) == set(OBJECTIVES)


# Arithmetic.


def test_before_any_round_the_finetune_bound_is_that_of_one_round_without_noise(tiny: Scenario):
    assert bound_after(tiny.bound, [], []) == pytest.approx(2 * 2.3 / 0.1, rel=1e-14)


@pytest.mark.parametrize(("server_step", "device_step"), [(0.1, 0.05), (0.02, 0.05)])
def test_before_any_round_the_two_stage_bound_is_that_of_one_round_of_the_shorter_step(
    tiny: Scenario, server_step, device_step
):
    learning = {"objective": "two-stage", "server_step_size": server_step, "device_step_size": device_step}
    shorter = min(server_step, device_step)
    assert bound_after(tiny.replace(learning=learning).bound, [], []) == pytest.approx(2 * 2.3 / shorter, rel=1e-14)


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


def test_the_weight_of_a_device_is_its_squared_share_times_its_variance(tiny: Scenario):
    changed = tiny.replace(learning={"device_weight": [0.5, 0.3, 0.2], "device_gradient_variance": [10.0, 20.0, 40.0]})
    np.testing.assert_allclose(changed.gradient_noise_weight, [0.5**2 * 10, 0.3**2 * 20, 0.2**2 * 40], rtol=1e-14)


@given(seeds)
def test_the_batch_size_form_equals_the_recursion(seed):
    rng = np.random.default_rng(seed)
    bound = random_scenario(rng).bound
    M, N = (int(count) for count in rng.integers(0, 12, 2))
    server_batches, noises = rng.integers(1, 100, M), rng.uniform(0, 50, N)
    form = bound.batch_size_form(M, N)
    decay = form.pretrain_decay ** np.arange(M - 1, -1, -1.0)
    value = (
        form.constant + form.pretrain_weight * np.sum(decay / server_batches) + form.finetune_weight * np.sum(noises)
    )
    assert value == pytest.approx(bound_after(bound, server_batches, noises), rel=1e-12)


@given(seeds)
def test_the_batch_size_form_of_many_pairs_at_once_is_that_of_each_pair(seed):
    bound = random_scenario(np.random.default_rng(seed)).bound
    M, N = np.meshgrid(np.arange(7), np.arange(5), indexing="ij")
    table = bound.batch_size_form(M, N)
    for m, n in ((0, 0), (0, 4), (6, 0), (3, 2), (6, 4)):
        pair = bound.batch_size_form(m, n)
        assert table.pretrain_decay == pair.pretrain_decay
        for name in ("constant", "pretrain_weight", "finetune_weight"):
            assert getattr(table, name)[m, n] == pytest.approx(getattr(pair, name), rel=1e-12)


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


def squared_gradients(rng, curvature, shift, start, steps, server_noises, device_noises, replicates):
    """||grad F||^2 at the start of every round of simulated two-stage training, (replicates, M + N).

    Args:
        rng: draws the gradient noise, Gaussian and alike in all directions.
        curvature: A, (d, d).
        shift: c, where the general loss is least.
        start: w_0.
        steps: eta_0 and eta.
        server_noises: sigma_0^2 / b_m, (M,).
        device_noises: omega_k^2 sigma_k^2 / b_{k,n}, (N, K).
        replicates: number of independent runs.
    """
    dimension = len(start)
    w, norms = np.tile(start, (replicates, 1)), []
    for variance in server_noises:
        norms.append(np.sum((w @ curvature) ** 2, axis=1))
        noise = np.sqrt(variance / dimension) * rng.standard_normal(w.shape)
        w = w - steps[0] * ((w - shift) @ curvature + noise)
    for variances in device_noises:
        norms.append(np.sum((w @ curvature) ** 2, axis=1))
        # Each device's share of the noise, summed: the shares of the gradient sum to the gradient.
        noise = sum(np.sqrt(variance / dimension) * rng.standard_normal(w.shape) for variance in variances)
        w = w - steps[1] * (w @ curvature + noise)
    return np.stack(norms, axis=1)


def averaged(objective, norms, num_pretrain, steps):
    """What the bound is about: the average over fine-tuning, or the step-size-weighted one over all rounds."""
    if objective == "finetune":
        return np.mean(norms[:, num_pretrain:], axis=1)
    weights = np.where(np.arange(norms.shape[1]) < num_pretrain, *steps)
    return norms @ weights / np.sum(weights)


def mean_and_error(samples):
    return np.mean(samples), np.std(samples, ddof=1) / np.sqrt(len(samples))


def random_problem(rng):
    """A quadratic problem with all its constants, and a random run on it."""
    dimension, K = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    L = rng.uniform(1, 10)
    mu = L * rng.uniform(0.1, 1)
    curvatures = np.array([L]) if dimension == 1 else np.concatenate([[mu, L], rng.uniform(mu, L, dimension - 2)])
    basis, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
    A = basis @ np.diag(curvatures) @ basis.T
    shift, start = rng.standard_normal(dimension), 2 * rng.standard_normal(dimension)
    constants = Constants(
        initial_gap=start @ A @ start / 2,
        smoothness=L,
        pl_constant=min(curvatures),
        distribution_gap=np.sum((A @ shift) ** 2),
        server_step_size=rng.uniform(0.3, 1) / L,
        device_step_size=rng.uniform(0.3, 1) / L,
        server_gradient_variance=rng.uniform(0, 50),
    )
    omega = rng.dirichlet(np.ones(K))
    server_batches = rng.integers(1, 30, rng.integers(0, 8))
    device_batches = rng.integers(1, 30, (rng.integers(1, 12), K))
    return A, shift, start, constants, server_batches, omega**2 * rng.uniform(1, 50, K) / device_batches


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(12))
def test_simulated_training_stays_below_the_bound(objective, seed):
    rng = np.random.default_rng(seed)
    A, shift, start, constants, server_batches, device_noises = random_problem(rng)
    steps = (constants.server_step_size, constants.device_step_size)
    server_noises = constants.server_gradient_variance / server_batches
    norms = squared_gradients(rng, A, shift, start, steps, server_noises, device_noises, replicates=4000)
    mean, error = mean_and_error(averaged(objective, norms, len(server_batches), steps))
    bound = bound_after(BOUNDS[objective].of(constants), server_batches, np.sum(device_noises, axis=1))
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


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("case", TIGHT.values(), ids=TIGHT.keys())
def test_the_bound_is_met_where_every_step_lands_at_the_minimum_plus_noise(objective, case):
    a, b, M, N = 4.0, 3, case["M"], case["N"]
    start, shift = np.sqrt([2 * case["G"] / a]), np.sqrt([case["delta2"]]) / a
    constants = Constants(
        initial_gap=case["G"],
        smoothness=a,
        pl_constant=a,
        distribution_gap=case["delta2"],
        server_step_size=1 / a,
        device_step_size=1 / a,
        server_gradient_variance=case["sigma2"],
    )
    norms = squared_gradients(
        np.random.default_rng(3),
        np.array([[a]]),
        shift,
        start,
        (1 / a, 1 / a),
        np.full(M, case["sigma2"] / b),
        np.full((N, 1), case["noise"]),
        replicates=20_000,
    )
    mean, error = mean_and_error(averaged(objective, norms, M, (1 / a, 1 / a)))

    at_start, after_server, after_devices = 2 * a * case["G"], case["delta2"] + case["sigma2"] / b, case["noise"]
    if objective == "finetune":
        total = (after_server if M else at_start) + (N - 1) * after_devices
        rounds = N
    else:
        total = at_start + M * after_server + (N - 1) * after_devices
        rounds = M + N
    bound = bound_after(BOUNDS[objective].of(constants), np.full(M, b), np.full(N, case["noise"]))
    assert abs(mean - total / rounds) <= 4 * error + 1e-12
    assert bound == pytest.approx((total + after_devices) / rounds, rel=1e-12)
    assert 0.94 < total / rounds / bound < 1
    assert 0.94 * bound - 4 * error < mean < bound + 4 * error
