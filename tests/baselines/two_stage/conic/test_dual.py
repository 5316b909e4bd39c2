"""The dual function: what it is, that it bounds every plan from below whatever the multipliers, and how closely.

The Lagrangian is written out here once more, round by round and device by device, in frequencies and powers.
"""

import numpy as np
import pytest
from hypothesis import given
from random_scenarios import random_scenario, random_tape, seeds
from small_systems import copies, many_ways, planned, random_multipliers, random_system

from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.two_stage.clairvoyant.reach import within_reach
from edgelearn_env.baselines.two_stage.clairvoyant.replayed_plan import SHRINKS
from edgelearn_env.baselines.two_stage.clairvoyant.search import OVERDRAFT_PRICES
from edgelearn_env.baselines.two_stage.conic.dual import Multipliers, dual_bound, made_valid, next_carry
from edgelearn_env.baselines.two_stage.conic.program import MARGIN, EpisodeProgram
from edgelearn_env.baselines.two_stage.model.plan import plan_from_times
from edgelearn_env.trajectory import rollout

# A sum of products in double precision, in units of its largest term.
ROUNDING = 1e-12


class Terms:
    """The Lagrangian's terms at given choices, from the model's formulas; every method returns a number or a grid."""

    def __init__(self, episode, multipliers):
        self.episode, self.scenario, self.multipliers = episode, episode.scenario, multipliers
        self.M, self.N, self.K = episode.num_pretrain_rounds, episode.num_finetune_rounds, self.scenario.num_devices
        # Nothing is owed for what is left after the last round.
        self.after = np.vstack([multipliers.carry[1:], np.zeros((1, self.K))]) if self.N else np.zeros((0, self.K))

    def constant(self):
        scenario, budgets, radio, price = self.scenario, self.scenario.budgets, self.scenario.radio, self.multipliers
        value = self.episode.form.constant
        value += price.time * (self.N * radio.downlink_s - budgets.delay_s)
        value += price.energy * (self.N * radio.downlink_j - budgets.energy_j)
        for n in range(self.N):
            for k in range(self.K):
                value -= price.hold[n, k] * scenario.energy.battery_capacity_j[k]
                value -= self.after[n, k] * self.harvest(n, k) * radio.downlink_s
                if n == 0:
                    value -= price.carry[0, k] * scenario.energy.battery_initial_j[k]
        return value

    def harvest(self, n, k):
        return self.episode.tape.harvest_w[self.M + n, k]

    def pretrain(self, m, freq_hz, batch):
        scenario, server, price = self.scenario, self.scenario.server, self.multipliers
        a = scenario.learning.flops_per_sample / server.flops_per_cycle
        seconds, joules = a * batch / freq_hz, server.overhead_factor * server.capacitance_j_s2 * a * batch * freq_hz**2
        form = self.episode.form
        noise = form.pretrain_weight * form.pretrain_decay ** (self.M - 1 - m) / batch
        stored = sum(price.carry[0, k] * self.episode.tape.harvest_w[m, k] for k in range(self.K)) if self.N else 0.0
        return noise + (price.time - stored) * seconds + price.energy * joules

    def compute(self, n, k, freq_hz, batch):
        scenario, devices, price = self.scenario, self.scenario.devices, self.multipliers
        a = scenario.learning.flops_per_sample / devices.flops_per_cycle[k]
        seconds, joules = a * batch / freq_hz, devices.capacitance_j_s2[k] * a * batch * freq_hz**2
        weight = scenario.learning.device_weight[k] ** 2 * scenario.learning.device_gradient_variance[k]
        return (
            self.episode.form.finetune_weight * weight / batch
            + price.finish[n, k] * seconds
            + self.joule(n, k) * joules
        )

    def upload(self, n, k, power_w):
        scenario, radio = self.scenario, self.scenario.radio
        snr = power_w * self.episode.tape.channel_gain[self.M + n, k] / (radio.noise_w_per_hz * radio.bandwidth_hz[k])
        seconds = scenario.learning.upload_bit / (radio.bandwidth_hz[k] * np.log1p(snr) / np.log(2))
        return self.multipliers.finish[n, k] * seconds + self.joule(n, k) * power_w * seconds

    def joule(self, n, k):
        price = self.multipliers
        return price.energy + price.pay[n, k] + price.hold[n, k] + self.after[n, k]

    def duration(self, n, seconds):
        price = self.multipliers
        return (
            price.time - sum(price.finish[n, k] + self.after[n, k] * self.harvest(n, k) for k in range(self.K))
        ) * seconds

    def wait(self, n, k, seconds):
        return (self.multipliers.finish[n, k] - self.multipliers.pay[n, k] * self.harvest(n, k)) * seconds

    def battery(self, n, k, joules):
        return (self.multipliers.carry[n, k] - self.after[n, k] - self.multipliers.pay[n, k]) * joules

    def total(self, choose):
        """The Lagrangian where `choose` picks a value of each term, given as a function of numbers between 0 and 1.

        Returns:
            The sum, and the sum of magnitudes that a rounding error is a share of.
        """
        server, devices, budgets = self.scenario.server, self.scenario.devices, self.scenario.budgets
        terms = [self.constant()]

        def between(low, high, share):
            return np.clip(low * (high / low) ** share, low, high)

        for m in range(self.M):
            terms.append(
                choose(
                    lambda f, b, m=m: self.pretrain(
                        m, between(server.freq_min_hz, server.freq_max_hz, f), between(1.0, server.batch_max, b)
                    )
                )
            )
        for n in range(self.N):
            terms.append(choose(lambda d, n=n: self.duration(n, d * budgets.delay_s)))
            for k in range(self.K):
                low_hz, high_hz, power_w = devices.freq_min_hz[k], devices.freq_max_hz[k], devices.power_max_w[k]
                largest, capacity_j = devices.batch_max[k], self.scenario.energy.battery_capacity_j[k]
                terms += [
                    choose(
                        lambda f, b, n=n, k=k, low=low_hz, high=high_hz, most=largest: self.compute(
                            n, k, between(low, high, f), between(1.0, most, b)
                        )
                    ),
                    choose(lambda p, n=n, k=k, most=power_w: self.upload(n, k, between(1e-16 * most, most, p))),
                    choose(lambda w, n=n, k=k: self.wait(n, k, w * budgets.delay_s)),
                    choose(lambda c, n=n, k=k, most=capacity_j: self.battery(n, k, c * most)),
                ]
        return sum(terms), sum(abs(term) for term in terms)


