"""Nodes of Flower within this process: for tests, and to try a federation out on one machine.

Flower has no such grid: messages outside of its runtime need `TaskIdentity`, which is private to it. It is set here and
nowhere else; a release of Flower that moves it fails when this module is imported.
"""

from collections.abc import Iterable

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from edgelearn_env.federated.flower.nodes import DEVICE

_SERVER_NODE, _RUN = 1, 1


class LocalGrid(Grid):
    """Nodes that are called one after another, in an order of their own."""

    def __init__(self, app: ClientApp, node_ids: Iterable[int], run_config: dict | None = None) -> None:
        """A node for each device.

        Args:
            app: of all nodes.
            node_ids: of devices 0, 1, ...: any different numbers.
            run_config: what every node knows of the run.
        """
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, _RUN, _SERVER_NODE
        self._app, self._run = app, Run.create_empty(_RUN)
        self._contexts = {
            node: Context(_RUN, node, {DEVICE: device}, RecordDict({"state": ConfigRecord()}), run_config or {})
            for device, node in enumerate(node_ids)
        }
        self._replies: dict[str, Message] = {}

    @property
    def run(self) -> Run:
        """The only one."""
        return self._run

    def set_run(self, run: Run) -> None:
        """Take another run's name."""
        self._run = run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to a node."""
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> list[int]:
        """All nodes, in the order of their numbers."""
        return sorted(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Have the nodes answer at once."""
        names = []
        for message in messages:
            name = f"{len(self._replies)}"
            self._replies[name] = self._app(message, self._contexts[message.metadata.dst_node_id])
            names.append(name)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The answers, those of the highest nodes first."""
        found = [self._replies.pop(name) for name in message_ids]
        return sorted(found, key=lambda reply: -reply.metadata.src_node_id)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Push and pull; nobody is late."""
        return self.pull_messages(self.push_messages(messages))
