"""Calibration: gradients by hand, constants within what they must satisfy, and a scenario that loads, solves, plays."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")

from small_training import NET, made_up_text, small_samples, small_training, small_weights

from edgelearn_env.baselines import RandomPlay
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.calibrated_scenario import calibrated_layers, calibrated_scenario
from edgelearn_env.federated.calibration import calibrated, pooled_task
from edgelearn_env.federated.gradients import (
    full_gradient,
    mixed,
    sample_variance_by_unit,
    squared_distance,
    squared_norm,
    squared_norm_by_unit,
)
from edgelearn_env.federated.layer_constants import measured_depths
from edgelearn_env.federated.local_update import Order, local_update
from edgelearn_env.federated.parts import part_of_units
from edgelearn_env.federated.samples import Samples
from edgelearn_env.federated.truth import measured_truth, rank_correlation
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.tape import sample_tape
from edgelearn_env.trajectory import rollout


def test_a_full_gradient_is_what_a_step_over_all_samples_takes():
    weights, samples = small_weights(), small_samples().devices[0].train
    loss, gradient = full_gradient(weights, NET, samples)
    moved = {name: (array - 1e-2 * gradient[name]).astype(np.float32) for name, array in weights.items()}
    after, _ = full_gradient(moved, NET, samples)
    assert after == pytest.approx(loss - 1e-2 * squared_norm(gradient), abs=5e-3 * squared_norm(gradient))


def test_norms_and_distances_add_up_over_units():
    one = {"block0.q.weight": np.array([3.0, 4.0]), "head.out.bias": np.array([2.0])}
    other = {"block0.q.weight": np.array([3.0, 0.0]), "head.out.bias": np.array([0.0])}
    assert squared_norm(one) == 29
    assert squared_norm_by_unit(one) == {"block0": 25, "head": 4}
    assert squared_distance(one, other) == 20
    half = mixed([one, other], np.array([0.5, 0.5]))
    np.testing.assert_array_equal(half["block0.q.weight"], [3, 2])


def test_the_variance_of_a_sample_is_what_all_samples_have():
    weights, samples = small_weights(), small_samples().devices[0].train.taken(slice(0, 40))
    _, mean = full_gradient(weights, NET, samples)
    every = [full_gradient(weights, NET, samples.taken(slice(i, i + 1)))[1] for i in range(samples.num_samples)]
    exact = np.mean([squared_distance(each, mean) for each in every])
    estimate = sum(sample_variance_by_unit(weights, NET, samples, mean, batches=100, batch=2).values())
    assert estimate == pytest.approx(exact, rel=0.25)


@pytest.fixture(scope="module")
def calibration():
    return calibrated(
        NET,
        small_samples(10).chosen(list(range(10)), 12),
        small_weights(),
        rounds=20,
        num_points=3,
        step_size=0.2,
        general=32,
        floor_steps=80,
    )


def test_constants_are_means_over_the_path(calibration):
    assert len(calibration.points) == 3
    assert calibration.smoothness == pytest.approx(np.mean([point.smoothness for point in calibration.points]))
    for point in calibration.points:
        assert min(point.smoothness, point.gradient, point.device_variance, point.distribution_gap) > 0
        assert point.dissimilarity > 0
        assert sum(point.shares.values()) == pytest.approx(1)
    assert calibration.points[-1].loss < calibration.points[0].loss
    assert calibration.initial_gap > 0


def test_the_recursion_with_the_fitted_constant_ends_where_the_path_ended(calibration):
    measured = calibration.points[-1].loss - calibration.floor
    assert 0 < calibration.pl_constant <= calibration.smoothness
    if calibration.pl_constant < calibration.smoothness:
        assert calibration.gap_after_path(calibration.pl_constant) == pytest.approx(measured)
    gap, mu = calibration.initial_gap, 0.3
    drift = 0.2 * calibration.mean("distribution_gap") / 2
    noise = calibration.smoothness * 0.2**2 * calibration.mean("server_variance") / (2 * 32)
    for _ in range(20):
        gap = (1 - mu * 0.2) * gap + drift + noise
    assert calibration.gap_after_path(mu) == pytest.approx(gap)


def test_the_scenario_loads_solves_and_plays(calibration, tmp_path):
    from edgelearn_env.baselines.ladder import ladder_of
    from edgelearn_env.baselines.two_stage.static.design import static_design

    made = calibrated_scenario(calibration, NET, "measured", 10)
    made.to_toml(tmp_path / "measured.toml")
    scenario = Scenario.load(tmp_path / "measured.toml")
    assert scenario.learning == made.learning
    assert scenario.learning.device_step_size * scenario.learning.smoothness <= 1
    assert scenario.learning.upload_bit == 8 * sum(array.nbytes for array in small_weights().values())
    design = static_design(scenario)
    assert design.num_pretrain_rounds + design.num_finetune_rounds > 5
    played = rollout(scenario, sample_tape(scenario, 0), ladder_of(scenario)["myopic"](scenario))
    assert played.objective[0] >= design.bound * 0.5


def test_another_number_of_devices_than_the_presets_is_refused(calibration):
    with pytest.raises(InvalidInputError, match="num_devices must be 10"):
        calibrated_scenario(calibration, NET, "measured", 9)


def test_layer_constants_are_shares_that_grow_to_one(calibration, tmp_path):
    depths = measured_depths(NET, small_samples().chosen([0, 1], 16), (1, 2), steps=10, floor_steps=10)
    assert [each.depth for each in depths] == [1, 2]
    assert min(each.floor for each in depths) == 0
    for each in depths:
        assert len(each.shares) == len(each.variances) == each.depth + 1
        assert each.shares[0] == each.variances[0] == 0
        assert each.shares[-1] == pytest.approx(1)
        assert np.all(np.diff(each.shares) > 0)
        assert np.all(np.diff(each.variances) > 0)
        assert each.gap >= 0
    calibrated_layers(calibration, depths, NET, "small").to_toml(tmp_path / "small.toml")
    scenario = Scenario.load(tmp_path / "small.toml")
    np.testing.assert_allclose(scenario.networks.share[1], depths[1].shares[1:])
    np.testing.assert_allclose(
        scenario.learning.device_gradient_variance * scenario.networks.noise_factor[0, 0], depths[0].variances[1]
    )
    assert scenario.distribution_gap_of(0) == pytest.approx(depths[0].distribution_gap)
    assert scenario.networks.width == NET.width
    played = rollout(scenario, sample_tape(scenario, 0), RandomPlay(scenario, seed=1))
    assert np.isfinite(played.objective[0])


def test_truth_weights_measured_gradients_by_participation():
    training, weights = small_training(), small_weights()
    truth = measured_truth(training, weights, points=10, tested=2)
    task = pooled_task(training.samples)
    everything, before, squares = (
        part_of_units(weights, frozenset({"embedding", "block0", "block1", "head"})),
        weights,
        [],
    )
    from edgelearn_env.federated.training import played_rounds

    for index, played in enumerate(played_rounds(training, weights)):
        if training.schedule.rounds[index].turns:
            squares.append(squared_norm(full_gradient(before, NET, task)[1]))
        before = played.weights
    assert truth.mean_square_gradient == pytest.approx(np.mean(squares))
    assert truth.participation == pytest.approx(3 * 0.75)
    assert (truth.num_pretrain_rounds, truth.num_finetune_rounds) == (2, 3)
    assert everything.trained == tuple(sorted(weights))
    assert truth.train_loss == pytest.approx(full_gradient(before, NET, task)[0])


def test_ranks_that_agree_correlate_fully_and_gaps_are_left_out(rng):
    x = rng.random(30)
    found = rank_correlation(x, x**3)
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    assert rank_correlation(np.append(x, np.nan), np.append(-x, 1.0)).value == pytest.approx(-1)
    assert abs(rank_correlation(x, rng.random(30)).value) < 0.5


def test_ranks_by_hand():
    # Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 * 4 / (4 * 15).
    assert rank_correlation(np.arange(4.0), np.array([1.0, 0.0, 3.0, 2.0])).value == pytest.approx(0.6)


def test_local_updates_leave_what_they_are_given_as_it_is():
    weights = small_weights()
    copies = {name: array.copy() for name, array in weights.items()}
    text = np.array([ord(letter) % 96 for letter in made_up_text(3)])[:160].reshape(20, 8)
    part = part_of_units(weights, frozenset({"block1", "head"}))
    order = Order(NET, part, 0, 1, 4, 2, 0.5, 0, 1.0)
    local_update(weights, order, Samples(text, text))
    assert all(np.array_equal(array, copies[name]) for name, array in weights.items())
    assert dataclasses.is_dataclass(NET)