def grid_minimum(term):
    """The least value of a term of one or two choices, on a grid that includes the ends and is then made finer."""
    count = term.__code__.co_argcount - len(term.__defaults__ or ())
    centre, width = np.full(count, 0.5), 0.5
    least = np.inf
    for _ in range(7):
        axes = [np.clip(c + width * np.linspace(-1, 1, 81), 0.0, 1.0) for c in centre]
        mesh = np.meshgrid(*axes, indexing="ij")
        values = term(*mesh)
        best = np.argmin(values)
        least, centre, width = min(least, float(values.flat[best])), [axis.flat[best] for axis in mesh], width / 8
    return least


def random_episode(seed, **sizes):
    """A small episode with some numbers of rounds of a random system."""
    scenario, tape = random_system(seed, **sizes)
    rng = np.random.default_rng(seed + 1)
    total = int(rng.integers(1, scenario.budgets.max_rounds + 1))
    num_pretrain = int(rng.integers(0, total + 1))
    return planned(scenario, tape, num_pretrain, total - num_pretrain)


# What the dual function is.


@given(seeds)
def test_no_choices_make_the_lagrangian_smaller_than_the_dual_function(seed):
    rng = np.random.default_rng(seed)
    episode = random_episode(seed, longest=5)
    multipliers = random_multipliers(rng, episode)
    terms = Terms(episode, made_valid(multipliers, episode.finetune_harvest_w))
    bound = dual_bound(episode, multipliers)
    for _ in range(20):
        share = rng.choice([0.0, 0.03, 0.3, 1.0])

        def anywhere(term, share=share):
            count = term.__code__.co_argcount - len(term.__defaults__ or ())
            return float(term(*np.clip(rng.uniform(-share, 1 + share, count), 0, 1)))

        value, magnitude = terms.total(anywhere)
        assert value >= bound - ROUNDING * magnitude


