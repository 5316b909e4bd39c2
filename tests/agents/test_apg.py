"""Training by analytic policy gradients."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ncx2

pytest.importorskip("torch")

import torch

from edgelearn_env.agents.actor.module import ActorModule
from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.agents.actor.trimming import ready_together
from edgelearn_env.agents.apg import GradientEpisodes, share_before_switch, tape_seeds, train
from edgelearn_env.agents.configs.apg import APGConfig
from edgelearn_env.agents.runs.checkpoint import load, load_policy
from edgelearn_env.agents.runs.torch_threads import torch_threads
from edgelearn_env.agents.runs.training_run import CurvePoint, Result
from edgelearn_env.arrays import torch_names
from edgelearn_env.arrays.records import mapped
from edgelearn_env.baselines.two_stage.model.hardware import uplinks
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.tapes.tape import Conditions, Tape, sample_tape
from edgelearn_env.trajectory import rollout
from edgelearn_env.two_stage.constants import constants_of
from edgelearn_env.two_stage.dynamics import initial_state

TINY = Path(__file__).parents[1] / "tiny.toml"


@pytest.fixture(autouse=True)
def _one_thread():
    with torch_threads(1):
        yield


def small(**changes) -> APGConfig:
    choices = {
        "scenario": TINY,
        "total_updates": 5,
        "num_tapes": 4,
        "hidden": 8,
        "validation_tapes": 3,
        "validate_every": 2,
    }
    return APGConfig(**(choices | changes))


def module(scenario: Scenario) -> ActorModule:
    torch.manual_seed(0)
    return ActorModule(starting_point(scenario), 8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Result, list[CurvePoint]]:
    """A run to its end, and what it reported."""
    seen = []
    return train(small(), tmp_path_factory.mktemp("whole"), on_progress=seen.append), seen


def test_a_run_trains_keeps_its_best_state_and_says_how_good_it_is(whole, tiny):
    result, seen = whole
    assert [point.share for point in result.curve] == [0.0, 0.4, 0.8, 1.0]
    assert [progress.share for progress in seen] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert all(np.isfinite(progress.mean_return) for progress in seen)
    best = min(result.curve, key=lambda point: point.validation_objective)
    kept = load(result.checkpoint)
    assert (kept.recipe, kept.steps, kept.seed, kept.scenario) == ("apg", best.steps, 0, tiny)
    assert kept.validation_objective == result.best_objective == best.validation_objective
    load_policy(result.checkpoint, tiny)
    folder = result.checkpoint.parent
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.zip", "progress.csv", "snapshot.pkl"]


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_run_goes_on_to_the_last_bit_as_if_it_had_not_been(tmp_path, whole, after):
    seen = []

    def interrupt(progress: CurvePoint) -> None:
        seen.append(progress)
        if len(seen) == after:
            raise KeyboardInterrupt

    whole, _ = whole
    stopped = train(small(), tmp_path / "parts", on_progress=interrupt)
    assert stopped.interrupted
    assert len(stopped.curve) < len(whole.curve)
    resumed = train(small(), tmp_path / "parts")
    assert not resumed.interrupted
    for name in CurvePoint._fields:
        if name != "seconds":
            ours, theirs = ([getattr(point, name) for point in result.curve] for result in (resumed, whole))
            np.testing.assert_array_equal(ours, theirs)
    assert resumed.checkpoint.read_bytes() == whole.checkpoint.read_bytes()


def test_a_directory_is_only_gone_on_with_by_the_same_choices(tmp_path):
    train(small(total_updates=1), tmp_path)
    with pytest.raises(InvalidInputError, match="was begun with another learning rate: choose another directory"):
        train(small(total_updates=1, learning_rate=1e-4), tmp_path)
    (tmp_path / "snapshot.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(InvalidInputError, match=r"snapshot\.pkl' is damaged"):
        train(small(total_updates=1), tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"total_updates": 0}, "total_updates must be at least 1, got 0"),
        ({"averaging": 1.0}, "averaging must be below 1, got 1"),
        ({"seed": TUNING}, "seed must be at most 999999"),
        ({"scenario": "huge"}, "unknown scenario preset 'huge'"),
    ],
)
def test_wrong_choices_are_refused_by_name(tmp_path, changes, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        train(small(**changes), tmp_path)


def test_training_goes_on_with_the_networks_of_a_checkpoint(tmp_path):
    first = train(small(total_updates=3, seed=4), tmp_path / "first")
    kept = load(first.checkpoint)
    further = train(small(total_updates=1, begin_with=str(first.checkpoint)), tmp_path / "further")
    assert further.curve[0].validation_objective == first.best_objective
    begun = train(small(total_updates=1, begin_with=str(first.checkpoint), seed=9), tmp_path / "other")
    assert begun.curve[0].validation_objective == kept.validation_objective
    assert load(begun.checkpoint).config["begin_with"] == str(first.checkpoint)
    with pytest.raises(InvalidInputError, match="hidden must be that of the networks to begin with, 8, got 4"):
        train(small(hidden=4, begin_with=str(first.checkpoint)), tmp_path / "smaller")
    with pytest.raises(InvalidInputError, match="unknown checkpoint 'imitation-tiny-0'"):
        train(small(begin_with="imitation"), tmp_path / "none")
    with pytest.raises(InvalidInputError, match="unknown checkpoint 'best'"):
        train(small(begin_with="best"), tmp_path / "none")


def test_runs_have_tapes_of_their_own_among_those_of_training():
    first, second = tape_seeds(0, 128).tolist(), tape_seeds(1, 128).tolist()
    assert len(set(first)) == len(set(second)) == 128
    assert len(set(first) & set(second)) < 3
    assert min(first + second) >= 0
    assert max(first + second) < TUNING


@pytest.fixture
def thrifty(tiny) -> Scenario:
    """A system whose episodes end when a budget does."""
    return tiny.replace(budgets={"max_rounds": 200, "delay_s": 8.0, "energy_j": 2.0})


def test_what_is_trained_on_is_what_a_rollout_plays_but_for_parts_of_two_rounds(thrifty):
    actor, system = module(thrifty), constants_of(thrifty)
    decided = actor.actor().policy(thrifty, trims=False)
    episodes = GradientEpisodes(thrifty, 6, seed=3)
    for episode in range(2):  # the next play is on the next tapes of the same seeds
        with torch.no_grad():
            played = episodes.play_through(actor)
        tapes = Tape.stack([sample_tape(thrifty, seed, episode) for seed in tape_seeds(3, 6)])
        trajectory = rollout(thrifty, tapes, lambda observed: ready_together(system, observed, decided(observed)))
        gained = np.log(trajectory.objective) - played.log_bound.numpy()
        one_round = 1 / trajectory.num_finetune_rounds
        assert np.all(np.abs(gained) <= 2 * one_round)
        # Something of a round more fits than is counted, on every tape.
        assert np.min(gained / one_round) > 0.02
        started = trajectory.observed.state.bound_terms
        np.testing.assert_allclose(
            played.first_log_bound.numpy(), np.log(thrifty.bound.value(mapped(lambda array: array[:, 0], started)))
        )


def test_gradients_are_those_of_finite_differences(tiny, monkeypatch):
    # Observations in float32 would hide what so small a step changes.
    monkeypatch.setattr(torch_names, "float32", torch.float64)
    # With batches of one sample, which rounding leaves alone, all goes through time and energy, and the switch.
    ending = {"max_rounds": 200, "delay_s": 2.0, "energy_j": 0.2}
    alone = tiny.replace(server={"batch_max": 1}, devices={"batch_max": 1}, budgets=ending)
    actor = module(alone).double()

    def log_bound() -> torch.Tensor:
        return GradientEpisodes(alone, 4, seed=5).play_through(actor).log_bound.sum()

    biases = [network.layer_3.bias for network in (actor.server, actor.device)]
    for bias, gradient in zip(biases, torch.autograd.grad(log_bound(), biases), strict=True):
        for index in range(2):
            values = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    bias[index] += step
                    values.append(float(log_bound()))
                    bias[index] -= step
            assert abs(gradient[index]) > 0.01
            assert float(gradient[index]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-3, abs=1e-5)


def test_a_switch_within_a_round_comes_where_its_action_crosses_zero():
    action, following = torch.tensor([[-1.0], [-0.5], [-2.0]]), torch.tensor([[3.0], [0.5], [-1.0]])
    share = share_before_switch(action, following, torch.tensor([True, True, False]))
    assert share.tolist() == [0.25, 0.5, 1.0]


def test_the_round_that_passes_a_budget_counts_by_what_fits_of_it(thrifty):
    episodes = GradientEpisodes(thrifty, 3, seed=0)
    first = initial_state(episodes._constants, 3)
    before = first._replace(
        elapsed_s=torch.tensor([7.0, 7.0, 2.0]).double(), spent_j=torch.tensor([1.0, 1.9, 1.0]).double()
    )
    after = before._replace(
        elapsed_s=before.elapsed_s + 2.0,
        spent_j=before.spent_j + 0.4,
        bound_terms=before.bound_terms._replace(pretrain_term=before.bound_terms.pretrain_term / 2),
    )
    passed, value = episodes._end(before, after)
    assert passed.tolist() == [True, True, False]
    np.testing.assert_allclose(value - episodes._log_bound(before), -np.log(2) * np.array([0.5, 0.25, 1.0]), rtol=1e-6)


def test_the_hazard_is_the_chance_of_a_fade_that_the_battery_cannot_pay_for(rng, tiny):
    episodes, num = GradientEpisodes(tiny, 5, seed=0), tiny.num_devices
    state = initial_state(episodes._constants, 5)
    power = rng.exponential(size=(5, num))
    on = rng.random((5, num)) < 0.5
    conditions = Conditions(torch.tensor(power * tiny.mean_channel_gain), torch.tensor(np.where(on, 0.01, 0.0)))
    uplink = uplinks(tiny, tiny.mean_channel_gain)
    # The next |c|^2, times 2 / (1 - r^2), is noncentral chi-squared with two degrees of freedom.
    r, flip = tiny.radio.fading_correlation, tiny.energy.harvest_flip_probability
    dark = np.where(on, flip, 1 - flip)
    chance = np.zeros((5, num))
    for charge_j, share in ((tiny.energy.battery_initial_j, dark), (tiny.energy.battery_capacity_j, 1 - dark)):
        fade = uplink.noise_w * uplink.nats_s / charge_j
        chance += share * ncx2.cdf(2 * fade / (1 - r**2), 2, 2 * r**2 * power / (1 - r**2))
    expected = 1 - np.prod(1 - chance, axis=1)
    np.testing.assert_allclose(episodes._hazard(state, conditions).numpy(), expected, rtol=0.02)
    poorer = state._replace(battery_j=state.battery_j / 10)
    assert torch.all(episodes._hazard(poorer, conditions) > episodes._hazard(state, conditions))


def test_a_device_in_the_dark_waits_for_what_it_is_lent_and_gives_it_back(thrifty):
    episodes = GradientEpisodes(thrifty, 2, seed=0)
    state = initial_state(episodes._constants, 2)
    state = state._replace(battery_j=torch.zeros_like(state.battery_j), finetuning=torch.tensor([True, True]))
    shape = (2, thrifty.num_devices)
    conditions = Conditions(
        torch.tensor(np.broadcast_to(thrifty.mean_channel_gain, shape)), torch.zeros(shape, dtype=torch.float64)
    )
    allocation = episodes._codec.decode(torch.zeros(2, episodes._codec.action_size))
    after = episodes._after(state, conditions, allocation)
    # Nobody could pay, so each waited for all of the round's energy at what it is lent.
    spent_j = float(after.spent_j[0]) - thrifty.radio.downlink_j
    lent_w = 0.3 * np.broadcast_to(thrifty.energy.battery_capacity_j, shape[1:]) / thrifty.budgets.delay_s
    assert float(after.elapsed_s[0]) > spent_j / lent_w.sum()
    np.testing.assert_array_equal(after.battery_j.numpy(), 0.0)
    assert int(after.bound_terms.num_finetune_rounds[0]) == 1


@pytest.mark.slow
def test_a_few_hundred_updates_come_close_to_the_optimum_of_a_small_system(tmp_path):
    config = APGConfig(scenario="tiny", total_updates=150, num_tapes=32, validation_tapes=50)
    result = train(config, tmp_path)
    assert result.best_objective <= 0.8 * result.curve[0].validation_objective
