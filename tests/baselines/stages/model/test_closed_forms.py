"""Closed forms of a round's parts against brute force: never above the least cost of a grid, and as low as it."""

import numpy as np
import pytest
from hypothesis import given
from random_scenarios import seeds

from edgelearn_env.baselines.stages.model.closed_forms import (
    Least,
    Processor,
    Uplink,
    cheapest_batch,
    cheapest_compute,
    cheapest_frequency_hz,
    cheapest_sample,
    cheapest_upload,
)

PROCESSOR = Processor(
    cycles_per_sample=np.array([7.5e6]),
    capacitance_j_s2=np.array([1e-27]),
    freq_min_hz=np.array([1e8]),
    freq_max_hz=np.array([1.2e9]),
    batch_max=np.array([128.0]),
)
UPLINK = Uplink(nats_s=np.array([2.2]), noise_w=np.array([1e-5]), power_max_w=np.array([0.2]))

# Of a second and a joule; a negative price of time is one that pays for slowness.
TIME_PRICES = (-3.0, -1e-9, 0.0, 1e-30, 1e-6, 1.0, 1e6, 1e30)
ENERGY_PRICES = (0.0, 1e-30, 1e-6, 1.0, 1e6, 1e30)

# Costs are sums of a few terms of either sign: this share of the largest is rounding.
ROUNDING = 1e-13


def random_processor(rng: np.random.Generator, num_devices: int) -> Processor:
    freq_max_hz = rng.uniform(0.5e9, 3e9, num_devices)
    return Processor(
        cycles_per_sample=10 ** rng.uniform(5, 8, num_devices),
        capacitance_j_s2=10 ** rng.uniform(-28, -25, num_devices),
        freq_min_hz=freq_max_hz * rng.choice([0.1, 0.5, 1.0], num_devices),
        freq_max_hz=freq_max_hz,
        batch_max=rng.choice([1.0, 8.0, 512.0], num_devices),
    )


def random_uplink(rng: np.random.Generator, num_devices: int) -> Uplink:
    return Uplink(
        nats_s=10 ** rng.uniform(-2, 1, num_devices),
        noise_w=10 ** rng.uniform(-8, 1, num_devices),
        power_max_w=rng.uniform(0.05, 0.3, num_devices),
    )


def log_grid(low, high, size: int) -> np.ndarray:
    """Values from `low` to `high`, both included, along a new leading axis."""
    grid = np.geomspace(low, high, size)
    return np.clip(grid, low, high)


def cost_of_sample(time_price, energy_price, processor, freq_hz):
    a, kappa = processor.cycles_per_sample, processor.capacitance_j_s2
    return time_price * a / freq_hz + energy_price * kappa * a * freq_hz**2


def cost_of_upload(time_price, energy_price, uplink, power_w):
    seconds = uplink.nats_s / np.log1p(power_w / uplink.noise_w)
    return time_price * seconds + energy_price * power_w * seconds


def assert_least(cost, brute, grid_error, magnitude):
    """`cost` is at most the least of a grid, and no further below it than the grid is coarse."""
    assert np.all(np.isfinite(cost))
    assert np.all(cost <= brute + ROUNDING * magnitude)
    assert np.all(cost >= brute - grid_error * magnitude)


@given(seeds)
def test_no_frequency_computes_a_sample_for_less(seed):
    rng = np.random.default_rng(seed)
    processor = random_processor(rng, 5)
    time_price, energy_price = 10 ** rng.uniform(-4, 2, 5) * rng.choice([-1, 0, 1, 1], 5), 10 ** rng.uniform(-4, 2, 5)
    costs = cost_of_sample(
        time_price, energy_price, processor, log_grid(processor.freq_min_hz, processor.freq_max_hz, 4001)
    )
    least = cheapest_sample(time_price, energy_price, processor)
    assert_least(least.cost, costs.min(axis=0), 1e-6, np.abs(costs).max(axis=0))


@pytest.mark.parametrize("energy_price", ENERGY_PRICES)
@pytest.mark.parametrize("time_price", TIME_PRICES)
def test_a_sample_has_its_least_cost_at_extreme_prices(time_price, energy_price):
    time_price, energy_price = np.array([time_price]), np.array([energy_price])
    costs = cost_of_sample(
        time_price, energy_price, PROCESSOR, log_grid(PROCESSOR.freq_min_hz, PROCESSOR.freq_max_hz, 4001)
    )
    least = cheapest_sample(time_price, energy_price, PROCESSOR)
    assert_least(least.cost, costs.min(axis=0), 1e-6, np.abs(costs).max(axis=0))
    assert PROCESSOR.freq_min_hz <= PROCESSOR.cycles_per_sample / least.seconds <= PROCESSOR.freq_max_hz * (1 + 1e-15)


