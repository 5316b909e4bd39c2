"""The engine of record: what a round does, and that seeds, orders and interruptions do not change its end."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from small_training import NET, small_schedule, small_training, small_weights

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.checkpoints import digest, loaded_checkpoint, resumed_rounds
from edgelearn_env.federated.evaluation import evaluated
from edgelearn_env.federated.frozen_prefix import FrozenStreams
from edgelearn_env.federated.local_update import local_update
from edgelearn_env.federated.networks import after_blocks, embedded, head_scores
from edgelearn_env.federated.samples import drawn
from edgelearn_env.federated.schemes import Adapters, Blocks, RollingWidth
from edgelearn_env.federated.training import frozen_prefix_of, orders_of, played_rounds
from edgelearn_env.schedule import DeviceTurn, Schedule, ScheduledRound


def last(rounds):
    return list(rounds)[-1]


def end_of(training, weights=None, **how) -> str:
    return digest(last(played_rounds(training, weights or small_weights(), **how)).weights)


def gradient(weights, samples) -> dict[str, np.ndarray]:
    """Of the mean loss over samples, by torch's own backward pass."""
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}
    stream = after_blocks(tensors, NET, embedded(tensors, NET, torch.tensor(samples.inputs)), 0, NET.depth)
    head_scores(tensors, NET, stream, torch.tensor(samples.targets)).loss.mean().backward()
    return {name: tensor.grad.numpy() for name, tensor in tensors.items()}


