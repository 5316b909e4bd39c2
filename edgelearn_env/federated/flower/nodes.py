"""What a node of Flower does: say which device it is, and do the local updates of that device."""

from collections.abc import Callable

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from edgelearn_env.federated.flower.messages import order_of, update_record
from edgelearn_env.federated.local_update import local_update
from edgelearn_env.federated.samples import Samples

# Key of a node's own configuration that says which device it is, as Flower's simulations have it.
DEVICE = "partition-id"


def node_app(samples_of: Callable[[Context, int], Samples]) -> ClientApp:
    """The application of every node.

    Args:
        samples_of: training samples of a device, k, given what the node knows of itself and of the run; they never
            leave it.
    """
    app = ClientApp()

    @app.query()
    def device(message: Message, context: Context) -> Message:
        """Which device this node is."""
        found = ConfigRecord({DEVICE: int(context.node_config[DEVICE])})
        return Message(RecordDict({DEVICE: found}), reply_to=message)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        """A local update."""
        weights, order = order_of(message.content)
        samples = samples_of(context, int(context.node_config[DEVICE]))
        return Message(update_record(local_update(weights, order, samples)), reply_to=message)

    return app
