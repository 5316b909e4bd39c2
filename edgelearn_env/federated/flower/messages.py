"""Orders and updates as Flower's records: arrays by name, and what is left as one line of JSON."""

import json
from collections.abc import Mapping

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from edgelearn_env.federated.local_update import Order, Update
from edgelearn_env.federated.networks import Net, Weights
from edgelearn_env.federated.parts import Index, Part

_ARRAYS, _REST = "arrays", "rest"


def order_record(weights: Weights, order: Order) -> RecordDict:
    """An order, and the weights it begins with."""
    rest = order._asdict() | {
        "net": {name: getattr(order.net, name) for name in Net.__dataclass_fields__},
        "part": {"trained": order.part.trained, "narrowed": _plain(order.part.narrowed)},
    }
    return _record(weights, rest)


def order_of(record: RecordDict) -> tuple[dict[str, np.ndarray], Order]:
    """What `order_record` was made from."""
    rest = _rest_of(record)
    part = Part(tuple(rest["part"]["trained"]), _index(rest["part"]["narrowed"]))
    return _arrays_of(record), Order(**rest | {"net": Net(**rest["net"]), "part": part})


def update_record(update: Update) -> RecordDict:
    """An update."""
    rest = {"site": update.site, "weight": update.weight, "loss": update.loss, "cpu_s": update.cpu_s}
    return _record(update.arrays, rest | {"narrowed": _plain(update.narrowed)})


def update_of(record: RecordDict) -> Update:
    """What `update_record` was made from."""
    rest = _rest_of(record)
    return Update(**rest | {"narrowed": _index(rest["narrowed"]), "arrays": _arrays_of(record)})


def _record(arrays: Mapping[str, np.ndarray], rest: dict) -> RecordDict:
    packed = ArrayRecord({name: Array(np.ascontiguousarray(array)) for name, array in arrays.items()})
    return RecordDict({_ARRAYS: packed, _REST: ConfigRecord({_REST: json.dumps(rest)})})


def _arrays_of(record: RecordDict) -> dict[str, np.ndarray]:
    # Flower's arrays are read-only views of what came over the network.
    return {name: array.numpy().copy() for name, array in record.array_records[_ARRAYS].items()}


def _rest_of(record: RecordDict) -> dict:
    rest: dict = json.loads(str(record.config_records[_REST][_REST]))
    return rest


def _plain(narrowed: Mapping[str, Index]) -> dict[str, list[list[int]]]:
    return {name: [places.tolist() for places in index] for name, index in narrowed.items()}


def _index(plain: Mapping[str, list[list[int]]]) -> dict[str, Index]:
    return {name: tuple(np.array(places, int) for places in index) for name, index in plain.items()}
