"""What schedules of layer tuning come to in real training: loss and accuracy at the end of their budgets."""

from typing import NamedTuple

from edgelearn_env.federated.calibration import pooled_task
from edgelearn_env.federated.evaluation import evaluated, mean_loss
from edgelearn_env.federated.networks import Weights
from edgelearn_env.federated.training import Training, played_rounds


class LayerResult(NamedTuple):
    """A schedule with one seed.

    Attributes:
        name: of the schedule.
        seed: of pre-training and draws, and of the tape.
        depth: blocks of the net.
        predicted: J, the bound on the task loss above that of the best net, nats; NaN for adapters, of which it does
            not speak.
        num_pretrain_rounds, num_finetune_rounds: M and N.
        elapsed_s, spent_j: the simulator's clock and meters at the end.
        uploaded_bytes: by all devices in all rounds, counted.
        train_loss: of the task at the end, nats.
        test_bits: at the end, bits a prediction.
        accuracy: share of predictions that hit.
    """

    name: str
    seed: int
    depth: int
    predicted: float
    num_pretrain_rounds: int
    num_finetune_rounds: int
    elapsed_s: float
    spent_j: float
    uploaded_bytes: int
    train_loss: float
    test_bits: float
    accuracy: float


def layer_result(training: Training, weights: Weights, tested: int = 16) -> LayerResult:
    """Play a schedule to its end.

    Args:
        training: what to do.
        weights: pre-trained, of the net of its depth; adapters are added here.
        tested: test samples of a device, at most.
    """
    schedule, trained, uploaded = training.schedule, training.scheme.prepared(weights, training.net), 0
    for played in played_rounds(training, trained):
        trained, uploaded = played.weights, uploaded + played.log.uploaded_bytes
    tests, last = evaluated(trained, training.net, training.samples, most=tested), schedule.rounds[-1:]
    return LayerResult(
        name=schedule.name,
        seed=training.seed,
        depth=training.net.depth,
        predicted=schedule.predicted,
        num_pretrain_rounds=schedule.num_pretrain_rounds,
        num_finetune_rounds=schedule.num_finetune_rounds,
        elapsed_s=sum(each.elapsed_s for each in last),
        spent_j=sum(each.spent_j for each in last),
        uploaded_bytes=uploaded,
        train_loss=mean_loss(trained, training.net, pooled_task(training.samples)),
        test_bits=tests.bits,
        accuracy=float(tests.accuracy.mean()),
    )