def test_the_cheapest_frequency_balances_time_and_energy():
    # d/df (lambda a / f + nu kappa a f^2) = 0 at lambda / f^2 = 2 nu kappa f.
    time_price, energy_price = np.array([0.3]), np.array([0.7])
    freq_hz = cheapest_frequency_hz(time_price, energy_price, PROCESSOR)
    assert 1e8 < freq_hz < 1.2e9
    assert time_price / freq_hz**2 == pytest.approx(2 * energy_price * 1e-27 * freq_hz, rel=1e-12)


@pytest.mark.parametrize(
    ("time_price", "energy_price", "freq_hz"),
    [(-1.0, 0.0, 1e8), (-1.0, 1.0, 1e8), (0.0, 1.0, 1e8), (1.0, 0.0, 1.2e9), (1e30, 1.0, 1.2e9)],
)
def test_the_clock_is_at_a_limit_where_only_one_of_time_and_energy_counts(time_price, energy_price, freq_hz):
    assert cheapest_frequency_hz(np.array([time_price]), np.array([energy_price]), PROCESSOR) == freq_hz


@given(seeds)
def test_no_batch_costs_less(seed):
    rng = np.random.default_rng(seed)
    noise_price = 10 ** rng.uniform(-4, 4, 6) * rng.choice([0, 1, 1], 6)
    sample = Least(10 ** rng.uniform(-4, 2, 6) * rng.choice([-1, 0, 1, 1], 6), np.ones(6))
    batch_max = rng.choice([1.0, 8.0, 512.0], 6)
    batch = log_grid(np.ones(6), batch_max, 4001)
    costs = noise_price / batch + sample.cost * batch
    least = cheapest_batch(noise_price, sample, batch_max)
    assert_least(least.cost, costs.min(axis=0), 1e-5, np.abs(costs).max(axis=0))


@pytest.mark.parametrize(
    ("noise_price", "sample_cost", "batch"),
    [(8.0, 2.0, 2.0), (0.0, 2.0, 1.0), (8.0, 0.0, 128.0), (8.0, -2.0, 128.0), (0.0, -2.0, 128.0), (1e30, 1.0, 128.0)],
)
def test_the_cheapest_batch_is_the_root_of_the_prices_ratio_within_its_limits(noise_price, sample_cost, batch):
    sample = Least(np.array([sample_cost]), np.array([0.25]))
    least = cheapest_batch(np.array([noise_price]), sample, np.array([128.0]))
    assert least.cost == pytest.approx(noise_price / batch + sample_cost * batch, rel=1e-14)
    assert least.seconds == 0.25 * batch


def test_where_neither_noise_nor_samples_have_a_price_a_round_costs_nothing():
    assert cheapest_batch(np.zeros(1), Least(np.zeros(1), np.ones(1)), np.array([128.0])).cost == 0


@given(seeds)
def test_no_batch_and_frequency_compute_a_round_for_less(seed):
    rng = np.random.default_rng(seed)
    processor = random_processor(rng, 3)
    time_price, energy_price = 10 ** rng.uniform(-4, 2, 3) * rng.choice([-1, 0, 1, 1], 3), 10 ** rng.uniform(-4, 2, 3)
    noise_price = 10 ** rng.uniform(-4, 4, 3)
    freq_hz = log_grid(processor.freq_min_hz, processor.freq_max_hz, 301)[:, None]
    batch = log_grid(np.ones(3), processor.batch_max, 401)[None]
    costs = noise_price / batch + batch * cost_of_sample(time_price, energy_price, processor, freq_hz)
    magnitude = noise_price + processor.batch_max * np.abs(cheapest_sample(time_price, energy_price, processor).cost)
    least = cheapest_compute(noise_price, time_price, energy_price, processor)
    brute = costs.min(axis=(0, 1))
    assert_least(least.cost, brute, 1e-3, np.minimum(magnitude, 1e2 * np.abs(brute)))


@given(seeds)
def test_no_power_uploads_for_less(seed):
    rng = np.random.default_rng(seed)
    uplink = random_uplink(rng, 6)
    time_price, energy_price = 10 ** rng.uniform(-4, 3, (2, 6))
    costs = cost_of_upload(time_price, energy_price, uplink, log_grid(1e-9 * uplink.noise_w, uplink.power_max_w, 20001))
    least = cheapest_upload(time_price, energy_price, uplink)
    assert_least(least.cost, costs.min(axis=0), 1e-5, costs.min(axis=0))


