"""A net of two narrow blocks on made-up text of four devices: real training within a fraction of a second."""

import numpy as np

from edgelearn_env.federated.networks import Net, initial_weights
from edgelearn_env.federated.samples import DeviceSamples, FederatedSamples
from edgelearn_env.federated.schemes import Blocks, Scheme
from edgelearn_env.federated.text import windows
from edgelearn_env.federated.training import Training
from edgelearn_env.schedule import DeviceTurn, Schedule, ScheduledRound

NET = Net(depth=2, width=16, heads=4, tokens=8)


def made_up_text(seed: int, length: int = 1500) -> str:
    rng = np.random.default_rng(seed)
    words = ["the", "people", "of", "state", "law", "peace", "war", "union", "great", "year"]
    return " ".join(rng.choice(words, length // 5, p=rng.dirichlet(np.ones(len(words)))))


def small_samples(num_devices: int = 4) -> FederatedSamples:
    general = windows(made_up_text(99, 4000), NET.tokens)
    devices = tuple(
        DeviceSamples.split(f"device {k}", windows(made_up_text(k), NET.tokens)) for k in range(num_devices)
    )
    return FederatedSamples(
        name="made up",
        general=general.taken(slice(0, -20)),
        devices=devices,
        general_test=general.taken(slice(-20, None)),
    )


def small_schedule(
    pretrain: int = 2, finetune: int = 3, blocks: tuple[int, int] | None = None, batch: int = 4
) -> Schedule:
    """Device n mod 4 sits round n out; all weigh a quarter."""
    rounds = [ScheduledRound(8, (), float(m), 0.1 * m) for m in range(1, pretrain + 1)]
    for n in range(finetune):
        turns = tuple(DeviceTurn(k, batch + k, 0.25, blocks) for k in range(4) if k != n % 4)
        rounds.append(ScheduledRound(0, turns, pretrain + 2.0 * (n + 1), 0.5 * (n + 1)))
    return Schedule(name="small", rounds=tuple(rounds))


def small_training(scheme: Scheme | None = None, schedule: Schedule | None = None, **choices) -> Training:
    return Training(
        net=NET,
        samples=small_samples(),
        schedule=schedule or small_schedule(),
        scheme=scheme or Blocks(),
        **choices,
    )


def small_weights(seed: int = 0) -> dict[str, np.ndarray]:
    return initial_weights(NET, seed)