@pytest.mark.parametrize("seed", range(12))
def test_the_dual_function_is_the_least_value_of_the_lagrangian(seed):
    rng = np.random.default_rng(seed)
    episode = random_episode(seed, longest=4)
    multipliers = random_multipliers(rng, episode)
    value, magnitude = Terms(episode, made_valid(multipliers, episode.finetune_harvest_w)).total(grid_minimum)
    assert abs(dual_bound(episode, multipliers) - value) <= 1e-7 * magnitude


def test_without_prices_the_dual_function_is_the_bound_at_the_largest_batches(tiny, tiny_tape):
    episode = planned(tiny, tiny_tape, 4, 3)
    nothing = np.zeros((3, 3))
    free = Multipliers(0.0, 0.0, nothing, nothing, nothing, nothing)
    largest = episode.learning_bound(np.full(4, 512.0), np.full((3, 3), 128.0))
    assert dual_bound(episode, free) == pytest.approx(largest, rel=1e-14)


# Weak duality.


@pytest.mark.parametrize("seed", range(20))
def test_no_played_episode_is_below_the_dual_function_at_any_multipliers(seed):
    rng = np.random.default_rng(seed)
    scenario, tape = random_system(seed, longest=6)
    for whole in (True, False):
        played = rollout(scenario, copies(tape, 32), many_ways(rng, scenario, 32, whole=whole))
        pairs = np.stack([played.num_pretrain_rounds, played.num_finetune_rounds], axis=1).astype(int)
        for num_pretrain, num_finetune in np.unique(pairs[pairs.sum(axis=1) > 0], axis=0):
            episode = planned(scenario, tape, int(num_pretrain), int(num_finetune))
            least = np.min(played.objective[np.all(pairs == (num_pretrain, num_finetune), axis=1)])
            for _ in range(10):
                assert dual_bound(episode, random_multipliers(rng, episode)) <= least * (1 + ROUNDING)


@pytest.mark.parametrize("seed", range(15))
def test_multipliers_off_the_best_ones_only_lower_the_bound(seed):
    rng = np.random.default_rng(seed)
    episode, solution = solved_episode(seed)
    value = played_plan(episode, solution)[1]
    assert dual_bound(episode, solution.multipliers) <= value * (1 + ROUNDING)
    for noise in (1e-3, 1e-2, 0.1, 1.0):
        off = mapped(lambda price, noise=noise: price * np.exp(noise * rng.normal(size=np.shape(price))), solution[1])
        off = off._replace(time=float(off.time), energy=float(off.energy))
        assert dual_bound(episode, off) <= value * (1 + ROUNDING)


# Making multipliers valid.


@given(seeds)
def test_valid_multipliers_have_no_negative_price_and_lower_nothing(seed):
    rng = np.random.default_rng(seed)
    episode = random_episode(seed, longest=6)
    harvest_w = episode.finetune_harvest_w
    any_sign = mapped(
        lambda price: price * rng.choice([-0.1, 1.0, 1.0], np.shape(price)), random_multipliers(rng, episode)
    )
    valid = made_valid(any_sign._replace(time=float(any_sign.time), energy=float(any_sign.energy)), harvest_w)
    for price in valid:
        assert np.all(price >= 0)
    assert np.all(valid.pay * harvest_w <= valid.finish * (1 + 1e-12))
    worth = valid.time - np.sum(next_carry(valid.carry) * harvest_w, axis=1)
    np.testing.assert_allclose(np.sum(valid.finish, axis=1), np.maximum(worth, 0), rtol=1e-12, atol=1e-300)


@given(seeds)
def test_valid_multipliers_stay_as_they_are(seed):
    rng = np.random.default_rng(seed)
    episode = random_episode(seed, longest=6)
    once = made_valid(random_multipliers(rng, episode), episode.finetune_harvest_w)
    twice = made_valid(once, episode.finetune_harvest_w)
    for first, second in zip(once, twice, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-12, atol=1e-300)