@pytest.mark.parametrize("energy_price", ENERGY_PRICES)
@pytest.mark.parametrize("time_price", [price for price in TIME_PRICES if price >= 0])
def test_an_upload_has_its_least_cost_at_extreme_prices(time_price, energy_price):
    time_price, energy_price = np.array([time_price]), np.array([energy_price])
    power_w = log_grid(1e-12 * UPLINK.noise_w, UPLINK.power_max_w, 100001)
    costs = cost_of_upload(time_price, energy_price, UPLINK, power_w)
    least = cheapest_upload(time_price, energy_price, UPLINK)
    assert_least(least.cost, costs.min(axis=0), 1e-5, costs.min(axis=0))


@pytest.mark.parametrize("ratio", [0.0, *np.geomspace(1e-40, 1e-2, 77)])
def test_a_vanishing_price_of_time_costs_no_accuracy(ratio):
    # Least over x of (ratio + e^x - 1) / x, near x = root = sqrt(2 ratio); there a step of 1e-4 root costs 1e-8 root.
    cost = cheapest_upload(UPLINK.noise_w * ratio, np.ones(1), UPLINK).cost / (UPLINK.noise_w * UPLINK.nats_s)
    root = np.sqrt(2 * ratio)
    x = max(root, 1e-17) * np.linspace(0.5, 1.5, 10001)
    assert cost == pytest.approx(np.min((ratio + np.expm1(x)) / x), rel=3e-15 + 1e-8 * root)


def test_the_cheapest_power_is_stationary():
    # d/dx of (lambda + nu noise (e^x - 1)) / x vanishes at nu noise e^x x = lambda + nu noise (e^x - 1).
    least = cheapest_upload(np.array([0.4]), np.array([100.0]), UPLINK)
    x = UPLINK.nats_s / least.seconds
    assert 0 < x < np.log1p(0.2 / 1e-5)
    noise_price = 100.0 * 1e-5
    assert noise_price * np.exp(x) * x == pytest.approx(0.4 + noise_price * np.expm1(x), rel=1e-12)


@given(seeds)
def test_a_power_with_a_lower_limit_uploads_for_no_less_than_any_within_its_limits(seed):
    rng = np.random.default_rng(seed)
    uplink = random_uplink(rng, 6)
    uplink = uplink._replace(power_min_w=uplink.power_max_w * rng.choice([1e-3, 0.3, 1.0], 6))
    time_price, energy_price = 10 ** rng.uniform(-4, 3, (2, 6))
    costs = cost_of_upload(time_price, energy_price, uplink, log_grid(uplink.power_min_w, uplink.power_max_w, 2001))
    least = cheapest_upload(time_price, energy_price, uplink)
    assert_least(least.cost, costs.min(axis=0), 1e-5, costs.min(axis=0))


@pytest.mark.parametrize("energy_price", [0.0, 1e-12, 1.0])
def test_upload_is_at_full_power_when_time_is_dear(energy_price):
    least = cheapest_upload(np.array([1e9]), np.array([energy_price]), UPLINK)
    assert least.seconds == pytest.approx(2.2 / np.log1p(0.2 / 1e-5), rel=1e-14)


@given(seeds)
def test_seconds_are_the_derivative_in_the_price_of_time(seed):
    rng = np.random.default_rng(seed)
    processor, uplink = random_processor(rng, 4), random_uplink(rng, 4)
    time_price, energy_price = 10 ** rng.uniform(-3, 2, (2, 4))
    noise_price = 10 ** rng.uniform(-3, 3, 4)
    forms = (
        lambda price: cheapest_sample(price, energy_price, processor),
        lambda price: cheapest_compute(noise_price, price, energy_price, processor),
        lambda price: cheapest_upload(price, energy_price, uplink),
    )
    step = 1e-5 * time_price
    for form in forms:
        slope = (form(time_price + step).cost - form(time_price - step).cost) / (2 * step)
        least = form(time_price)
        assert np.all(np.abs(least.seconds - slope) <= 1e-4 * least.seconds + 1e-15 * least.cost / step)


@given(seeds)
def test_costs_are_concave_in_the_prices(seed):
    rng = np.random.default_rng(seed)
    processor, uplink = random_processor(rng, 4), random_uplink(rng, 4)
    one, other = 10 ** rng.uniform(-4, 3, (2, 3, 4))
    middle = (one + other) / 2

    def compute(prices):
        return cheapest_compute(*prices, processor).cost

    def upload(prices):
        return cheapest_upload(prices[1], prices[2], uplink).cost

    for cost in (compute, upload):
        assert np.all(cost(middle) >= (cost(one) + cost(other)) / 2 * (1 - 1e-12))
