"""What the server of Flower does: hand the orders of a round to the nodes, and have their updates."""

from collections.abc import Iterable, Sequence

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.federated.flower.messages import order_record, update_of
from edgelearn_env.federated.flower.nodes import DEVICE
from edgelearn_env.federated.local_update import Order, Update
from edgelearn_env.federated.networks import Weights
from edgelearn_env.federated.training import Workforce


def flower_workforce(grid: Grid) -> Workforce:
    """Nodes that do the devices' work, for `played_rounds`; which of them is which device is asked once.

    Flower numbers nodes at random and answers in any order; the engine sums updates by device, so neither matters.

    Args:
        grid: the server's way to its nodes.
    """
    nodes = _nodes_by_device(grid)

    def work(weights: Weights, orders: Sequence[Order]) -> list[Update]:
        missing = [order.site - 1 for order in orders if order.site - 1 not in nodes]
        if missing:
            raise InvalidInputError(f"devices {missing} take part, but no node of the federation is one of them")
        messages = [
            grid.create_message(
                order_record(weights, order), MessageType.TRAIN, nodes[order.site - 1], str(order.round_index)
            )
            for order in orders
        ]
        return [update_of(content) for content in _replies(grid, messages)]

    return work


def _nodes_by_device(grid: Grid) -> dict[int, int]:
    nodes = list(grid.get_node_ids())
    messages = [grid.create_message(RecordDict(), MessageType.QUERY, node, "who") for node in nodes]
    replies = _messages(grid, messages)
    return {int(reply.content.config_records[DEVICE][DEVICE]): reply.metadata.src_node_id for reply in replies}


def _replies(grid: Grid, messages: Sequence[Message]) -> Iterable[RecordDict]:
    return [reply.content for reply in _messages(grid, messages)]


def _messages(grid: Grid, messages: Sequence[Message]) -> list[Message]:
    """All replies; one that is missing or an error ends the run, since the schedule says who takes part."""
    replies = list(grid.send_and_receive(messages))
    failed = [reply.error.reason for reply in replies if reply.has_error()]
    if failed or len(replies) < len(messages):
        raise InvalidInputError(f"{len(messages) - len(replies) + len(failed)} nodes did not do their work: {failed}")
    return replies