def test_positive_prices_that_no_rule_touches_are_kept():
    finish, pay = np.array([[2.0, 6.0], [5.0, 5.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    carry, hold = np.array([[0.5, 0.7], [1.0, 0.0]]), np.array([[0.0, 0.3], [0.1, 0.2]])
    harvest_w = np.array([[2.0, 1.0], [0.0, 1.0]])
    # Worth of a round: time - sum_k carry[n + 1] h = 10 - 2 = 8, and 10 after the last round.
    given_prices = Multipliers(10.0, 3.0, finish, pay, carry, hold)
    for kept, price in zip(made_valid(given_prices, harvest_w), given_prices, strict=True):
        np.testing.assert_array_equal(kept, price)


def test_a_round_whose_finish_prices_are_all_zero_spreads_its_worth_evenly():
    nothing = np.zeros((1, 4))
    valid = made_valid(Multipliers(8.0, 0.0, nothing, nothing, nothing, nothing), np.ones((1, 4)))
    np.testing.assert_array_equal(valid.finish, np.full((1, 4), 2.0))


def test_the_price_of_what_is_left_is_that_of_the_next_round_and_nothing_at_the_end():
    carry = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(next_carry(carry), [[3.0, 4.0], [0.0, 0.0]])


# How close the bound is to a plan.


def within_reach_pairs(scenario, tape):
    reach = within_reach(planned(scenario, tape, 0, scenario.budgets.max_rounds))
    reach[0, 0] = False
    return np.argwhere(reach)


def solved_episode(seed):
    """A pair of round numbers that has a solution, and the solution."""
    scenario, tape = random_system(seed, shortest=4)
    rng = np.random.default_rng(seed)
    for num_pretrain, num_finetune in rng.permutation(within_reach_pairs(scenario, tape)):
        episode = planned(scenario, tape, int(num_pretrain), int(num_finetune))
        solution = EpisodeProgram(episode).solve()
        if solution is not None:
            return episode, solution
    raise AssertionError("no pair has a solution")


def played_plan(episode, solution):
    """The first plan that completes all its rounds, as the optimum takes it, and what it reaches."""
    for shrink in SHRINKS:
        plan = plan_from_times(episode, solution.times, shrink=shrink)
        played = rollout(episode.scenario, episode.tape, plan)
        if played.final_state.round_index[0] == episode.num_pretrain_rounds + episode.num_finetune_rounds:
            return plan, float(played.objective[0])
    raise AssertionError("no plan can be played")


def worth_of_margins(episode, multipliers):
    """What the program's margins on all energies and durations are worth at the multipliers' prices."""
    budgets, capacity_j = episode.scenario.budgets, episode.scenario.energy.battery_capacity_j
    per_joule = multipliers.pay + multipliers.hold + multipliers.carry
    total = multipliers.time * budgets.delay_s + multipliers.energy * budgets.energy_j + np.sum(per_joule * capacity_j)
    return MARGIN * total


def assert_solved_or_out_of_reach(seed, **sizes):
    """A random pair of a random system has a plan at its lower bound, or a proof that no plan has so many rounds.

    Returns:
        Whether it was solved.
    """
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng, **sizes)
    tape = random_tape(rng, scenario)
    num_pretrain, num_finetune = map(int, rng.choice(within_reach_pairs(scenario, tape)))
    episode = planned(scenario, tape, num_pretrain, num_finetune)
    solution = EpisodeProgram(episode).solve()
    if solution is None:
        overdrawn = [EpisodeProgram(episode, overdraft_price=price).solve() for price in OVERDRAFT_PRICES]
        bounds = [dual_bound(episode, solution.multipliers) for solution in overdrawn if solution is not None]
        assert max(bounds) > episode.learning_bound(
            np.ones(num_pretrain), np.ones((num_finetune, scenario.num_devices))
        )
        return False
    value, bound = played_plan(episode, solution)[1], dual_bound(episode, solution.multipliers)
    assert bound <= value * (1 + ROUNDING)
    assert value <= bound * (1 + 1e-5) + 2 * worth_of_margins(episode, solution.multipliers)
    return True


def test_random_pairs_of_random_systems_are_solved_to_full_accuracy_or_proven_out_of_reach():
    solved = [assert_solved_or_out_of_reach(seed) for seed in range(60)]
    assert 45 <= sum(solved) < 60


@pytest.mark.slow
def test_many_random_pairs_are_solved_to_full_accuracy_or_proven_out_of_reach():
    solved = [assert_solved_or_out_of_reach(seed) for seed in range(1000, 3000)]
    assert 1500 <= sum(solved) < 2000


@pytest.mark.slow
def test_large_systems_are_solved_to_full_accuracy_or_proven_out_of_reach():
    solved = [assert_solved_or_out_of_reach(seed, num_devices=12, max_rounds=60) for seed in range(40)]
    assert sum(solved) >= 25
