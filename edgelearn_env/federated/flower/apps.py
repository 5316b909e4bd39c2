"""What `flwr run` starts: a server that plays a schedule from a file, and nodes with the addresses as their data.

The run's configuration (`[tool.flwr.app.config]` of a Flower project, or `--run-config`) says what is to be done:
`schedule` and `out` (paths at the server), `data`, `depth`, `width`, `tokens`, `samples`, `devices`, `step-size` of the
devices and `server-step-size`, `seed`; nodes say which device they are as `partition-id` of their own configuration.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from edgelearn_env.federated.checkpoints import digest, resumed_rounds
from edgelearn_env.federated.flower.nodes import node_app
from edgelearn_env.federated.flower.server import flower_workforce
from edgelearn_env.federated.networks import Net, initial_weights
from edgelearn_env.federated.samples import FederatedSamples, Samples
from edgelearn_env.federated.schemes import Blocks
from edgelearn_env.federated.text import addresses
from edgelearn_env.federated.training import Training
from edgelearn_env.schedule import Schedule


@functools.cache
def _data(name: str, tokens: int, devices: int, samples: int) -> FederatedSamples:
    return addresses(name, tokens).evenly(devices, samples)


def configured_samples(config: Mapping[str, Any]) -> FederatedSamples:
    """Samples that a run's configuration names."""
    return _data(str(config["data"]), int(config["tokens"]), int(config["devices"]), int(config["samples"]))


def configured_training(config: Mapping[str, Any]) -> Training:
    """What a run's configuration says is to be done."""
    return Training(
        net=Net(depth=int(config["depth"]), width=int(config["width"]), tokens=int(config["tokens"])),
        samples=configured_samples(config),
        schedule=Schedule.load(str(config["schedule"])),
        scheme=Blocks(aggregation="damped"),
        server_step_size=float(config["server-step-size"]),
        device_step_size=float(config["step-size"]),
        seed=int(config["seed"]),
    )


def _own_samples(context: Context, device: int) -> Samples:
    return configured_samples(context.run_config).devices[device].train


client = node_app(_own_samples)
server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Play the schedule on the nodes; checkpoint and log are at the server."""
    training = configured_training(context.run_config)
    weights: Mapping[str, np.ndarray] = initial_weights(training.net, training.seed)
    for played in resumed_rounds(training, weights, Path(str(context.run_config["out"])), 10, flower_workforce(grid)):
        weights = played.weights
    print(f"digest of the weights: {digest(weights)}")
