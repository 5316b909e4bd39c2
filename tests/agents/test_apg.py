"""Training by analytic policy gradients."""

import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgelearn_env.agents.actor.module import ActorModule
from edgelearn_env.agents.actor.starting_point import starting_point
from edgelearn_env.agents.actor.trimming import ready_together, worth_waiting_for
from edgelearn_env.agents.apg import GradientEpisodes, share_before_switch, tape_seeds, train
from edgelearn_env.agents.configs.apg import APGConfig
from edgelearn_env.agents.runs.checkpoint import load, load_policy
from edgelearn_env.agents.runs.torch_threads import torch_threads
from edgelearn_env.agents.runs.training_run import CurvePoint, Result
from edgelearn_env.arrays import torch_names
from edgelearn_env.arrays.records import mapped
from edgelearn_env.errors import InvalidInputError
from edgelearn_env.model import Observed
from edgelearn_env.scenarios.scenario import Scenario
from edgelearn_env.stages.constants import constants_of
from edgelearn_env.stages.dynamics import initial_state
from edgelearn_env.stages.records import Allocation
from edgelearn_env.tapes.seeds import TUNING
from edgelearn_env.tapes.tape import Conditions, Tape, sample_tape
from edgelearn_env.trajectory import Policy, rollout

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


def together(scenario: Scenario, policy: Policy) -> Policy:
    """What a policy decides, without those not worth waiting for, and the others ready together."""
    system = constants_of(scenario)

    def played(observed: Observed) -> Allocation:
        allocation = policy(observed)
        kept = worth_waiting_for(system, scenario.budgets, observed, allocation)
        return ready_together(system, observed, allocation._replace(batch=np.where(kept, allocation.batch, 0.0)))

    return played


def test_what_is_trained_on_is_what_a_rollout_plays_but_for_parts_of_two_rounds(thrifty):
    actor = module(thrifty)
    policy = together(thrifty, actor.actor().policy(thrifty, trims=False))
    episodes = GradientEpisodes(thrifty, 6, seed=3)
    for episode in range(2):  # the next play is on the next tapes of the same seeds
        with torch.no_grad():
            played = episodes.play_through(actor)
        tapes = Tape.stack([sample_tape(thrifty, seed, episode) for seed in tape_seeds(3, 6)])
        trajectory = rollout(thrifty, tapes, policy)
        gained = np.log(trajectory.objective) - played.log_bound.numpy()
        one_round = 1 / trajectory.num_finetune_rounds
        assert np.all(np.abs(gained) <= 2 * one_round)
        # Something of a round more fits than is counted, on every tape.
        assert np.min(gained / one_round) > 0.02
        started = trajectory.observed.state.bound_terms
        np.testing.assert_allclose(
            played.first_log_bound.numpy(), np.log(thrifty.bound.value(mapped(lambda array: array[:, 0], started)))
        )


@pytest.mark.parametrize("dissimilarity", [0.0, 0.5])
def test_a_device_that_lacks_charge_is_silent_in_training_too(thrifty, dissimilarity):
    # Little charge; and budgets that do not end an episode, so that there is no part of a round.
    poor = thrifty.replace(
        energy={"battery_initial_j": 0.02},
        budgets={"delay_s": 1e4, "energy_j": 1e4, "max_rounds": 40},
        learning={"dissimilarity": dissimilarity},
    )
    actor = module(poor)
    with torch.no_grad():
        actor.server.layer_3.bias[0] += 5.0  # nor does the switch come within a round, but with the first
    played = GradientEpisodes(poor, 6, seed=3).play_through(actor)
    tapes = Tape.stack([sample_tape(poor, seed) for seed in tape_seeds(3, 6)])
    trajectory = rollout(poor, tapes, together(poor, actor.actor().policy(poor, trims=False)))
    np.testing.assert_allclose(played.log_bound.detach().numpy(), np.log(trajectory.objective), rtol=1e-6)
    silent = ~trajectory.outcomes.devices.participates
    assert np.any(silent & (trajectory.allocations.batch >= 1))
    assert np.any(np.all(silent, axis=2))
    played.log_bound.sum().backward()
    gradients = [parameter.grad for parameter in actor.device.parameters()]
    assert all(torch.all(torch.isfinite(gradient)) and torch.any(gradient != 0) for gradient in gradients)


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


NUM_CHARGES = 400


def test_the_slopes_of_a_share_add_up_to_the_step_that_a_battery_makes(tiny):
    # One device's charge from none to all, so densely that a sum is an integral; the others have plenty.
    episodes, shape = GradientEpisodes(tiny, NUM_CHARGES, seed=0), (NUM_CHARGES, tiny.num_devices)
    charge = torch.linspace(0.0, 0.6, NUM_CHARGES, dtype=torch.float64, requires_grad=True)
    plenty = torch.ones_like(charge)
    before = initial_state(episodes._constants, NUM_CHARGES)._replace(
        battery_j=torch.stack([plenty, charge, plenty], dim=1), finetuning=torch.ones(NUM_CHARGES, dtype=torch.bool)
    )
    gain = torch.tensor(np.broadcast_to(tiny.mean_channel_gain, shape).copy())
    conditions = Conditions(gain, torch.zeros_like(gain))
    decided = episodes._codec.decode(torch.full((NUM_CHARGES, episodes._codec.action_size), 0.6))
    # It sets the pace, so that a battery that lacks something lacks it at the clock that was decided.
    decided = decided._replace(batch=decided.batch * torch.tensor([0.5, 1.0, 0.5]))
    after = episodes._after(Observed(before, conditions), decided)
    moved = (
        after.bound_terms.participation,
        after.bound_terms.finetune_term,
        after.spent_j,
        charge - after.battery_j[:, 1],
    )
    for value in moved:
        (slope,) = torch.autograd.grad(value.sum(), [charge], retain_graph=True)
        step = (value[-1] - value[0]).item()
        assert step > 0.05
        assert slope.mean().item() * 0.6 == pytest.approx(step, rel=0.01)


@pytest.mark.slow
def test_a_few_hundred_updates_come_close_to_the_optimum_of_a_small_system(tmp_path):
    config = APGConfig(scenario="tiny", total_updates=150, num_tapes=32, validation_tapes=50)
    result = train(config, tmp_path)
    assert result.best_objective <= 0.8 * result.curve[0].validation_objective