def test_a_damped_round_of_one_step_is_the_step_of_the_learning_bounds():
    training = small_training(Blocks(aggregation="damped"), small_schedule(0, 1), device_step_size=0.3)
    weights = small_weights()
    found = last(played_rounds(training, weights)).weights
    turns = training.schedule.rounds[0].turns
    batches = [drawn(training.samples_of(1 + turn.device), turn.batch, 0, 0, 1 + turn.device, 0) for turn in turns]
    gradients = [gradient(weights, batch) for batch in batches]
    for name, array in weights.items():
        step = sum(turn.weight * each[name] for turn, each in zip(turns, gradients, strict=True))
        np.testing.assert_allclose(found[name], array - 0.3 * step, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_server_round_is_a_step_on_general_samples():
    training = small_training(schedule=small_schedule(1, 0), server_step_size=0.2)
    weights = small_weights()
    found = last(played_rounds(training, weights)).weights
    step = gradient(weights, drawn(training.samples.general, 8, 0, 0, 0, 0))
    for name, array in weights.items():
        np.testing.assert_allclose(found[name], array - 0.2 * step[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_training_lowers_the_loss_of_devices():
    training = small_training(schedule=small_schedule(30, 30), server_step_size=0.5, device_step_size=0.5)
    before, after = small_weights(), last(played_rounds(training, small_weights())).weights
    losses = [evaluated(weights, NET, training.samples).bits for weights in (before, after)]
    assert losses[0] == pytest.approx(np.log2(96), rel=0.05)
    assert losses[1] < 0.75 * losses[0]


def test_the_same_seed_ends_with_the_same_bits_and_another_with_others():
    assert end_of(small_training()) == end_of(small_training())
    assert end_of(small_training()) != end_of(small_training(seed=1))


@pytest.mark.parametrize(
    "scheme",
    [
        Blocks(),
        Blocks(aggregation="damped"),
        Adapters(ranks=(1, 2, 4), aggregation="padded"),
        RollingWidth(shares=(0.25, 0.5, 1.0)),
    ],
    ids=lambda scheme: f"{type(scheme).__name__}-{scheme.aggregation}",
)
def test_the_order_in_which_devices_work_and_answer_does_not_matter(scheme):
    training = small_training(scheme, small_schedule(0, 3, (0, 2)))
    weights = scheme.prepared(small_weights(), NET)

    def backwards(weights, orders):
        return [local_update(weights, order, training.samples_of(order.site)) for order in reversed(orders)]

    turned = tuple(each._replace(turns=each.turns[::-1]) for each in training.schedule.rounds)
    ends = {
        end_of(training, weights),
        end_of(training, weights, workforce=backwards),
        end_of(dataclasses.replace(training, schedule=Schedule(name="turned", rounds=turned)), weights),
    }
    assert len(ends) == 1


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    training, weights = small_training(schedule=small_schedule(3, 4)), small_weights()
    rounds = resumed_rounds(training, weights, tmp_path, every=2)
    for _ in range(5):
        next(rounds)
    rounds.close()
    assert len(loaded_checkpoint(tmp_path).log) == 4
    played = list(resumed_rounds(training, weights, tmp_path, every=2))
    assert [each.log.round_index for each in played] == [3, 4, 5, 6]
    assert digest(played[-1].weights) == end_of(training, weights)
    (again,) = resumed_rounds(training, weights, tmp_path)
    assert digest(again.weights) == digest(played[-1].weights)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert len(lines) == 7
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_of_another_run_is_refused(tmp_path):
    list(resumed_rounds(small_training(), small_weights(), tmp_path))
    with pytest.raises(InvalidInputError, match="holds another run"):
        next(resumed_rounds(small_training(seed=1), small_weights(), tmp_path))


def test_every_line_of_the_log_has_the_simulators_clock_and_meters():
    training = small_training()
    logs = [played.log for played in played_rounds(training, small_weights())]
    assert [log.stage for log in logs] == ["pretrain"] * 2 + ["finetune"] * 3
    for log, each in zip(logs, training.schedule.rounds, strict=True):
        assert (log.elapsed_s, log.spent_j, log.participants) == (each.elapsed_s, each.spent_j, len(each.turns))
    whole = sum(array.nbytes for array in small_weights().values())
    assert [log.uploaded_bytes for log in logs] == [0, 0, 3 * whole, 3 * whole, 3 * whole]
    assert all(log.peak_bytes > 2 * whole for log in logs[2:])


def test_a_round_of_nobody_changes_nothing():
    schedule = Schedule(name="empty", rounds=(ScheduledRound(0, (), 1.0, 0.0),))
    weights = small_weights()
    (played,) = played_rounds(small_training(schedule=schedule), weights)
    assert digest(played.weights) == digest(weights)
    assert np.isnan(played.log.loss)


def of_several_depths() -> Schedule:
    """Device 0 trains the last block, device 1 both."""
    turns = (DeviceTurn(0, 4, 0.5, (1, 2)), DeviceTurn(1, 4, 0.5, (0, 2)))
    return Schedule(name="several", rounds=tuple(ScheduledRound(0, turns, n + 1.0, 0.0) for n in range(3)))


@pytest.mark.parametrize(
    ("schedule", "depth"),
    [
        (small_schedule(0, 3, (1, 2)), 1),
        (small_schedule(0, 3, (2, 2)), 2),
        (small_schedule(0, 3, (0, 2)), 0),
        (of_several_depths(), 0),
    ],
)
def test_a_prefix_computed_once_leads_to_the_same_weights_and_accuracy(schedule, depth):
    training, weights = small_training(schedule=schedule, local_steps=2, device_step_size=0.5), small_weights()
    prefix = frozen_prefix_of(training, weights, FrozenStreams(weights, NET))
    assert prefix.depth == depth
    plain = last(played_rounds(training, weights)).weights
    for _ in range(2):  # with streams that are new, and with those that are there
        short = last(played_rounds(training, weights, prefix=prefix)).weights
        for name, array in plain.items():
            np.testing.assert_allclose(short[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
    plain_scores = evaluated(plain, NET, training.samples)
    short_scores = evaluated(plain, NET, training.samples, prefix=prefix)
    np.testing.assert_allclose(short_scores.loss, plain_scores.loss, rtol=1e-6)
    np.testing.assert_array_equal(short_scores.accuracy, plain_scores.accuracy)


def test_streams_go_on_from_the_deepest_that_is_there():
    weights, samples = small_weights(), small_training().samples.general
    streams, fresh = FrozenStreams(weights, NET), FrozenStreams(weights, NET)
    asked = []

    def made():
        asked.append(samples)
        return samples

    first = streams.stream(("a",), made, 1)
    second = streams.stream(("a",), made, 2)
    assert len(asked) == 1
    assert torch.equal(second, fresh.stream(("a",), made, 2))
    assert streams.stream(("a",), made, 1) is first


def test_only_what_a_turn_names_is_trained():
    training, weights = small_training(schedule=small_schedule(0, 1, (1, 2))), small_weights()
    found = last(played_rounds(training, weights)).weights
    changed = {name.partition(".")[0] for name in weights if not np.array_equal(weights[name], found[name])}
    assert changed == {"block1", "head"}
    assert {name for order in orders_of(training, weights, 0) for name in order.part.trained} == {
        name for name in weights if name.startswith(("block1.", "head."))
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"schedule": Schedule(name="far", rounds=(ScheduledRound(0, (DeviceTurn(9, 1, 1.0),), 1, 0),))},
            "must name devices from 0 to 3",
        ),
        ({"device_step_size": 0.0}, "device_step_size must be above 0"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        dataclasses.replace(small_training(), **change)
