"""What `info` holds: the last round, item by item, in physical units."""

from edgelearn_env.arrays.namespaces import Array
from edgelearn_env.layer_tuning.records import Allocation, Outcome, State
from edgelearn_env.stages import info as stages


def info(state: State, allocation: Allocation, outcome: Outcome) -> dict[str, Array]:
    """The `info` of B episodes, (B,) or (B, K) arrays; `LayerTuningEnv` has the table.

    Args:
        state: after the last round.
        allocation: what was decided for it.
        outcome: what it did.
    """
    return {
        **stages.info(state, allocation, outcome),
        # Containers of tensors have a `depth` of their own.
        "net_depth": state.depth,
        "asked_blocks": allocation.blocks,
        "blocks": outcome.layers.blocks,
        "memory_byte": outcome.layers.memory_byte,
        "lowered": outcome.layers.lowered,
    }
