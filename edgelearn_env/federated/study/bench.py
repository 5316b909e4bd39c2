"""What runs on the same pre-trained net share. A process holds one net at a time, since its streams fill memory."""

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple

from edgelearn_env.federated.checkpoints import loaded_weights, saved_weights
from edgelearn_env.federated.frozen_prefix import FrozenStreams
from edgelearn_env.federated.networks import Net, Weights
from edgelearn_env.federated.pretraining import pretrained
from edgelearn_env.federated.samples import FederatedSamples
from edgelearn_env.federated.study.plan import StudyPlan, net_for, samples_named


class NetKey(NamedTuple):
    """What names a pre-trained net: the data, how many blocks, and the seed of its first weights and draws."""

    data: str
    depth: int
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A pre-trained net and its data.

    Attributes:
        data: name of the data.
        samples: of server and devices.
        net: shape of the net.
        weights: pre-trained.
        streams: out of its blocks, as long as they are frozen.
    """

    data: str
    samples: FederatedSamples
    net: Net
    weights: Weights
    streams: FrozenStreams


def pretrain_net(folder: Path, plan: StudyPlan, key: NetKey) -> None:
    """Pre-train a net as the plan says, and keep its weights in the folder; nothing is done if they are there."""
    file, net = _file(folder, key), net_for(key.data, key.depth)
    if not file.is_file():
        general = samples_of(key.data).general
        saved_weights(file, pretrained(net, general, plan.pretrain_steps, plan.pretrain_batch, seed=key.seed))


@functools.lru_cache(maxsize=1)
def bench_of(folder: Path, key: NetKey) -> Bench:
    """The net that `pretrain_net` has left in the folder."""
    net, samples = net_for(key.data, key.depth), samples_of(key.data)
    weights, _ = loaded_weights(_file(folder, key))
    return Bench(data=key.data, samples=samples, net=net, weights=weights, streams=FrozenStreams(weights, net))


@functools.lru_cache(maxsize=1)
def samples_of(data: str) -> FederatedSamples:
    """The data of that name."""
    return samples_named(data)


def _file(folder: Path, key: NetKey) -> Path:
    return folder / "nets" / f"{key.data}-{key.depth}-{key.seed}.npz"
