"""What a local step really costs: numbers that autograd keeps, FLOPs that are counted, seconds of the processor."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from edgelearn_env.federated.local_update import scores_from
from edgelearn_env.federated.networks import Net, Weights, embedded
from edgelearn_env.federated.parts import Part, held
from edgelearn_env.federated.samples import Samples


class MeasuredStep(NamedTuple):
    """One local step, measured.

    Attributes:
        flops: of its matrix products, forward and backward.
        kept_bytes: of tensors that autograd keeps for the backward pass, each memory once, weights left out.
        peak_bytes: those, what the device holds of the net, and the gradients of what it trains.
        upload_bytes: of what it trains.
        cpu_s: of a step, the fastest of several, s.
    """

    flops: int
    kept_bytes: int
    peak_bytes: int
    upload_bytes: int
    cpu_s: float


def measured_step(weights: Weights, net: Net, part: Part, samples: Samples, repeats: int = 3) -> MeasuredStep:
    """Measure a step of SGD on a mini-batch.

    Args:
        weights: of the whole net.
        net: its shape.
        part: what is held and trained.
        samples: the mini-batch.
        repeats: of the step, for its time.
    """
    mine = {name: torch.from_numpy(array.copy()) for name, array in held(weights, part).items()}
    trained = [mine[name].requires_grad_() for name in part.trained]
    inputs = torch.from_numpy(samples.inputs)

    def step() -> None:
        loss = scores_from(mine, net, embedded(mine, net, inputs), 0, samples.targets).loss.mean()
        torch.autograd.grad(loss, trained)

    kept: dict[int, torch.UntypedStorage] = {}
    own = {array.untyped_storage().data_ptr() for array in mine.values()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tensor.is_floating_point():
            kept[storage.data_ptr()] = storage
        return tensor

    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(pack, lambda tensor: tensor):
        step()
    kept_bytes = sum(storage.nbytes() for storage in kept.values())
    upload = sum(array.numel() * array.element_size() for array in trained)
    holding = sum(array.numel() * array.element_size() for array in mine.values())
    seconds = [_cpu_s(step) for _ in range(repeats)]
    return MeasuredStep(counter.get_total_flops(), kept_bytes, holding + upload + kept_bytes, upload, min(seconds))


def _cpu_s(step: Callable[[], None]) -> float:
    begun_s = time.process_time()
    step()
    return time.process_time() - begun_s
